"""The wavelet reconstruction minimises what it states, beats what it must beat, and follows the noise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from halfscan.bench.errors import HalfscanError
from halfscan.bench.operators import adjoint, forward
from halfscan.bench.reconstruction import ReconInput
from halfscan.bench.wavelets import Wavelets
from halfscan.models import fista
from halfscan.models.sense import Sense
from halfscan.models.wavelet import Wavelet
from halfscan.models.zero_filled import ZeroFilled

from .solving import LOUD_COIL, blocks, distance, folded_phantom, lines, noisy_phantom, scattered

SIGMA = 0.05
MASKS = {"lines": lines(48, 3, 12), "plane": scattered(48, 32)}
BOTH_MASKS = pytest.mark.parametrize("pattern", MASKS)


def _transform(image: torch.Tensor, levels: int, name: str) -> torch.Tensor:
    """A transform of complex pictures."""
    method = getattr(Wavelets((image.shape[-2], image.shape[-1]), levels, image.device), name)
    return torch.complex(method(image.real.float()), method(image.imag.float()))


def _details(height: int, width: int, levels: int) -> torch.Tensor:
    """(ky, kx) 1 for what is penalised, 0 for the coarse scale."""
    kept = torch.ones(height, width)
    kept[: height >> levels, : width >> levels] = 0
    return kept


def _objective(image: torch.Tensor, data: ReconInput, weight: float, levels: int) -> float:
    assert data.maps is not None
    misfit = (forward(image, data.maps, data.mask) - data.kspace).abs().double().square().sum() / 2
    details = _transform(image, levels, "analyse").abs().double() * _details(*image.shape[-2:], levels)
    return float(misfit + weight * details.sum())


@BOTH_MASKS
def test_the_solution_is_a_fixed_point_of_the_proximal_step(pattern: str) -> None:
    _, data = noisy_phantom(MASKS[pattern], SIGMA)
    assert data.maps is not None
    found = Wavelet(regularisation=2.0, iterations=400, levels=3, spin=False)(data).image
    gradient = adjoint(forward(found, data.maps, data.mask) - data.kspace, data.maps, data.mask)
    coefficients = _transform(found - gradient, 3, "analyse")
    size = coefficients.abs()
    threshold = 2.0 * SIGMA * _details(48, 32, 3)
    step = _transform(coefficients * (size - threshold).clamp(min=0) / size.clamp(min=1e-9), 3, "synthesise")
    assert distance(step, found) < 1e-4
    assert 0.05 < (_transform(found, 3, "analyse").abs() < 1e-6).float().mean() < 0.98


@BOTH_MASKS
def test_nothing_near_the_solution_is_better(pattern: str) -> None:
    image, data = noisy_phantom(MASKS[pattern], SIGMA)
    found = Wavelet(regularisation=2.0, iterations=200, levels=3, spin=False)(data).image
    best = _objective(found, data, 2.0 * SIGMA, 3)
    generator = torch.Generator().manual_seed(0)
    for scale in (1e-3, 1e-2, 1e-1):
        for direction in (torch.randn(found.shape, dtype=found.dtype, generator=generator), found, image - found, 1j * found):
            for sign in (1, -1):
                assert _objective(found + sign * scale * direction, data, 2.0 * SIGMA, 3) > best


def test_momentum_at_the_start_saves_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where lines are few: the way to the same solution is shorter at every step."""
    _, data = noisy_phantom(lines(48, 4, 8), 0.01)
    model = Wavelet(regularisation=0.3, iterations=300, levels=3, spin=False)
    solution = model(data).image
    steps = (6, 12, 18)
    ahead = [distance(replace(model, iterations=number)(data).image, solution) for number in steps]
    monkeypatch.setattr(fista, "_MOMENTUM", 1.0)
    assert distance(model(data).image, solution) < 1e-3
    assert all(
        one < 0.9 * distance(replace(model, iterations=number)(data).image, solution)
        for one, number in zip(ahead, steps, strict=True)
    )


