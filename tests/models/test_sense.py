"""SENSE solves the problem that it states, on few coils and many, on lines and planes, whatever lies beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from halfscan.bench import encoding
from halfscan.bench.errors import HalfscanError, NotApplicable
from halfscan.bench.operators import adjoint, combine, forward, sample, to_image, to_kspace
from halfscan.bench.reconstruction import ReconInput
from halfscan.bench.sampling.equispaced import Equispaced
from halfscan.models.conjugate_gradients import conjugate_gradients
from halfscan.models.sense import Sense

from ..conftest import phantom
from .solving import LOUD_COIL, distance, folded_phantom, lines, noise_like, noisy_phantom, scattered


def _data(acceleration: int) -> tuple[torch.Tensor, ReconInput]:
    image, maps, kspace = phantom(slices=2, coils=6)
    mask = torch.from_numpy(np.arange(48) % acceleration == 0)[:, None]
    data = ReconInput(kspace=torch.where(mask, kspace, 0), mask=mask, acs=None, maps=maps, noise_cov=None, field_of_view=(48, 40))
    return image, data


def test_unfolds_noise_free_data_with_true_maps() -> None:
    image, data = _data(2)
    found = Sense(regularisation=0.0, iterations=200, tolerance=1e-6)(data).image
    assert torch.linalg.vector_norm(found - image) < 1e-3 * torch.linalg.vector_norm(image)


def test_satisfies_the_normal_equations() -> None:
    _, data = _data(3)
    assert data.maps is not None
    found = Sense(regularisation=0.05, iterations=200, tolerance=1e-6)(data).image
    right = adjoint(data.kspace, data.maps, data.mask)
    left = adjoint(forward(found, data.maps, data.mask), data.maps, data.mask) + 0.05 * found
    assert torch.linalg.vector_norm(left - right) < 1e-4 * torch.linalg.vector_norm(right)


def test_more_regularisation_shrinks() -> None:
    _, data = _data(3)
    norms = [torch.linalg.vector_norm(Sense(regularisation=weight)(data).image).item() for weight in (0.0, 0.01, 0.1, 1.0)]
    assert norms == sorted(norms, reverse=True)


def test_two_sets_reconstruct_an_object_larger_than_the_field_of_view_and_one_does_not() -> None:
    settings = {"regularisation": 0.003, "iterations": 100}
    truth, data = folded_phantom(1)
    assert distance(Sense(**settings)(data).image.abs(), truth) > 0.12
    truth, data = folded_phantom(2)
    found = Sense(map_sets=2, **settings)(data)
    assert (found.kind, found.combination) == ("magnitude", "rss")
    assert found.image.dtype == torch.float32
    assert distance(found.image, truth) < 0.04


def test_two_sets_satisfy_their_normal_equations() -> None:
    _, data = folded_phantom(2)
    assert data.maps is not None
    found = torch.zeros(1, 2, 48, 40, dtype=torch.complex64)
    model = Sense(map_sets=2, regularisation=0.05, iterations=300, tolerance=1e-6)
    for systems in model.encode(data):
        systems.put(conjugate_gradients(systems, model.regularisation, model.iterations, model.tolerance), found)
    seen = sum(forward(found[:, one], data.maps[:, one], data.mask) for one in (0, 1))
    for one in (0, 1):
        right = adjoint(data.kspace, data.maps[:, one], data.mask)
        left = adjoint(seen, data.maps[:, one], data.mask) + 0.05 * found[:, one]
        assert distance(left, right) < 1e-4


def test_more_sets_than_coils_are_refused() -> None:
    mask = Equispaced(acceleration=2, acs_lines=12).draw(np.ones(48, dtype=bool), "test")
    Sense(map_sets=2).check(mask, 2)
    with pytest.raises(NotApplicable, match=r"model\.map_sets=3 .* there are 2: use model\.map_sets=1"):
        Sense(map_sets=3).check(mask, 2)


def test_half_the_coils_are_as_good() -> None:
    image, data = noisy_phantom(lines(48, 2, 12), 0.02, shape=(1, 12, 48, 40))
    error = {number: distance(Sense(virtual_coils=number)(data).image, image) for number in (None, 12, 20, 6, 2)}
    assert error[None] == error[12] == error[20]
    assert error[None] < error[6] < 1.1 * error[None]
    assert error[2] > 1.5 * error[None]


def test_compressed_coils_have_the_same_weight() -> None:
    """Few coils see less of the signal: the maps are scaled, so that λ means the same."""
    _, data = noisy_phantom(torch.ones(48, 1, dtype=torch.bool), 0.0, shape=(1, 12, 48, 40), known=False)
    assert data.maps is not None
    full = combine(to_image(data.kspace), data.maps)
    for number in (None, 6, 1):
        shrunk = Sense(regularisation=1.0, virtual_coils=number, iterations=100)(data).image
        assert shrunk.abs().mean() == pytest.approx(0.5 * full.abs().mean().item(), rel=0.3)


def test_whitening_lowers_the_noise_of_a_loud_coil() -> None:
    image, maps, clean = phantom(1, 6, 48, 40)
    covariance = 2 * 0.02**2 * torch.diag(torch.tensor([1, 1, 1, 1, 1, 100.0])).to(torch.complex64)
    noise = torch.einsum("cd,sdyx->scyx", torch.linalg.cholesky(covariance), noise_like(clean, 0.5**0.5))
    mask = lines(48, 2, 12)
    data = ReconInput(
        kspace=sample(clean + noise, mask), mask=mask, acs=None, maps=maps, noise_cov=covariance, field_of_view=(48, 40)
    )
    error = {white: distance(Sense(prewhiten=white)(data).image, image) for white in (True, False)}
    assert error[True] < 0.5 * error[False]
    unknown = Sense()(replace(data, noise_cov=None)).image
    assert torch.equal(Sense(prewhiten=False)(data).image, unknown)


def test_whitening_is_refused_where_it_can_not_be() -> None:
    _, data = noisy_phantom(lines(48, 2, 12), 0.02)
    singular = replace(data, noise_cov=torch.ones(6, 6, dtype=torch.complex64))
    with pytest.raises(HalfscanError, match="not positive definite"):
        Sense()(singular)
    assert torch.isfinite(Sense(prewhiten=False)(singular).image.abs()).all()


@pytest.mark.parametrize("settings", [{}, {"virtual_coils": 4}, {"map_sets": 2}], ids=str)
def test_lines_and_the_same_lines_as_a_plane_agree(settings: dict[str, Any]) -> None:
    if "map_sets" in settings:
        _, data = folded_phantom(2)
    else:
        _, data = noisy_phantom(lines(48, 3, 12), 0.05, shape=(2, 6, 48, 40), support=True)
    model = Sense(regularisation=0.02, iterations=300, tolerance=1e-6, **settings)
    plane = replace(data, mask=data.mask.expand(48, 40).contiguous())
    assert distance(model(plane).image, model(data).image) < 1e-4


@pytest.mark.parametrize("pattern", ["lines", "plane"])
def test_a_slice_depends_on_no_other_and_not_on_how_the_work_is_cut(pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slice that is solved at once, one that is not, and one of another scale."""
    mask = lines(48, 3, 12) if pattern == "lines" else scattered(48, 32)
    _, data = noisy_phantom(mask, 0.05, shape=(3, 6, 48, 32), support=True, known=False)
    assert data.maps is not None
    data.kspace[0] = sample(to_kspace(1e3 * data.maps[0]), mask)
    data.kspace[2] *= 1e-3
    together = Sense()(data).image
    alone = [Sense()(replace(data, kspace=data.kspace[one : one + 1], maps=data.maps[one : one + 1])).image for one in range(3)]
    monkeypatch.setitem(encoding._CHUNK, "cpu", 1)
    cut = Sense()(data).image
    for index in range(3):
        assert distance(together[index], alone[index][0]) < 1e-5
        assert distance(cut[index], together[index]) < 1e-5


