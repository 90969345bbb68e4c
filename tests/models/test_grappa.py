"""GRAPPA fills in what is missing, leaves alone what is not, and says what it can't learn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from halfscan.bench.errors import HalfscanError, NotApplicable
from halfscan.bench.operators import expand, sample, to_kspace
from halfscan.bench.reconstruction import ReconInput, ReconResult, from_coils
from halfscan.bench.sampling.equispaced import Equispaced
from halfscan.bench.sampling.equispaced_fraction import EquispacedFraction
from halfscan.bench.sampling.mask import Mask
from halfscan.bench.sampling.partial_fourier import PartialFourier
from halfscan.bench.sampling.pattern import LineSampling
from halfscan.bench.sampling.poisson_disc import PoissonDisc
from halfscan.bench.sampling.random import Random
from halfscan.models import grappa
from halfscan.models.grappa import Grappa

from ..conftest import phantom

EXACT = Grappa(regularisation=0.0)


def _kspace(slices: int = 1, coils: int = 8, height: int = 128, width: int = 96) -> torch.Tensor:
    """Noise-free k-space of fine texture in a disc: a seventh of its norm lies in what R = 2 leaves out beside the ACS."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    texture = 1 + torch.rand(slices, height, width, generator=torch.Generator().manual_seed(0))
    image = ((torch.hypot(y, x) < 0.8) * texture).to(torch.complex64)
    return to_kspace(expand(image, phantom(slices, coils, height, width)[1]))


def _draw(spec: LineSampling, height: int = 128) -> Mask:
    return spec.draw(np.ones(height, dtype=bool), "test")


def _lines(step: int, offset: int, height: int = 128, acs: tuple[int, int] = (52, 76)) -> Mask:
    sampled = np.arange(height) % step == offset
    sampled[slice(*acs)] = True
    return Mask(axes=("ky",), sampled=sampled, acquired=np.ones(height, bool), acs=acs, nominal=step, pattern="equispaced")


def _data(kspace: torch.Tensor, mask: Mask) -> ReconInput:
    lines = torch.from_numpy(mask.sampled.copy())[:, None]
    size = (kspace.shape[-2], kspace.shape[-1])
    return ReconInput(
        kspace=sample(kspace, lines), mask=lines, acs=mask.calibration, maps=None, noise_cov=None, field_of_view=size
    )


def _filled(model: Grappa, data: ReconInput) -> torch.Tensor:
    """(slice, coil, ky, kx) k-space after the missing lines were filled in."""
    images: list[torch.Tensor] = []

    def keep(coil_images: torch.Tensor, *others: Any) -> ReconResult:
        images.append(coil_images)
        return from_coils(coil_images, *others)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grappa, "from_coils", keep)
        replace(model, combination="rss")(data)
    return to_kspace(images[0])


def _inside(mask: Mask) -> npt.NDArray[np.bool_]:
    """Missing lines between sampled ones."""
    lines = np.flatnonzero(mask.sampled)
    inside = ~mask.sampled
    inside[: lines[0]] = inside[lines[-1] :] = False
    return inside


def _error(found: torch.Tensor, truth: torch.Tensor) -> float:
    return (torch.linalg.vector_norm(found - truth) / torch.linalg.vector_norm(truth)).item()


@pytest.mark.parametrize("offset", [0, 1])
def test_fills_noise_free_lines_to_a_thousandth(offset: int) -> None:
    """128 lines of 96 samples, 24 calibration lines, 8 coils: the coils' slow variation is what a small kernel can learn."""
    kspace, mask = _kspace(), _lines(2, offset)
    found = _filled(EXACT, _data(kspace, mask))
    assert _error(found[:, :, ~mask.sampled], kspace[:, :, ~mask.sampled]) < 1e-3


@pytest.mark.parametrize("offset", [0, 1, 2])
def test_lines_at_the_edge_have_neighbours_on_one_side_only(offset: int) -> None:
    kspace, mask = _kspace(), _lines(3, offset)
    found = _filled(EXACT, _data(kspace, mask))
    inside, edge = _inside(mask), ~mask.sampled & ~_inside(mask)
    assert _error(found[:, :, inside], kspace[:, :, inside]) < 1e-3
    assert _error(found[:, :, edge], kspace[:, :, edge]) < 0.2


@pytest.mark.parametrize(
    ("spec", "bar"),
    [(EquispacedFraction(acceleration=2.5, acs_lines=24), 0.03), (Random(acceleration=2, acs_lines=24), 0.06)],
    ids=["equispaced_fraction", "random"],
)
def test_fills_uneven_lines(spec: LineSampling, bar: float) -> None:
    kspace, mask = _kspace(coils=12), _draw(spec)
    inside = _inside(mask)
    found = _filled(EXACT, _data(kspace, mask))
    assert _error(found[:, :, inside], kspace[:, :, inside]) < bar


def test_sampled_lines_stay_as_measured() -> None:
    data = _data(_kspace(slices=2, coils=4), _lines(3, 1))
    kept = data.mask[:, 0]
    found = _filled(Grappa(), data)
    torch.testing.assert_close(found[:, :, kept], data.kspace[:, :, kept], rtol=0, atol=1e-5 * data.kspace.abs().max().item())


def test_more_regularisation_shrinks_what_is_filled_in() -> None:
    mask = _lines(2, 0)
    data = _data(_kspace(coils=4), mask)
    norms = [
        torch.linalg.vector_norm(_filled(Grappa(regularisation=weight), data)[:, :, ~mask.sampled]).item()
        for weight in (1e-3, 1e-1, 1e1, 1e3)
    ]
    assert norms == sorted(norms, reverse=True)
    assert norms[-1] < 0.1 * norms[0]