@pytest.mark.parametrize(("pattern", "support"), [("lines", True), ("plane", False)])
def test_the_solution_is_that_of_sigpy(pattern: str, support: bool) -> None:
    """SigPy's own solver on the same maps, mask and transform, the coarse scale free."""
    sigpy = pytest.importorskip("sigpy")
    image, data = noisy_phantom(MASKS[pattern], SIGMA, support=support)
    assert data.maps is not None
    maps, mask, size, coil_size = data.maps[0], data.mask, (48, 32), (6, 48, 32)

    class Linear(sigpy.linop.Linop):
        def __init__(self, oshape: Any, ishape: Any, apply: Any, adjoint_apply: Any) -> None:
            self.apply_, self.adjoint_apply = apply, adjoint_apply
            super().__init__(oshape, ishape)

        def _apply(self, array: Any) -> Any:
            return self.apply_(torch.from_numpy(np.ascontiguousarray(array))).numpy()

        def _adjoint_linop(self) -> Any:
            return Linear(self.ishape, self.oshape, self.adjoint_apply, self.apply_)

    encoding = Linear(coil_size, size, lambda one: forward(one, maps, mask), lambda one: adjoint(one, maps, mask))
    basis = Linear(size, size, lambda one: _transform(one, 3, "analyse"), lambda one: _transform(one, 3, "synthesise"))
    weights = (2.0 * SIGMA * _details(*size, 3)).numpy()
    penalty = sigpy.prox.UnitaryTransform(sigpy.prox.L1Reg(size, weights), basis)
    solver = sigpy.app.LinearLeastSquares(encoding, data.kspace[0].numpy(), proxg=penalty, max_iter=600, alpha=1, show_pbar=False)
    theirs = torch.from_numpy(solver.run())
    ours = Wavelet(regularisation=2.0, iterations=600, levels=3, spin=False)(data).image[0]
    inside = maps.abs().sum(0) > 0
    assert distance(ours[inside], theirs[inside]) < 1e-3
    assert distance(ours[inside], image[0][inside]) > 1e-2


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("acceleration", [2, 3, 4])
def test_beats_sense_and_zero_filling_with_its_defaults(acceleration: int, known: bool) -> None:
    image, data = noisy_phantom(lines(64, acceleration, 8), SIGMA, shape=(1, 6, 64, 64), image=blocks(), known=known)
    others = [distance(Sense(regularisation=weight)(data).image, image) for weight in (0.0, 0.01, 0.03, 0.1, 0.3)]
    others.append(distance(ZeroFilled()(data).image, image))
    assert distance(Wavelet()(data).image, image) < 0.9 * min(others)


@BOTH_MASKS
@pytest.mark.parametrize("spin", [False, True])
def test_without_a_weight_it_is_least_squares(pattern: str, spin: bool) -> None:
    """And reached in a hundred steps, which momentum without a restart does not do."""
    _, data = noisy_phantom(MASKS[pattern], SIGMA)
    found = Wavelet(regularisation=0.0, iterations=100, spin=spin)(data).image
    assert distance(found, Sense(regularisation=0.0, iterations=500, tolerance=1e-6)(data).image) < 5e-5


@pytest.mark.parametrize("known", [False, True])
def test_the_weight_follows_the_scale_of_the_data(known: bool) -> None:
    _, data = noisy_phantom(MASKS["lines"], SIGMA, known=known)
    cov = None if data.noise_cov is None else 1e6 * data.noise_cov
    scaled = Wavelet()(replace(data, kspace=1e3 * data.kspace, noise_cov=cov)).image
    assert distance(scaled / 1e3, Wavelet()(data).image) < 1e-4


def test_louder_noise_is_thresholded_more() -> None:
    """The same data, said to be noisier: as many times the noise as the weight."""
    _, data = noisy_phantom(MASKS["lines"], SIGMA)
    assert data.noise_cov is not None
    louder = replace(data, noise_cov=9 * data.noise_cov)
    models = [Wavelet(regularisation=weight, spin=False) for weight in (0.4, 1.2)]
    assert distance(models[0](louder).image, models[1](data).image) < 1e-5
    details = [_transform(models[0](one).image, 4, "analyse")[:, 3:].abs().sum() for one in (data, louder)]
    assert details[1] < 0.9 * details[0]


