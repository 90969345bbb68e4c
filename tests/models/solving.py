"""What the tests of the solvers share: a noisy phantom with true maps, and distances."""

from __future__ import annotations

import torch

from halfscan.bench.maps import Espirit
from halfscan.bench.operators import expand, root_sum_of_squares, sample, to_image, to_kspace
from halfscan.bench.reconstruction import ReconInput

from ..conftest import phantom

LOUD_COIL = 0.005 * torch.diag(torch.tensor([1, 1, 1, 1, 1, 9.0])).to(torch.complex64)
"""(6, 6) covariance."""


def noise_like(kspace: torch.Tensor, sigma: float, seed: int = 1) -> torch.Tensor:
    """White noise of a standard deviation in real and imaginary part."""
    return sigma * 2**0.5 * torch.randn(kspace.shape, dtype=kspace.dtype, generator=torch.Generator().manual_seed(seed))


def lines(height: int, acceleration: int, acs: int = 0) -> torch.Tensor:
    """(ky, 1) every n-th line and the central ones."""
    mask = torch.arange(height) % acceleration == 0
    mask[height // 2 - acs // 2 : height // 2 + acs // 2] = True
    return mask[:, None]


def scattered(height: int, width: int, share: float = 0.5) -> torch.Tensor:
    """(ky, kx) single samples, and all of the centre."""
    mask = torch.rand(height, width, generator=torch.Generator().manual_seed(3)) < share
    mask[height // 2 - 4 : height // 2 + 4, width // 2 - 4 : width // 2 + 4] = True
    return mask


def noisy_phantom(
    mask: torch.Tensor,
    sigma: float = 0.05,
    *,
    shape: tuple[int, int, int, int] = (1, 6, 48, 32),
    known: bool = True,
    support: bool = False,
    image: torch.Tensor | None = None,
) -> tuple[torch.Tensor, ReconInput]:
    """(image, data) of the discs, or of `image`, with true maps, everywhere or only where there is an object."""
    truth, maps, clean = phantom(*shape)
    if image is not None:
        truth, clean = image, to_kspace(expand(image, maps))
    if support:
        maps = maps * (truth.abs() > 0.02)[:, None]
    data = ReconInput(
        kspace=sample(clean + noise_like(clean, sigma), mask),
        mask=mask,
        acs=None,
        maps=maps,
        noise_cov=2 * sigma**2 * torch.eye(shape[1], dtype=torch.complex64) if known else None,
        field_of_view=shape[2:],
    )
    return truth, data


def blocks(height: int = 64, width: int = 64) -> torch.Tensor:
    """(1, ky, kx) image of constant pieces with sharp edges."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    image = (torch.hypot(y, x) < 0.85).float() - 0.5 * (torch.hypot(y + 0.3, x - 0.2) < 0.2)
    image += 0.6 * ((y - 0.2).abs() < 0.2) * ((x + 0.3).abs() < 0.25) + 0.8 * ((y + 0.4).abs() < 0.05) * ((x + 0.2).abs() < 0.3)
    return (image * torch.exp(torch.tensor(0.4j)))[None]


def twice_the_field_of_view(coils: int = 8, height: int = 48, width: int = 40) -> torch.Tensor:
    """K-space of an object of twice the field of view along ky: every second line of a finer scan, with some noise."""
    maps = phantom(1, coils, 2 * height, width)[1]
    kspace = to_kspace(expand(blocks(2 * height, width), maps))[:, :, ::2] * 2**0.5
    return kspace + noise_like(kspace, 0.01)


def folded_phantom(map_sets: int) -> tuple[torch.Tensor, ReconInput]:
    """(root sum of squares, data) of it, half the lines left out."""
    kspace, mask = twice_the_field_of_view(), lines(48, 2, 24)
    sampled = sample(kspace, mask)
    maps = Espirit().sets(sampled, (12, 36), None, map_sets)
    data = ReconInput(kspace=sampled, mask=mask, acs=(12, 36), maps=maps, noise_cov=None, field_of_view=(48, 40))
    return root_sum_of_squares(to_image(kspace)), data


def distance(found: torch.Tensor, truth: torch.Tensor) -> float:
    return float(torch.linalg.vector_norm(found - truth) / torch.linalg.vector_norm(truth))