def test_the_weight_is_relative_to_the_data() -> None:
    data = _data(_kspace(coils=4), _lines(2, 0))
    model = Grappa(regularisation=0.1, combination="rss")
    image = model(data).image
    torch.testing.assert_close(model(replace(data, kspace=data.kspace * 1e5)).image * 1e-5, image, rtol=1e-4, atol=1e-5)


def test_coils_that_say_the_same_are_no_obstacle() -> None:
    """A Gram matrix without full rank, unregularised."""
    once = _kspace(coils=8)
    mask = _lines(2, 0)
    found = _filled(EXACT, _data(torch.cat([once, once], dim=1), mask))
    assert _error(found[:, :8, ~mask.sampled], once[:, :, ~mask.sampled]) < 1e-3


def test_calibrates_from_the_central_readout_alone_where_only_that_is_calibrated() -> None:
    kspace, mask = _kspace(), _lines(2, 0)
    data = replace(_data(kspace, mask), acs_readout=(24, 72))
    found = _filled(EXACT, data)
    assert 0 < _error(found[:, :, ~mask.sampled], kspace[:, :, ~mask.sampled]) < 3e-3
    spoiled = data.kspace.clone()
    spoiled[:, :, 52:76, :24] *= -3
    # Lines that are not made from the spoiled ones: their weights are the same.
    assert _error(_filled(EXACT, replace(data, kspace=spoiled))[:, :, 1:48:2], found[:, :, 1:48:2]) < 1e-4


def test_leaves_zero_what_partial_fourier_or_zero_padding_left_out() -> None:
    acquired = np.ones(128, dtype=bool)
    acquired[:10] = acquired[118:] = False
    mask = PartialFourier(acceleration=2, acs_lines=24, fraction=0.75).draw(acquired, "test")
    kspace = torch.where(torch.from_numpy(acquired)[:, None], _kspace(coils=4), 0)
    found = _filled(Grappa(), _data(kspace, mask)).abs().amax((0, 1, 3))
    first, last = np.flatnonzero(mask.sampled)[[0, -1]]
    scale = found.max()
    assert (found[first : last + 1] > 1e-5 * scale).all()
    assert found[: first - 2].max() < 1e-6 * scale
    assert found[last + 3 :].max() < 1e-6 * scale


@pytest.mark.parametrize(("coils", "height", "width"), [(1, 32, 24), (3, 31, 27), (2, 40, 5), (5, 41, 6)])
def test_any_size_gives_a_finite_image_as_large(coils: int, height: int, width: int) -> None:
    mask = _lines(2, 1, height, (height // 2 - 5, height // 2 + 5))
    EXACT.check(mask, coils)
    for model in (Grappa(combination="rss"), Grappa(combination="rss", regularisation=0.0)):
        image = model(_data(_kspace(2, coils, height, width), mask)).image
        assert image.shape == (2, height, width)
        assert torch.isfinite(image).all()


def test_full_sampling_needs_no_calibration_lines() -> None:
    mask = _draw(Equispaced(acceleration=1, acs_lines=0))
    EXACT.check(mask, 4)
    data = replace(_data(_kspace(coils=4), mask), acs=None)
    assert _error(_filled(EXACT, data), data.kspace) < 1e-6


def test_lines_are_few_where_the_calibration_lines_do_not_span_more() -> None:
    """At R = 8 four neighbours span 25 lines, more than the 24 there are; two span 9."""
    mask = _lines(8, 0)
    Grappa().check(mask, 8)
    data = _data(_kspace(), mask)
    assert (_filled(Grappa(), data).abs().amax((0, 1, 3)) > 0).all()


def test_empty_calibration_lines_fill_in_zeros() -> None:
    mask = _lines(2, 0)
    data = _data(_kspace(coils=4), mask)
    data.kspace[:, :, 52:76] = 0
    for model in (Grappa(), EXACT):
        found = _filled(model, data)
        assert torch.isfinite(found.abs()).all()
        torch.testing.assert_close(found, data.kspace, rtol=0, atol=1e-5 * data.kspace.abs().max().item())


def test_numbers_that_are_none_are_refused() -> None:
    data = _data(_kspace(coils=2), _lines(2, 0))
    data.kspace[0, 0, 60, 3] = complex("nan")
    with pytest.raises(HalfscanError, match="NaN or infinity"):
        Grappa(combination="rss")(data)


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (_lines(4, 0, acs=(62, 66)), r"needs 5 of them for its 3 missing lines and their neighbours, and there are 4: raise"),
        (_draw(Equispaced(acceleration=2, acs_lines=0)), r"needs 3 of them .* there are 0: raise sampling\.acs_lines"),
        (
            PoissonDisc(acceleration=2, acs_lines=8).draw(np.ones(64, dtype=bool), "test", readout=48),
            "poisson_disc sampling leaves out single samples: use model=sense",
        ),
    ],
    ids=["few", "none", "plane"],
)
def test_masks_that_it_cant_fill_are_refused(mask: Mask, words: str) -> None:
    with pytest.raises(NotApplicable, match=words):
        Grappa().check(mask, 8)


def test_a_readout_shorter_than_the_kernel_is_refused() -> None:
    with pytest.raises(NotApplicable, match=r"5 samples wide .* have 4: lower model\.kernel_readout to 3"):
        Grappa(combination="rss")(_data(_kspace(coils=2, width=4), _lines(2, 0)))


@pytest.mark.parametrize(
    "setting",
    [
        {"kernel_readout": 4},
        {"kernel_readout": -1},
        {"kernel_lines": 1},
        {"regularisation": -1.0},
        {"regularisation": np.nan},
        {"combination": "sum"},
    ],
)
def test_settings_out_of_range_are_refused(setting: dict[str, float]) -> None:
    with pytest.raises(HalfscanError, match=f"model.{next(iter(setting))}"):
        Grappa(**setting)