@pytest.mark.parametrize("size", [(48, 1), (1, 32), (2, 2), (31, 27)])
@pytest.mark.parametrize("coils", [1, 4])
def test_thin_small_and_odd_matrices(size: tuple[int, int], coils: int) -> None:
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(2, coils, *size, dtype=torch.complex64, generator=generator)
    image = torch.randn(2, *size, dtype=torch.complex64, generator=generator)
    mask = torch.arange(size[0])[:, None] % 2 == 0
    data = ReconInput(kspace=forward(image, maps, mask), mask=mask, acs=None, maps=maps, noise_cov=None, field_of_view=size)
    found = Sense(regularisation=0.05, iterations=500, tolerance=1e-6)(data).image
    left = adjoint(forward(found, maps, mask), maps, mask) + 0.05 * found
    assert distance(left, adjoint(data.kspace, maps, mask)) < 1e-4


@pytest.mark.parametrize("coils", [1, 6])
def test_a_full_scan_is_shrunk_by_its_weight(coils: int) -> None:
    _, data = noisy_phantom(torch.ones(48, 1, dtype=torch.bool), 0.05, shape=(2, coils, 48, 32))
    assert data.maps is not None
    full = combine(to_image(data.kspace), data.maps)
    assert distance(Sense(regularisation=0.25)(data).image, full / 1.25) < 1e-4


@pytest.mark.parametrize("pattern", ["lines", "plane"])
@pytest.mark.parametrize("virtual_coils", [None, 3])
def test_slices_without_an_object_or_samples_stay_empty(pattern: str, virtual_coils: int | None) -> None:
    mask = lines(48, 3, 12) if pattern == "lines" else scattered(48, 32)
    _, data = noisy_phantom(mask, 0.05, shape=(4, 6, 48, 32), known=False)
    assert data.maps is not None
    data.kspace[1] = 0
    data.maps[0] = 0
    data.kspace[3] = data.maps[3] = 0
    for settings in ({}, {"tolerance": 0.0, "iterations": 200, "regularisation": 0.0}):
        found = Sense(virtual_coils=virtual_coils, **settings)(data).image
        assert torch.all(found[[0, 1, 3]] == 0)
        assert torch.isfinite(found.abs()).all()
        assert found[2].abs().max() > 0
        empty = replace(data, kspace=0 * data.kspace, maps=0 * data.maps)
        assert torch.all(Sense(virtual_coils=virtual_coils, **settings)(empty).image == 0)


BASE = {"regularisation": 0.01, "iterations": 10, "tolerance": 1e-3}


@pytest.mark.parametrize(
    "other", [{"regularisation": 0.1}, {"iterations": 1}, {"tolerance": 0.3}, {"virtual_coils": 3}, {"prewhiten": False}], ids=str
)
def test_every_setting_matters(other: dict[str, Any]) -> None:
    data = replace(noisy_phantom(lines(48, 3, 12))[1], noise_cov=LOUD_COIL)
    assert distance(Sense(**{**BASE, **other})(data).image, Sense(**BASE)(data).image) > 1e-3


@pytest.mark.parametrize(
    "setting",
    [
        {"regularisation": -1.0},
        {"regularisation": float("nan")},
        {"iterations": 0},
        {"tolerance": 1.0},
        {"map_sets": 0},
        {"virtual_coils": 0},
        {"virtual_coils": 1, "map_sets": 2},
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(HalfscanError, match=f"^model.{next(iter(setting))}="):
        Sense(**setting)
