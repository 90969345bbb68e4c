"""What the tests of the partial Fourier methods share: data with a known truth, and refusals that are the same for all."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from halfscan.bench.operators import expand, sample, to_kspace
from halfscan.bench.reconstruction import ReconInput, Reconstructor
from halfscan.bench.sampling.equispaced import Equispaced
from halfscan.bench.sampling.mask import Mask
from halfscan.bench.sampling.partial_fourier import PartialFourier
from halfscan.bench.sampling.poisson_disc import PoissonDisc
from halfscan.models.zero_filled import ZeroFilled

from ..conftest import phantom

SIZES = [(48, 40), (31, 27), (32, 1), (9, 8)]


def draw(height: int, fraction: float = 0.75, acs: int = 4, acquired: slice = slice(None), above: bool = True) -> Mask:
    """A partial Fourier mask; `above` leaves out the last lines, as the pattern does, otherwise the first ones."""
    lines = np.zeros(height, dtype=bool)
    lines[acquired] = True
    mask = PartialFourier(acceleration=1, acs_lines=acs, fraction=fraction).draw(lines, "test")
    return mask if above else of_lines(mask.sampled[::-1].copy(), lines[::-1].copy())


def of_lines(sampled: np.ndarray, acquired: np.ndarray | None = None) -> Mask:
    acquired = np.ones_like(sampled) if acquired is None else acquired
    return Mask(axes=("ky",), sampled=sampled, acquired=acquired, acs=None, nominal=1.0, pattern="test")


def data_of(image: torch.Tensor, maps: torch.Tensor, mask: Mask, full: torch.Tensor | None = None) -> ReconInput:
    lines = torch.from_numpy(mask.sampled.copy())[:, None]
    return ReconInput(
        kspace=sample(to_kspace(expand(image, maps)) if full is None else full, lines),
        mask=lines,
        acs=mask.acs,
        maps=maps,
        noise_cov=None,
        field_of_view=(image.shape[-2], image.shape[-1]),
    )


def one_phase(height: int, width: int, slices: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """(image, maps) of one coil: any real numbers times one phase, which partial Fourier recovers without an error."""
    values = torch.randn(slices, height, width, generator=torch.Generator().manual_seed(0))
    image = values * torch.exp(torch.tensor(0.7j))
    return image, torch.ones(slices, 1, height, width, dtype=torch.complex64)


def slow_phase(slices: int = 1, coils: int = 4, height: int = 128, width: int = 96) -> tuple[torch.Tensor, torch.Tensor]:
    """(image, maps) of edges and texture in a disc, with a phase that turns slowly, seen by coils with slow phases."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    texture = 1 + 0.3 * torch.rand(slices, height, width, generator=torch.Generator().manual_seed(0))
    phase = torch.exp(1j * (0.8 * y - 0.5 * x + 0.6 * y * y))
    return (torch.hypot(y, x) < 0.8) * texture * phase, phantom(slices, coils, height, width)[1]


def error(found: torch.Tensor, truth: torch.Tensor) -> float:
    return (torch.linalg.vector_norm(found - truth) / torch.linalg.vector_norm(truth)).item()


def against_zero_filling(model: Reconstructor, fraction: float) -> tuple[float, float]:
    """Relative errors of a model and of zero filling on noise-free data with a slow phase."""
    image, maps = slow_phase()
    mask = draw(128, fraction, acs=24)
    model.check(mask, 4)
    data = data_of(image, maps, mask)
    return error(model(data).image, image), error(ZeroFilled()(data).image, image)


PLANE = PoissonDisc(acceleration=2, acs_lines=8).draw(np.ones(48, dtype=bool), "test", readout=40)
BEYOND = np.arange(48) > 23
BOTH = (np.arange(48) > 5) & (np.arange(48) < 40)
REFUSED = [
    pytest.param(PLANE, "poisson_disc sampling leaves out single samples: use sampling=partial_fourier", id="plane"),
    pytest.param(
        Equispaced(acceleration=2, acs_lines=8).draw(np.ones(48, dtype=bool), "test"),
        r"equispaced sampling leaves out 19 lines between others: use .* sampling\.acceleration=1",
        id="gaps",
    ),
    pytest.param(of_lines(BEYOND), r"centre of k-space, line 24, and lines 24 to 47 are sampled: raise", id="no centre"),
    pytest.param(of_lines(BOTH), "leaves out 11 lines on both sides", id="both sides"),
]
