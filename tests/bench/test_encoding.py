"""The normal equations that solvers see are those of the operators, whatever the mask, the sets, the mixing and the cutting."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from halfscan.bench import encoding
from halfscan.bench.convolution import fft_length
from halfscan.bench.encoding import Systems, encode
from halfscan.bench.noise import noise_level
from halfscan.bench.operators import adjoint, forward, sample, to_kspace
from halfscan.bench.reconstruction import ReconInput

SLICES, COILS, HEIGHT, READOUT = 3, 4, 20, 14
BOTH_MASKS = pytest.mark.parametrize("pattern", ["lines", "plane"])
BOTH_SETS = pytest.mark.parametrize("sets", [1, 2])


def _random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed))


def _mask(pattern: str, height: int = HEIGHT, readout: int = READOUT) -> torch.Tensor:
    if pattern == "full":
        return torch.ones(height, 1, dtype=torch.bool)
    width = 1 if pattern == "lines" else readout
    return torch.rand(height, width, generator=torch.Generator().manual_seed(5)) < 0.6


def _data(pattern: str, sets: int = 1, noise_cov: torch.Tensor | None = None, slices: int = SLICES) -> ReconInput:
    """Random k-space and maps; the first slice has no object in its columns 0, 1, 5 and 13, the last slice has none at all."""
    mask = _mask(pattern)
    maps = _random(slices, sets, COILS, HEIGHT, READOUT, seed=1)
    maps[0, ..., [0, 1, 5, 13]] = 0
    if slices > 1:
        maps[-1] = 0
    kspace = sample(_random(slices, COILS, HEIGHT, READOUT, seed=2), mask)
    maps = maps[:, 0] if sets == 1 else maps
    return ReconInput(kspace=kspace, mask=mask, acs=None, maps=maps, noise_cov=noise_cov, field_of_view=(HEIGHT, READOUT))


def _maps(data: ReconInput) -> torch.Tensor:
    assert data.maps is not None
    return data.maps if data.maps.ndim == 5 else data.maps[:, None]


def _take(systems: Systems, volume: torch.Tensor) -> torch.Tensor:
    """The systems' part of a volume (slice, set, ky, kx)."""
    if systems.columns is None:
        return volume[systems.slices][systems.window]
    volume = volume[:, :, systems.window[1]]
    pairs = zip(systems.slices.tolist(), systems.columns.tolist(), strict=True)
    return torch.stack([volume[one, :, :, column] for one, column in pairs])


def _forward(image: torch.Tensor, data: ReconInput) -> torch.Tensor:
    maps = _maps(data)
    return torch.stack([forward(image[:, one], maps[:, one], data.mask) for one in range(maps.shape[1])]).sum(0)


def _adjoint(kspace: torch.Tensor, data: ReconInput) -> torch.Tensor:
    maps = _maps(data)
    return torch.stack([adjoint(kspace, maps[:, one], data.mask) for one in range(maps.shape[1])], 1)


def _close(found: torch.Tensor, expected: torch.Tensor, tolerance: float = 1e-5) -> None:
    assert found.shape == expected.shape
    assert torch.linalg.vector_norm(found - expected) <= tolerance * torch.linalg.vector_norm(expected)


def _covariance(seed: int = 3) -> torch.Tensor:
    root = _random(COILS, COILS, seed=seed)
    return root @ root.mH + torch.eye(COILS)


@BOTH_SETS
@BOTH_MASKS
@pytest.mark.parametrize("whole_slices", [False, True])
def test_normal_is_the_operators_own(pattern: str, sets: int, whole_slices: bool) -> None:
    data, image = _data(pattern, sets), _random(SLICES, sets, HEIGHT, READOUT)
    found = torch.zeros_like(image)
    for systems in encode(data, whole_slices=whole_slices):
        systems.put(systems.normal(_take(systems, image)), found)
    _close(found, _adjoint(_forward(image, data), data))


@BOTH_SETS
@BOTH_MASKS
def test_right_is_the_operators_adjoint(pattern: str, sets: int) -> None:
    data = _data(pattern, sets)
    found = torch.zeros(SLICES, sets, HEIGHT, READOUT, dtype=torch.complex64)
    for systems in encode(data):
        systems.put(systems.right, found)
    _close(found, _adjoint(data.kspace, data))


