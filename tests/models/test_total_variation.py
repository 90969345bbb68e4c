"""Total variation: its operators are adjoint, its proximal step is the minimum, and edges outlast noise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import lsq_linear

from halfscan.bench.errors import HalfscanError
from halfscan.bench.operators import forward, sample
from halfscan.models.sense import Sense
from halfscan.models.total_variation import TotalVariation, _Prox, divergence_adjoint, gradient
from halfscan.models.zero_filled import ZeroFilled

from .solving import LOUD_COIL, blocks, distance, folded_phantom, lines, noise_like, noisy_phantom, scattered

SIGMA = 0.05
MASKS = {"lines": lines(48, 3, 12), "plane": scattered(48, 32)}
BOTH_MASKS = pytest.mark.parametrize("pattern", MASKS)


def _random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed))


def _variation(pictures: torch.Tensor) -> torch.Tensor:
    """(slice,) Σ |∇x| over the plane, the sets taken together."""
    return gradient(pictures).abs().double().square().sum((0, 2)).sqrt().sum((-2, -1))


def _threshold(*values: float) -> torch.Tensor:
    return torch.tensor(values)[:, None, None, None]


@pytest.mark.parametrize("size", [(7, 5), (1, 8), (6, 1), (2, 2)])
def test_gradient_and_divergence_are_adjoint(size: tuple[int, int]) -> None:
    pictures, field = _random(2, 3, *size), _random(2, 2, 3, *size, seed=1)
    left = torch.vdot(gradient(pictures).flatten(), field.flatten())
    right = torch.vdot(pictures.flatten(), divergence_adjoint(field).flatten())
    assert (left - right).abs() < 1e-5 * torch.linalg.vector_norm(pictures) * torch.linalg.vector_norm(field)


def test_the_gradient_is_the_difference_to_the_next_pixel() -> None:
    found = gradient(torch.tensor([[0.0, 1.0, 3.0], [5.0, 7.0, 11.0]]))
    assert found.tolist() == [[[5.0, 6.0, 8.0], [0.0, 0.0, 0.0]], [[1.0, 2.0, 0.0], [2.0, 4.0, 0.0]]]


def test_the_step_of_the_dual_is_short_enough() -> None:
    """‖∇‖² is below 8, and close to it on a large picture."""
    picture = _random(1, 1, 64, 64)
    for _ in range(300):
        picture = divergence_adjoint(gradient(picture / torch.linalg.vector_norm(picture)))
    assert 7.9 < torch.linalg.vector_norm(picture) < 8


@pytest.mark.parametrize("shape", [(1, 24), (24, 1)])
def test_the_proximal_step_of_a_line_is_the_box_constrained_dual(shape: tuple[int, int]) -> None:
    """v − t Dᵀp with |p| ≤ 1 that leaves least, found by SciPy."""
    values = torch.cumsum(_random(24).real, 0)
    differences = np.diff(np.eye(24), axis=0)
    dual = lsq_linear(1.5 * differences.T, values.numpy().astype(float), bounds=(-1, 1), tol=1e-12).x
    expected = values.numpy() - 1.5 * differences.T @ dual
    found = _Prox(2000)(values.reshape(1, 1, *shape).to(torch.complex64), _threshold(1.5))
    np.testing.assert_allclose(found.real.flatten().numpy(), expected, atol=1e-3)
    assert found.imag.abs().max() == 0


@pytest.mark.parametrize("sets", [1, 2])
def test_the_proximal_step_closes_the_duality_gap(sets: int) -> None:
    pictures, threshold = _random(2, sets, 12, 10), _threshold(0.3, 2.0)
    prox = _Prox(1000)
    found = prox(pictures, threshold)
    assert prox._dual is not None
    misfit = (found - pictures).abs().double().square().sum((1, 2, 3)) / 2
    primal = misfit + threshold.flatten() * _variation(found)
    rest = pictures - threshold * divergence_adjoint(prox._dual)
    dual = (pictures.abs().double().square() - rest.abs().double().square()).sum((1, 2, 3)) / 2
    assert torch.all(prox._dual.abs().square().sum((0, 2)).sqrt() <= 1 + 1e-5)
    assert torch.all((primal - dual).abs() < 1e-3 * primal)
    assert torch.all(primal < 0.999 * threshold.flatten() * _variation(pictures))


def test_few_inner_steps_reach_the_minimum_when_the_dual_is_kept() -> None:
    pictures, threshold = _random(1, 1, 12, 10), _threshold(1.0)
    best, prox = _Prox(2000)(pictures, threshold), _Prox(5)
    first = distance(prox(pictures, threshold), best)
    for _ in range(60):
        found = prox(pictures, threshold)
    assert distance(found, best) < 0.05 * first


def test_no_threshold_no_step() -> None:
    pictures = 1e4 * _random(2, 1, 6, 5)
    found = _Prox(5)(pictures, _threshold(0.0, 0.5))
    assert torch.equal(found[0], pictures[0])
    assert torch.isfinite(found.abs()).all()
    assert not torch.equal(found[1], pictures[1])


def test_a_noisy_staircase_gets_its_steps_back() -> None:
    steps = torch.tensor([0.0, 3.0, 1.0, 4.0]).repeat_interleave(16).expand(1, 1, 32, 64).to(torch.complex64)
    noisy = steps + 0.3 * _random(1, 1, 32, 64)
    found = _Prox(300)(noisy, _threshold(0.5))
    assert distance(found, steps) < 0.4 * distance(noisy, steps)
    inside = torch.arange(64) % 16 < 15
    assert gradient(found)[1][..., inside].abs().mean() < 0.1 * gradient(noisy)[1][..., inside].abs().mean()
    torch.testing.assert_close(found.mean(), noisy.mean(), rtol=1e-4, atol=1e-5)


@BOTH_MASKS
def test_nothing_near_the_solution_is_better(pattern: str) -> None:
    image, data = noisy_phantom(MASKS[pattern], SIGMA)
    assert data.maps is not None
    found = TotalVariation(regularisation=1.0, iterations=150, inner_iterations=15, tolerance=0)(data).image

    def objective(one: torch.Tensor) -> float:
        assert data.maps is not None
        misfit = (forward(one, data.maps, data.mask) - data.kspace).abs().double().square().sum() / 2
        return float(misfit + SIGMA * _variation(one[:, None]).sum())

    best, generator = objective(found), torch.Generator().manual_seed(0)
    for scale in (3e-3, 1e-2, 1e-1):
        for direction in (torch.randn(found.shape, dtype=found.dtype, generator=generator), found, image - found, 1j * found):
            for sign in (1, -1):
                assert objective(found + sign * scale * direction) > best


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("acceleration", [2, 3, 4])
def test_beats_sense_and_zero_filling_on_constant_pieces(acceleration: int, known: bool) -> None:
    image, data = noisy_phantom(lines(64, acceleration, 8), SIGMA, shape=(1, 6, 64, 64), image=blocks(), known=known)
    others = [distance(Sense(regularisation=weight)(data).image, image) for weight in (0.0, 0.01, 0.03, 0.1, 0.3)]
    others.append(distance(ZeroFilled()(data).image, image))
    assert distance(TotalVariation()(data).image, image) < 0.7 * min(others)


def test_without_a_weight_it_is_least_squares() -> None:
    _, data = noisy_phantom(lines(48, 2, 12), SIGMA)
    found = TotalVariation(regularisation=0.0, iterations=300, inner_iterations=1, tolerance=0)(data).image
    assert distance(found, Sense(regularisation=0.0, iterations=500, tolerance=1e-6)(data).image) < 2e-3


@pytest.mark.parametrize("support", [False, True])
@pytest.mark.parametrize("size", [(48, 32), (45, 37)])
def test_lines_and_the_same_lines_as_a_plane_agree(support: bool, size: tuple[int, int]) -> None:
    _, data = noisy_phantom(lines(size[0], 3, 12), SIGMA, shape=(2, 6, *size), support=support)
    model = TotalVariation(tolerance=0)
    plane = replace(data, mask=data.mask.expand(size).contiguous())
    assert distance(model(plane).image, model(data).image) < 1e-5


@BOTH_MASKS
def test_nothing_where_no_coil_sees_anything(pattern: str) -> None:
    _, data = noisy_phantom(MASKS[pattern], SIGMA, support=True)
    assert data.maps is not None
    assert torch.all(TotalVariation()(data).image[data.maps.abs().sum(1) == 0] == 0)


@BOTH_MASKS
def test_a_volume_without_an_object_is_empty(pattern: str) -> None:
    _, data = noisy_phantom(MASKS[pattern], SIGMA, known=False)
    empty = replace(data, kspace=0 * data.kspace, maps=0 * data.maps)  # type: ignore[operator]
    assert torch.equal(TotalVariation()(empty).image, torch.zeros(1, 48, 32, dtype=torch.complex64))


def test_two_sets_reconstruct_an_object_larger_than_the_field_of_view() -> None:
    truth, data = folded_phantom(1)
    assert distance(TotalVariation()(data).image.abs(), truth) > 0.12
    truth, data = folded_phantom(2)
    found = TotalVariation(map_sets=2)(data)
    assert (found.kind, found.combination) == ("magnitude", "rss")
    assert distance(found.image, truth) < 0.05


@BOTH_MASKS
def test_a_slice_that_is_done_waits_for_no_other(pattern: str) -> None:
    """The second slice is noise alone, and flat after a few steps."""
    _, data = noisy_phantom(MASKS[pattern], SIGMA, shape=(2, 6, 48, 32))
    data.kspace[1] = sample(noise_like(data.kspace[1], SIGMA), data.mask)
    model = TotalVariation(tolerance=0.03)
    assert data.maps is not None
    pairs = zip(data.kspace, data.maps, strict=True)
    alone = [model(replace(data, kspace=kspace[None], maps=maps[None])).image[0] for kspace, maps in pairs]
    for one, other in zip(model(data).image, alone, strict=True):
        assert distance(one, other) < 1e-4


BASE = {"regularisation": 0.5, "iterations": 20, "tolerance": 0.0, "inner_iterations": 5}


@pytest.mark.parametrize(
    "other",
    [
        {"regularisation": 1.0},
        {"iterations": 4},
        {"tolerance": 0.05},
        {"inner_iterations": 1},
        {"virtual_coils": 3},
        {"prewhiten": False},
    ],
    ids=str,
)
def test_every_setting_matters(other: dict[str, Any]) -> None:
    data = replace(noisy_phantom(MASKS["lines"])[1], noise_cov=LOUD_COIL)
    assert distance(TotalVariation(**{**BASE, **other})(data).image, TotalVariation(**BASE)(data).image) > 1e-3


@pytest.mark.parametrize(
    "setting",
    [
        {"regularisation": -0.1},
        {"regularisation": float("nan")},
        {"iterations": 0},
        {"tolerance": 1.0},
        {"inner_iterations": 0},
        {"map_sets": 0},
        {"virtual_coils": 0},
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(HalfscanError, match=f"^model.{next(iter(setting))}="):
        TotalVariation(**setting)