@BOTH_MASKS
def test_the_weight_is_one_of_the_samples_whatever_the_scale_of_the_maps(pattern: str) -> None:
    """½‖2 A x − y‖² + w ‖x‖ is least where x is half of what is best for half of w; not whitened, as that scales the maps."""
    _, data = noisy_phantom(MASKS[pattern], SIGMA)
    assert data.maps is not None
    settings = {"iterations": 400, "spin": False, "prewhiten": False}
    doubled = Wavelet(regularisation=4.0, **settings)(replace(data, maps=2 * data.maps)).image
    assert distance(2 * doubled, Wavelet(regularisation=2.0, **settings)(data).image) < 1e-3


@pytest.mark.parametrize("support", [False, True])
@pytest.mark.parametrize("size", [(48, 32), (45, 37)])
def test_lines_and_the_same_lines_as_a_plane_agree(support: bool, size: tuple[int, int]) -> None:
    """Columns are worked on transposed and without the empty ones: the wavelets see the same pictures."""
    _, data = noisy_phantom(lines(size[0], 3, 12), SIGMA, shape=(2, 6, *size), support=support)
    model = Wavelet(regularisation=1.0, spin=False)
    plane = replace(data, mask=data.mask.expand(size).contiguous())
    assert distance(model(plane).image, model(data).image) < 1e-5


@BOTH_MASKS
def test_nothing_where_no_coil_sees_anything(pattern: str) -> None:
    _, data = noisy_phantom(MASKS[pattern], SIGMA, support=True)
    assert data.maps is not None
    found = Wavelet()(data).image
    inside = data.maps.abs().sum(1) > 0
    assert torch.all(found[~inside] == 0)
    assert torch.all(found[inside] != 0)
    assert 0.1 < inside.float().mean() < 0.9


@BOTH_MASKS
@pytest.mark.parametrize("spin", [False, True])
def test_slices_without_an_object_or_samples_stay_empty(pattern: str, spin: bool) -> None:
    _, data = noisy_phantom(MASKS[pattern], SIGMA, shape=(4, 6, 48, 32), known=False)
    assert data.maps is not None
    alone = Wavelet(spin=spin)(replace(data, kspace=data.kspace[2:3], maps=data.maps[2:3])).image
    data.kspace[1] = 0
    data.maps[0] = 0
    data.kspace[3] = data.maps[3] = 0
    found = Wavelet(spin=spin)(data).image
    assert torch.all(found[[0, 1, 3]] == 0)
    torch.testing.assert_close(found[2], alone[0], rtol=1e-4, atol=1e-5)


@BOTH_MASKS
def test_a_volume_without_an_object_is_empty(pattern: str) -> None:
    _, data = noisy_phantom(MASKS[pattern], SIGMA, known=False)
    empty = replace(data, kspace=0 * data.kspace, maps=0 * data.maps)  # type: ignore[operator]
    assert torch.equal(Wavelet()(empty).image, torch.zeros(1, 48, 32, dtype=torch.complex64))


def test_two_sets_reconstruct_an_object_larger_than_the_field_of_view() -> None:
    truth, data = folded_phantom(1)
    assert distance(Wavelet()(data).image.abs(), truth) > 0.12
    truth, data = folded_phantom(2)
    found = Wavelet(map_sets=2)(data)
    assert (found.kind, found.combination) == ("magnitude", "rss")
    assert distance(found.image, truth) < 0.05


BASE = {"regularisation": 0.4, "iterations": 20, "tolerance": 0.0, "levels": 3, "spin": False}


@pytest.mark.parametrize(
    "other",
    [
        {"regularisation": 1.0},
        {"iterations": 4},
        {"tolerance": 0.05},
        {"levels": 1},
        {"spin": True},
        {"virtual_coils": 3},
        {"prewhiten": False},
    ],
    ids=str,
)
def test_every_setting_matters(other: dict[str, Any]) -> None:
    data = replace(noisy_phantom(MASKS["lines"])[1], noise_cov=LOUD_COIL)
    assert distance(Wavelet(**{**BASE, **other})(data).image, Wavelet(**BASE)(data).image) > 1e-3


@pytest.mark.parametrize(
    "setting",
    [
        {"regularisation": -0.1},
        {"regularisation": float("nan")},
        {"regularisation": float("inf")},
        {"iterations": 0},
        {"tolerance": 1.0},
        {"tolerance": -1e-9},
        {"levels": 0},
        {"levels": 11},
        {"map_sets": 0},
        {"virtual_coils": 0},
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(HalfscanError, match=f"^model.{next(iter(setting))}="):
        Wavelet(**setting)
