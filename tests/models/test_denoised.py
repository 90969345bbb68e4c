"""The denoised full scan: for full scans only, without strength the best combination, with it a lower error."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from halfscan.bench.errors import HalfscanError, NotApplicable
from halfscan.bench.operators import combine, to_image
from halfscan.bench.sampling.equispaced import Equispaced
from halfscan.bench.sampling.mask import Mask
from halfscan.bench.sampling.poisson_disc import PoissonDisc
from halfscan.models.denoised import Denoised, noise_level
from halfscan.models.sense import Sense

from .solving import LOUD_COIL, blocks, distance, noise_like, noisy_phantom

FULL = torch.ones(48, 1, dtype=torch.bool)
EVERY_LINE = np.ones(48, dtype=bool)


def _covariance(coils: int = 6) -> torch.Tensor:
    root = torch.randn(coils, coils, dtype=torch.complex64, generator=torch.Generator().manual_seed(2))
    return root @ root.mH / coils + 0.1 * torch.eye(coils)


def _orthonormal_sets(shape: tuple[int, ...]) -> torch.Tensor:
    """(slice, 2, coil, ky, kx) random maps."""
    pairs = torch.randn(*shape, 2, dtype=torch.complex64, generator=torch.Generator().manual_seed(3))
    return torch.linalg.qr(pairs.movedim(1, -2))[0].permute(0, 4, 3, 1, 2).contiguous()


def test_a_full_scan_is_accepted() -> None:
    Denoised().check(Equispaced(acceleration=1, acs_lines=0).draw(EVERY_LINE, "test"), 6)
    zero_filled = np.arange(48) > 5
    Denoised().check(Equispaced(acceleration=1, acs_lines=0).draw(zero_filled, "test"), 6)


@pytest.mark.parametrize(
    "mask",
    [
        Equispaced(acceleration=2, acs_lines=12).draw(EVERY_LINE, "test"),
        PoissonDisc(acceleration=2, acs_lines=8).draw(EVERY_LINE, "test", readout=40),
    ],
    ids=["lines", "plane"],
)
def test_missing_samples_are_refused(mask: Mask) -> None:
    words = rf"full scan and {mask.lines_sampled} of 48 lines.*sampling\.acceleration=1, or model=wavelet"
    with pytest.raises(NotApplicable, match=words):
        Denoised().check(mask, 6)


def test_more_sets_than_coils_are_refused() -> None:
    with pytest.raises(NotApplicable, match=r"model\.map_sets=2.*there are 1"):
        Denoised(map_sets=2).check(Equispaced(acceleration=1, acs_lines=0).draw(EVERY_LINE, "test"), 1)


@pytest.mark.parametrize("support", [False, True])
@pytest.mark.parametrize("known", [False, True])
def test_without_strength_it_is_the_combination_of_the_highest_snr(known: bool, support: bool) -> None:
    """SᴴΨ⁻¹ y / SᴴΨ⁻¹S of each pixel."""
    _, data = noisy_phantom(FULL, known=False, support=support)
    assert data.maps is not None
    covariance = _covariance() if known else torch.eye(6, dtype=torch.complex64)
    data = replace(data, noise_cov=covariance if known else None, maps=1.7 * data.maps)
    assert data.maps is not None
    weighted = torch.einsum("cd,sdyx->scyx", torch.linalg.inv(covariance), data.maps)
    power = combine(data.maps, weighted)
    expected = torch.where(power.abs() > 0, combine(to_image(data.kspace), weighted) / power, 0)
    assert distance(Denoised(strength=0.0)(data).image, expected) < 1e-5


@pytest.mark.parametrize("virtual_coils", [None, 4])
def test_two_sets_without_strength_are_least_squares_whatever_the_noise(virtual_coils: int | None) -> None:
    """Whitened or compressed, the sets of a pixel are no longer orthogonal."""
    _, data = noisy_phantom(FULL)
    data = replace(data, maps=_orthonormal_sets((1, 6, 48, 32)), noise_cov=_covariance())
    settings = {"map_sets": 2, "virtual_coils": virtual_coils}
    expected = Sense(regularisation=0.0, iterations=300, tolerance=1e-6, **settings)(data)
    found = Denoised(strength=0.0, **settings)(data)
    assert (found.kind, found.combination) == ("magnitude", "rss")
    assert distance(found.image, expected.image) < 1e-3


@pytest.mark.parametrize("sigma", [0.05, 0.15])
def test_lowers_the_error_of_a_noisy_full_scan(sigma: float) -> None:
    image, data = noisy_phantom(torch.ones(64, 1, dtype=torch.bool), sigma, shape=(1, 6, 64, 64), image=blocks())
    errors = [distance(Denoised(strength=strength)(data).image, image) for strength in (0.0, 0.25, 0.5, 1.0)]
    assert errors == sorted(errors, reverse=True)
    assert errors[2] < 0.85 * errors[0]


@pytest.mark.parametrize("sigma", [0.01, 0.1, 1.0])
@pytest.mark.parametrize("size", [(96, 80), (95, 71)])
def test_the_noise_of_a_picture_is_found(size: tuple[int, int], sigma: float) -> None:
    image = noisy_phantom(torch.ones(size[0], 1, dtype=torch.bool), shape=(3, 2, *size))[0]
    inside = (image.abs() > 0.05)[:, None]
    found = noise_level((image + noise_like(image, sigma))[:, None] * inside, inside)
    assert found.shape == (3, 1, 1, 1)
    assert found.flatten().tolist() == pytest.approx([sigma] * 3, rel=0.05)


def test_the_noise_at_edges_of_the_object_is_not_looked_at() -> None:
    image = blocks(96, 96)
    inside = (torch.hypot(*torch.meshgrid(torch.linspace(-1, 1, 96), torch.linspace(-1, 1, 96), indexing="ij")) < 0.5)[None, None]
    flat = (100 * inside + noise_like(image, 0.1)[:, None]) * inside
    assert noise_level(flat, inside).item() == pytest.approx(0.1, rel=0.1)


def test_a_picture_without_an_inside_has_no_noise() -> None:
    pictures = noise_like(torch.zeros(2, 1, 16, 12, dtype=torch.complex64), 1.0)
    inside = torch.zeros(2, 1, 16, 12, dtype=torch.bool)
    inside[1] = True
    found = noise_level(pictures, inside).flatten()
    assert found[0] == 0
    assert found[1] > 0


def test_nothing_where_no_coil_sees_anything_and_in_empty_slices() -> None:
    _, data = noisy_phantom(FULL, shape=(3, 6, 48, 32), support=True, known=False)
    assert data.maps is not None
    alone = Denoised()(replace(data, kspace=data.kspace[2:], maps=data.maps[2:])).image
    data.kspace[0], data.maps[1] = 0, 0
    found = Denoised()(data).image
    assert torch.all(found[:2] == 0)
    assert torch.all(found[data.maps.abs().sum(1) == 0] == 0)
    torch.testing.assert_close(found[2], alone[0])


def test_lines_and_a_plane_agree() -> None:
    """Up to which axis a shift is along, once enough of them are averaged."""
    _, data = noisy_phantom(FULL, support=True)
    plane = replace(data, mask=torch.ones(48, 32, dtype=torch.bool))
    plain, model = Denoised(strength=0.0), Denoised(levels=2, shifts=64)
    assert distance(plain(plane).image, plain(data).image) < 1e-5
    assert distance(model(plane).image, model(data).image) < 0.05 * distance(model(data).image, plain(data).image)


BASE = {"strength": 0.5, "levels": 3, "shifts": 8}


@pytest.mark.parametrize(
    "other", [{"strength": 1.0}, {"levels": 1}, {"shifts": 1}, {"virtual_coils": 3}, {"prewhiten": False}], ids=str
)
def test_every_setting_matters(other: dict[str, Any]) -> None:
    data = replace(noisy_phantom(FULL)[1], noise_cov=LOUD_COIL)
    assert distance(Denoised(**{**BASE, **other})(data).image, Denoised(**BASE)(data).image) > 1e-3


@pytest.mark.parametrize(
    "setting",
    [
        {"strength": -0.1},
        {"strength": float("nan")},
        {"levels": 0},
        {"levels": 11},
        {"shifts": 0},
        {"map_sets": 0},
        {"virtual_coils": 0},
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(HalfscanError, match=f"^model.{next(iter(setting))}="):
        Denoised(**setting)
