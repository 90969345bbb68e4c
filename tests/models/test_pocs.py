"""POCS keeps what was measured, finds what the phase says of the rest, and refuses all else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from halfscan.bench.errors import HalfscanError, NotApplicable
from halfscan.bench.operators import to_kspace
from halfscan.bench.sampling.mask import Mask
from halfscan.models.pocs import Pocs
from halfscan.models.zero_filled import ZeroFilled

from .one_sided import REFUSED, SIZES, against_zero_filling, data_of, draw, error, one_phase, slow_phase

LONG = Pocs(iterations=60, tolerance=0.0)


@pytest.mark.parametrize("above", [True, False], ids=["last left out", "first left out"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_an_image_of_one_phase_is_recovered_exactly(size: tuple[int, int], above: bool) -> None:
    image, maps = one_phase(*size)
    mask = draw(size[0], acs=2, above=above)
    LONG.check(mask, 1)
    # Of an even matrix the first line has no mirror image: where it is left out it can't be known.
    start = 0 if above or size[0] % 2 else 1
    found = to_kspace(LONG(data_of(image, maps, mask)).image)
    assert error(found[:, start:], to_kspace(image)[:, start:]) < 1e-5


@pytest.mark.parametrize(("fraction", "bar"), [(5 / 8, 0.006), (6 / 8, 0.003)])
def test_beats_zero_filling_where_the_phase_is_slow(fraction: float, bar: float) -> None:
    found, zero_filled = against_zero_filling(Pocs(), fraction)
    assert found < bar
    assert found < 0.1 * zero_filled


def test_measured_lines_stay_and_those_without_a_mirror_image_stay_zero() -> None:
    image, maps = slow_phase(coils=1)
    mask = draw(128, 0.7, acs=12, acquired=slice(20, 110))
    found = to_kspace(Pocs()(data_of(image, maps, mask)).image)
    lines = torch.from_numpy(mask.sampled.copy())
    scale = found.abs().max().item()
    torch.testing.assert_close(found[:, lines], to_kspace(image)[:, lines], rtol=0, atol=1e-5 * scale)
    assert found[:, :20].abs().max() < 1e-5 * scale
    assert found[:, 109:].abs().max() < 1e-5 * scale
    assert found[:, 90:109].abs().amax((0, 2)).min() > 1e-4 * scale


def test_each_turn_comes_closer_until_it_stops() -> None:
    image, maps = one_phase(48, 40)
    data = data_of(image, maps, draw(48))
    errors = [error(Pocs(iterations=turns, tolerance=0.0)(data).image, image) for turns in (1, 2, 4, 8)]
    assert errors == sorted(errors, reverse=True)
    # The first turn that changes little is the last.
    few, many = Pocs(tolerance=0.5, iterations=60)(data).image, LONG(data).image
    assert torch.equal(few, Pocs(iterations=1)(data).image)
    assert not torch.equal(few, many)


def test_a_slice_stops_by_itself() -> None:
    """One that soon changes little, though it still would, beside one that goes on."""
    image, maps = one_phase(48, 40)
    image[1] = image[0] + 20 * torch.exp(torch.tensor(0.7j))
    data = data_of(image, maps, draw(48))
    model = Pocs(iterations=40, tolerance=1e-2)
    both = model(data).image
    for index in range(2):
        part = slice(index, index + 1)
        alone = model(replace(data, kspace=data.kspace[part], maps=maps[part])).image
        torch.testing.assert_close(both[part], alone, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("height", "fraction"), [(32, 1.0), (31, 1.0), (31, 0.97)])
def test_a_line_at_most_left_out_is_an_inverse_fft(height: int, fraction: float) -> None:
    image, maps = slow_phase(height=height)
    data = data_of(image, maps, draw(height, fraction))
    torch.testing.assert_close(Pocs()(data).image, ZeroFilled()(data).image, rtol=1e-4, atol=1e-6)


def test_rss_is_a_magnitude() -> None:
    image, maps = slow_phase(height=48, width=40)
    data = replace(data_of(image, maps, draw(48)), maps=None)
    result = Pocs(combination="rss")(data)
    assert (result.kind, result.combination) == ("magnitude", "rss")
    assert not Pocs(combination="rss").needs_maps
    assert error(result.image, image.abs()) < 0.1


def test_an_empty_slice_stays_empty() -> None:
    image, maps = slow_phase(slices=2, height=32, width=24)
    image = image * torch.tensor([1.0, 0.0])[:, None, None]
    found = Pocs()(data_of(image, maps, draw(32))).image
    assert torch.isfinite(found.abs()).all()
    assert found[1].abs().max() == 0 < found[0].abs().max()


def test_one_line_is_its_own_image() -> None:
    image, maps = one_phase(1, 16)
    mask = draw(1, 1.0, acs=0)
    Pocs().check(mask, 1)
    assert error(Pocs()(data_of(image, maps, mask)).image, image) < 1e-5


@pytest.mark.parametrize(("mask", "words"), REFUSED)
def test_other_masks_are_refused(mask: Mask, words: str) -> None:
    with pytest.raises(NotApplicable, match=f"^POCS .*{words}"):
        Pocs().check(mask, 8)


@pytest.mark.parametrize("setting", [{"iterations": 0}, {"tolerance": 1.0}, {"tolerance": -0.1}, {"combination": "sum"}])
def test_settings_out_of_range_are_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(HalfscanError, match=f"model.{next(iter(setting))}"):
        replace(Pocs(), **setting)
