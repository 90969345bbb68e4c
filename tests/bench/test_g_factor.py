"""The g-factor against the folded pixels of its definition, against measured noise, and where there is none."""

from __future__ import annotations

import pytest
import torch

from halfscan.bench.errors import NotApplicable
from halfscan.bench.g_factor import g_factor
from halfscan.bench.reconstruction import ReconInput
from halfscan.models.sense import Sense

from ..conftest import phantom


def _regular(height: int, acceleration: int, first: int = 0) -> torch.Tensor:
    return torch.arange(height)[:, None] % acceleration == first


def _maps(coils: int = 6, height: int = 24, width: int = 20) -> torch.Tensor:
    """Maps of an elliptical object with a hole, that leaves the corners, and whole columns, empty."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    return phantom(1, coils, height, width)[1] * ((y**2 + (1.2 * x) ** 2 < 0.9) & (torch.hypot(y + 0.2, x) > 0.15))


def _covariance(coils: int = 6) -> torch.Tensor:
    root = torch.randn(coils, coils, dtype=torch.complex64, generator=torch.Generator().manual_seed(4))
    return root @ root.mH / coils + 0.3 * torch.eye(coils)


def _folded(maps: torch.Tensor, acceleration: int, noise_cov: torch.Tensor) -> torch.Tensor:
    """√([(SᴴΨ⁻¹S)⁻¹]ρρ [SᴴΨ⁻¹S]ρρ) of the pixels that fold onto one another (Pruessmann 1999)."""
    _, height, width = maps.shape
    inverse = torch.linalg.inv(noise_cov.to(torch.complex128))
    result = torch.zeros(height, width, dtype=torch.float64)
    for row in range(height // acceleration):
        for column in range(width):
            rows = [one for one in range(row, height, height // acceleration) if maps[:, one, column].abs().sum() > 0]
            if rows:
                sensitivity = maps[:, rows, column].to(torch.complex128)
                system = sensitivity.mH @ inverse @ sensitivity
                result[rows, column] = (torch.linalg.inv(system).diagonal() * system.diagonal()).real.sqrt()
    return result


@pytest.mark.parametrize("coloured", [False, True])
@pytest.mark.parametrize(("acceleration", "first"), [(1, 0), (2, 0), (2, 1), (3, 0), (3, 2), (4, 0)])
def test_is_that_of_the_folded_pixels(acceleration: int, first: int, coloured: bool) -> None:
    maps, noise_cov = _maps(), _covariance() if coloured else None
    found = g_factor(maps, _regular(24, acceleration, first), noise_cov)
    expected = _folded(maps[0], acceleration, torch.eye(6) if noise_cov is None else noise_cov)
    torch.testing.assert_close(found[0].double(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("acs", "coloured"), [(0, False), (8, True)])
def test_is_the_noise_of_an_unregularised_reconstruction(acs: int, coloured: bool) -> None:
    replicas, maps, noise_cov = 300, _maps(), _covariance() if coloured else torch.eye(6, dtype=torch.complex64)
    mask = _regular(24, 3)
    mask[12 - acs // 2 : 12 + acs // 2] = True
    draws = torch.randn(replicas, 6, 24, 20, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    noise = torch.einsum("cd,sdyx->scyx", torch.linalg.cholesky(noise_cov), draws)
    sense = Sense(regularisation=0.0, iterations=100, tolerance=1e-3)

    def spread(sampled: torch.Tensor) -> torch.Tensor:
        data = ReconInput(
            kspace=torch.where(sampled, noise, 0),
            mask=sampled,
            acs=None,
            maps=maps.expand(replicas, -1, -1, -1),
            noise_cov=noise_cov,
            field_of_view=(24, 20),
        )
        return sense(data).image.abs().square().mean(0).sqrt()

    found = g_factor(maps, mask, noise_cov)[0]
    inside = found > 0
    measured = spread(mask)[inside] / spread(torch.ones_like(mask))[inside] * mask.float().mean().sqrt()
    ratio = measured / found[inside]
    assert ratio.median().item() == pytest.approx(1, abs=0.02)
    assert ratio.quantile(0.02) > 0.9
    assert ratio.quantile(0.98) < 1.1
    assert found.max() > 1.2


def test_is_one_for_a_full_scan() -> None:
    maps = _maps()
    found = g_factor(maps, torch.ones(24, 1, dtype=torch.bool), _covariance())
    torch.testing.assert_close(found, (maps != 0).any(1).float(), rtol=1e-5, atol=0)


def test_is_never_below_one_and_no_number_of_the_noise_level() -> None:
    maps, mask = _maps(), _regular(24, 3)
    found = g_factor(maps, mask, _covariance())
    assert found[found > 0].min() > 1 - 1e-4
    torch.testing.assert_close(g_factor(7 * maps, mask, 1e-8 * _covariance()), found, rtol=1e-4, atol=0)


@pytest.mark.parametrize("height", [12, 16, 30, 40, 48])
@pytest.mark.parametrize("coils", [1, 4])
def test_is_infinite_where_coils_can_not_tell_folded_pixels_apart(coils: int, height: int) -> None:
    """One coil, or several that see the same: only the rows that no other folds onto are known."""
    profile = torch.randn(coils, 1, 1, dtype=torch.complex64, generator=torch.Generator().manual_seed(coils))
    object_ = torch.randn(height, 3, dtype=torch.complex64, generator=torch.Generator().manual_seed(height)) + 3
    maps = (profile * object_)[None]
    edge = height // 8
    maps[:, :, :edge] = 0
    found = g_factor(maps, _regular(height, 2))[0]
    assert torch.all(found[:edge] == 0)
    assert torch.all(found[edge : height // 2] == torch.inf)
    torch.testing.assert_close(found[height // 2 : height // 2 + edge], torch.ones(edge, 3))
    assert torch.all(found[height // 2 + edge :] == torch.inf)


def test_is_finite_once_the_object_fits_into_the_folded_field_of_view() -> None:
    maps = torch.ones(1, 1, 24, 3, dtype=torch.complex64)
    maps[:, :, :6] = maps[:, :, 18:] = 0
    found = g_factor(maps, _regular(24, 2))[0]
    torch.testing.assert_close(found[6:18], torch.ones(12, 3))


def test_an_empty_slice_is_zero() -> None:
    maps = torch.cat([_maps(), 0 * _maps()])
    found = g_factor(maps, _regular(24, 2))
    assert torch.equal(found[1], torch.zeros(24, 20))
    assert torch.equal(found[:1], g_factor(_maps(), _regular(24, 2)))


def test_a_mask_over_the_plane_is_refused() -> None:
    with pytest.raises(NotApplicable, match=r"whole lines.*qa=standard"):
        g_factor(_maps(), torch.ones(24, 20, dtype=torch.bool))