@BOTH_SETS
@BOTH_MASKS
def test_normal_is_self_adjoint_and_not_negative(pattern: str, sets: int) -> None:
    for systems in encode(_data(pattern, sets, _covariance())):
        one, other = _random(*systems.right.shape, seed=7), _random(*systems.right.shape, seed=8)
        left, right = (
            torch.vdot(systems.normal(one).flatten(), other.flatten()),
            torch.vdot(one.flatten(), systems.normal(other).flatten()),
        )
        assert (left - right).abs() <= 1e-5 * torch.linalg.vector_norm(systems.normal(one)) * torch.linalg.vector_norm(other)
        assert torch.vdot(one.flatten(), systems.normal(one).flatten()).real > 0


@BOTH_MASKS
def test_pictures_are_whole_slices_and_systems_what_they_show_of_the_object(pattern: str) -> None:
    data, image = _data(pattern, 2), _random(SLICES, 2, HEIGHT, READOUT)
    (systems,) = encode(data, whole_slices=True)
    some = _take(systems, image)
    pictures = systems.pictures(some)
    assert torch.equal(systems.systems(pictures), some)
    if pattern == "lines":
        image = (image * (_maps(data) != 0).flatten(1, 3).any(1)[:, None, None]).transpose(2, 3)
    assert torch.equal(pictures, image[:2])


@BOTH_MASKS
def test_a_number_of_each_slice(pattern: str) -> None:
    (systems,) = encode(_data(pattern), whole_slices=True)
    numbers = systems.each_slice(systems.slices.float() + 0.5)
    assert numbers.shape == (2, 1, 1, 1)
    assert numbers.flatten().tolist() == [0.5, 1.5]


@BOTH_MASKS
def test_put_is_the_inverse_of_taking(pattern: str) -> None:
    data, image = _data(pattern), _random(SLICES, 1, HEIGHT, READOUT)
    found = torch.zeros_like(image)
    for systems in encode(data):
        systems.put(_take(systems, image), found)
    seen = (_maps(data) != 0).flatten(1, 3).any(1)
    assert torch.equal(found, image * (seen if pattern == "lines" else seen.any(1, keepdim=True))[:, None, None])


def test_columns_without_an_object_are_left_out() -> None:
    (systems,) = encode(_data("lines"))
    assert systems.columns is not None
    assert systems.slices.unique().tolist() == [0, 1]
    assert systems.columns[systems.slices == 0].tolist() == [one for one in range(READOUT) if one not in (0, 1, 5, 13)]
    assert systems.columns[systems.slices == 1].tolist() == list(range(READOUT))


@BOTH_MASKS
def test_whole_slices_are_never_cut(pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(encoding._CHUNK, "cpu", 1)
    every = list(encode(_data(pattern), whole_slices=True))
    assert [one.slices.unique().tolist() for one in every] == [[0], [1]]
    assert all(one.pictures(one.right).shape[0] == 1 for one in every)


@BOTH_MASKS
def test_slices_without_an_object_are_left_out(pattern: str) -> None:
    assert all(2 not in systems.slices for systems in encode(_data(pattern), whole_slices=True))


def _joined(systems: Iterator[Systems]) -> dict[str, torch.Tensor]:
    every = list(systems)
    names = ("maps", "right", "noise", "scale", "slices", *(["columns"] if every[0].columns is not None else []))
    return {name: torch.cat([getattr(one, name) for one in every]) for name in names} | {"number": torch.tensor(len(every))}


@pytest.mark.parametrize("whole_slices", [False, True])
@BOTH_MASKS
def test_cutting_up_changes_nothing(pattern: str, whole_slices: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    data = _data(pattern, 2, _covariance())
    whole = _joined(encode(data, whole_slices=whole_slices, virtual_coils=3))
    monkeypatch.setitem(encoding._CHUNK, "cpu", 1)
    cut = _joined(encode(data, whole_slices=whole_slices, virtual_coils=3))
    assert cut.pop("number") > whole.pop("number") == 1
    for name, value in whole.items():
        torch.testing.assert_close(cut[name], value, rtol=1e-5, atol=1e-5)


@BOTH_MASKS
def test_select_keeps_systems_whole(pattern: str) -> None:
    (systems,) = encode(_data(pattern, 2))
    kept = torch.arange(len(systems.right)) % 2 == 1
    some = systems.select(kept)
    image = _random(*systems.right.shape)
    _close(some.normal(image[kept]), systems.normal(image)[kept])
    assert torch.equal(some.right, systems.right[kept])
    assert (some.columns is None) == (pattern == "plane")


def _solved(data: ReconInput, **settings: Any) -> torch.Tensor:
    """(slice, set, ky, kx) solutions of the systems, each inverted as a dense matrix."""
    found = torch.zeros(len(data.kspace), _maps(data).shape[1], HEIGHT, READOUT, dtype=torch.complex64)
    for systems in encode(data, **settings):
        size = systems.right[0].numel()
        units = torch.eye(size, dtype=torch.complex64).reshape(size, *systems.right.shape[1:])
        columns = torch.stack([systems.normal(one.expand_as(systems.right)).flatten(1) for one in units], -1)
        solution = torch.linalg.solve(columns.to(torch.complex128), systems.right.flatten(1).to(torch.complex128))
        systems.put(solution.to(torch.complex64).view_as(systems.right), found)
    return found


@pytest.mark.parametrize("prewhiten", [True, False])
@BOTH_MASKS
def test_the_solution_is_that_of_weighted_least_squares(pattern: str, prewhiten: bool) -> None:
    """Against the whole encoding matrix of a slice and the inverse covariance."""
    covariance = _covariance()
    data = _data(pattern, 1, covariance, slices=1)
    assert data.maps is not None
    data.maps[:] = _random(1, COILS, HEIGHT, READOUT, seed=1)
    pixels = HEIGHT * READOUT
    units = torch.eye(pixels, dtype=torch.complex64).reshape(pixels, HEIGHT, READOUT)
    matrix = forward(units, data.maps, data.mask).reshape(pixels, -1).T.to(torch.complex128)
    weight = torch.linalg.inv(covariance.to(torch.complex128)) if prewhiten else torch.eye(COILS, dtype=torch.complex128)
    weighted = torch.einsum("cd,dsp->csp", weight, matrix.reshape(COILS, -1, pixels)).reshape(-1, pixels)
    truth = torch.linalg.solve(matrix.mH @ weighted, weighted.mH @ data.kspace.flatten().to(torch.complex128))
    _close(_solved(data, prewhiten=prewhiten)[0, 0].to(torch.complex128), truth.reshape(HEIGHT, READOUT), 1e-3)


@pytest.mark.parametrize("pattern", ["full", "plane"])
def test_coils_are_whitened_and_then_compressed(pattern: str) -> None:
    """Where two combinations of coils hold everything, noise included, two virtual coils solve what all coils solve."""
    data, mixed = _data(pattern, 1, _covariance(), slices=1), _random(COILS, 2, seed=13)
    assert data.maps is not None
    data.maps[:] = torch.einsum("cv,svyx->scyx", mixed, _random(1, 2, HEIGHT, READOUT, seed=14))
    noisy = torch.einsum("cv,svyx->scyx", mixed, _random(1, 2, HEIGHT, READOUT, seed=15))
    data.kspace[:] = forward(_random(1, HEIGHT, READOUT), data.maps, data.mask) + sample(noisy, data.mask)
    _close(_solved(data, virtual_coils=2), _solved(data), 1e-3)


@pytest.mark.parametrize("settings", [{}, {"virtual_coils": 2}, {"prewhiten": False, "virtual_coils": 2}], ids=str)
@pytest.mark.parametrize("pattern", ["full", "plane"])
def test_noise_is_that_of_the_mixed_samples(pattern: str, settings: dict[str, Any]) -> None:
    """Of a fully sampled pixel Aᴴy varies as a sample does, times the power of the maps: measured over many slices."""
    slices, size = 400, (16, 16)
    signal = 300 * torch.einsum("cv,vyx->cyx", _random(COILS, 2, seed=11), _random(2, *size, seed=12))
    # Where noise is not whitened, it is white here, as the maps would weight its coils.
    covariance = torch.eye(COILS, dtype=torch.complex64) if "prewhiten" in settings else _covariance()
    noise = torch.einsum("cd,sdyx->scyx", torch.linalg.cholesky(covariance), _random(slices, COILS, *size, seed=9))
    data = ReconInput(
        kspace=signal + noise,
        mask=torch.ones(16, 1 if pattern == "full" else 16, dtype=torch.bool),
        acs=None,
        maps=_random(1, COILS, *size, seed=10).expand(slices, -1, -1, -1),
        noise_cov=covariance,
        field_of_view=size,
    )
    right, power, stated = torch.zeros(slices, 1, *size, dtype=torch.complex64), torch.zeros(slices, 1, *size), []
    for systems in encode(data, **settings):
        systems.put(systems.right, right)
        systems.put((systems.maps.abs() ** 2).sum(2), power)
        stated.append(systems.noise)
    measured = (right.var(0) / power.mean(0)).mean() / 2
    assert measured.sqrt().item() == pytest.approx(torch.cat(stated).mean().item(), rel=0.03)


def test_estimated_noise_is_mixed_as_known_noise_is() -> None:
    estimate = noise_level(_data("lines").kspace, None)
    (plain,) = encode(_data("lines"))
    assert torch.equal(plain.noise, estimate[plain.slices])
    white = _data("lines", 1, 2 * torch.eye(COILS))
    (mixed,), (known,) = encode(_data("lines"), virtual_coils=2), encode(white, virtual_coils=2)
    torch.testing.assert_close(mixed.noise / known.noise, estimate[mixed.slices])


@BOTH_MASKS
def test_mixed_maps_keep_unit_power_on_average(pattern: str) -> None:
    """So that the weight of a penalty means the same with whitening, compression and neither."""
    data = _data(pattern, 1, 1e4 * _covariance())
    for settings in ({}, {"virtual_coils": 2}, {"prewhiten": False, "virtual_coils": 2}):
        total, count = np.zeros(2), np.zeros(2)
        for systems in encode(data, **settings):
            power = (systems.maps.abs() ** 2).sum((1, 2))
            for index in (0, 1):
                some = power[systems.slices == index]
                total[index] += some.sum()
                count[index] += (some > 0).sum()
        assert total / count == pytest.approx(np.ones(2), rel=1e-4)


def test_white_noise_of_equal_coils_changes_nothing() -> None:
    data = _data("lines")
    maps = _maps(data)
    maps /= torch.linalg.vector_norm(maps, dim=2, keepdim=True).clamp(min=1e-9)
    white = _data("lines", 1, 4 * torch.eye(COILS, dtype=torch.complex64))
    white.maps[:] = data.maps  # type: ignore[index]
    (one,), (other,) = encode(data), encode(white)
    _close(other.right, one.right)
    _close(other.maps, one.maps)


@BOTH_MASKS
def test_scale_is_the_mean_over_a_slice(pattern: str) -> None:
    (systems,) = encode(_data(pattern, 2))
    power = (systems.right.abs() ** 2).flatten(1).sum(1)
    for index in (0, 1):
        here = systems.slices == index
        torch.testing.assert_close(systems.scale[here], power[here].mean().expand(int(here.sum())))


@pytest.mark.parametrize("whole_slices", [False, True])
@BOTH_MASKS
def test_a_volume_without_an_object_has_no_systems(pattern: str, whole_slices: bool) -> None:
    data = _data(pattern)
    _maps(data)[:] = 0
    assert list(encode(data, whole_slices=whole_slices)) == []


@BOTH_SETS
@BOTH_MASKS
@pytest.mark.parametrize("whole_slices", [False, True])
def test_negligible_sensitivity_saves_coils_and_changes_little(pattern: str, sets: int, whole_slices: bool) -> None:
    """Four coils that are mixtures of two but for a thousandth: two are left, and Aᴴy keeps everything."""
    data, image = _data(pattern, sets), _random(SLICES, sets, HEIGHT, READOUT)
    maps = _maps(data)
    maps[:] = torch.einsum("cv,zsvyx->zscyx", _random(COILS, 2, seed=13), maps[:, :, :2]) + 1e-3 * maps
    found, right = torch.zeros_like(image), torch.zeros_like(image)
    for systems in encode(data, whole_slices=whole_slices, negligible=1e-3):
        assert systems.maps.shape[2] == 2
        systems.put(systems.normal(_take(systems, image)), found)
        systems.put(systems.right, right)
    _close(found, _adjoint(_forward(image, data), data), 1e-4)
    _close(right, _adjoint(data.kspace, data))


@pytest.mark.parametrize("chunk", [1, 2000, 2**18])
@BOTH_SETS
@BOTH_MASKS
@pytest.mark.parametrize("whole_slices", [False, True])
def test_objects_of_any_extents_side_by_side(
    chunk: int, pattern: str, sets: int, whole_slices: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing that one part of the systems leaves behind gets into the next, nor into the next step."""
    monkeypatch.setitem(encoding._CHUNK, "cpu", chunk)
    reaches = [(0, 30), (10, 13), (3, 20), (0, 46), (44, 46), (20, 46)]
    mask, maps = _mask(pattern, 46, 37), torch.zeros(6, sets, COILS, 46, 37, dtype=torch.complex64)
    for index, (start, stop) in enumerate(reaches):
        maps[index, ..., start:stop, :] = _random(sets, COILS, stop - start, 37, seed=index)
        # Its columns reach from one row to all of them, every other one from below.
        for column in range(37):
            reach = 1 + 11 * column % 46
            maps[index, ..., slice(start + reach, None) if column % 2 else slice(max(stop - reach, 0)), column] = 0
    # The longest columns are in the middle, and the others together reach further.
    maps[0] = 0
    maps[0, ..., 10:30, ::2], maps[0, ..., 0, 1::4], maps[0, ..., 45, 3::4] = 1, 2, 3
    kspace = sample(_random(6, COILS, 46, 37, seed=2), mask)
    data = ReconInput(kspace=kspace, mask=mask, acs=None, maps=maps, noise_cov=None, field_of_view=(46, 37))
    images = [_random(6, sets, 46, 37, seed=seed) for seed in (21, 22)]
    found = [torch.zeros_like(image) for image in images]
    for systems in encode(data, whole_slices=whole_slices):
        for image, into in zip(images, found, strict=True):
            every = _take(systems, image)
            systems.put(systems.normal(every), into)
            kept = torch.arange(len(every)) % 3 == 1
            _close(systems.select(kept).normal(every[kept]), systems.normal(every)[kept])
    for image, one in zip(images, found, strict=True):
        _close(one, _adjoint(_forward(image, data), data))


@pytest.mark.parametrize("extent", [1, 5, 14, 15, 20, 31, 46])
@BOTH_SETS
@BOTH_MASKS
@pytest.mark.parametrize("whole_slices", [False, True])
def test_objects_smaller_than_the_matrix(extent: int, pattern: str, sets: int, whole_slices: bool) -> None:
    """Of awkward lengths (46, 37) too, where the convolution is done at another one."""
    height, readout = 46, 37
    mask = _mask(pattern, height, readout)
    maps, image = torch.zeros(2, sets, COILS, height, readout, dtype=torch.complex64), _random(2, sets, height, readout)
    rows, columns = slice(46 - extent, 46), slice(3, 3 + min(extent, 30))
    maps[..., rows, columns] = _random(2, sets, COILS, extent, min(extent, 30), seed=1)
    kspace = sample(_random(2, COILS, height, readout, seed=2), mask)
    data = ReconInput(kspace=kspace, mask=mask, acs=None, maps=maps, noise_cov=None, field_of_view=(height, readout))
    found, right, seen = torch.zeros_like(image), torch.zeros_like(image), torch.zeros_like(image)
    for systems in encode(data, whole_slices=whole_slices):
        assert systems.window[1] == rows
        assert systems.right.shape[2] == extent
        systems.put(systems.normal(_take(systems, image)), found)
        systems.put(systems.right, right)
        if whole_slices:
            some = _take(systems, image)
            pictures = systems.pictures(some)
            assert torch.equal(systems.systems(pictures), some)
            seen[systems.slices.unique()] = pictures if pattern == "plane" else pictures.transpose(2, 3)
    _close(found, _adjoint(_forward(image, data), data))
    _close(right, _adjoint(data.kspace, data))
    if whole_slices:
        assert torch.equal(seen, image * (maps != 0).any(2))


@pytest.mark.parametrize(
    ("period", "extent", "length"),
    [
        (256, 256, 256),
        (230, 230, 512),
        (230, 190, 384),
        (230, 120, 256),
        (256, 100, 224),
        (368, 368, 768),
        (368, 300, 640),
        (7, 1, 1),
    ],
)
def test_transforms_are_of_quick_lengths(period: int, extent: int, length: int) -> None:
    assert fft_length(period, extent) == length


@pytest.mark.parametrize("size", [(20, 1), (1, 14), (15, 7)])
def test_thin_and_odd_matrices(size: tuple[int, int]) -> None:
    maps, image = _random(1, COILS, *size, seed=1), _random(1, 1, *size)
    mask = torch.arange(size[0])[:, None] % 2 == 0
    data = ReconInput(kspace=sample(to_kspace(maps), mask), mask=mask, acs=None, maps=maps, noise_cov=None, field_of_view=size)
    found, right = torch.zeros_like(image), torch.zeros_like(image)
    for systems in encode(data):
        systems.put(systems.normal(_take(systems, image)), found)
        systems.put(systems.right, right)
    _close(found, _adjoint(_forward(image, data), data))
    _close(right, _adjoint(data.kspace, data))
