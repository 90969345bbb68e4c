"""Homodyne detection returns what one side of k-space says of the other, and refuses all else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from halfscan.bench.errors import HalfscanError, NotApplicable
from halfscan.bench.operators import to_kspace
from halfscan.bench.sampling.mask import Mask
from halfscan.models.homodyne import Homodyne
from halfscan.models.partial_fourier import OneSided
from halfscan.models.zero_filled import ZeroFilled

from .one_sided import REFUSED, SIZES, against_zero_filling, data_of, draw, error, one_phase, slow_phase


@pytest.mark.parametrize("weighting", ["step", "ramp"])
@pytest.mark.parametrize("above", [True, False], ids=["last left out", "first left out"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_an_image_of_one_phase_is_recovered_exactly(size: tuple[int, int], above: bool, weighting: Any) -> None:
    """Odd and even lines, either side: the outermost line of an even matrix is its own mirror image."""
    image, maps = one_phase(*size)
    model, mask = Homodyne(weighting=weighting), draw(size[0], acs=2, above=above)
    model.check(mask, 1)
    if above or size[0] % 2:
        assert error(model(data_of(image, maps, mask)).image, image) < 1e-5
        return
    # Of an even matrix the first line has no mirror image: where it is left out it can't be known.
    without = to_kspace(image)
    without[:, 0] = 0
    assert error(to_kspace(model(data_of(image, maps, mask)).image)[:, 1:], without[:, 1:]) < 1e-5


@pytest.mark.parametrize(("fraction", "bar"), [(5 / 8, 0.015), (6 / 8, 0.01)])
def test_beats_zero_filling_where_the_phase_is_slow(fraction: float, bar: float) -> None:
    found, zero_filled = against_zero_filling(Homodyne(), fraction)
    assert found < bar
    assert found < 0.2 * zero_filled


@pytest.mark.parametrize("height", [48, 31])
@pytest.mark.parametrize(("weighting", "values"), [("step", 3), ("ramp", None)])
def test_weights_rise_from_none_to_double(weighting: Any, values: int | None, height: int) -> None:
    mask = torch.from_numpy(draw(height).sampled.copy())[:, None]
    weights = Homodyne(weighting=weighting)._weights(OneSided.of(mask), mask)[:, 0]
    inside = weights[1 - height % 2 :]  # an even matrix' first line is its own mirror image
    assert weights[0] == (2 if height % 2 else 1)
    torch.testing.assert_close(inside + inside.flip(0), torch.full_like(inside, 2.0))
    assert (inside.diff() <= 0).all()
    assert inside.max() == 2
    assert inside.min() == 0
    assert values is None or len(weights.unique()) == values


def test_the_ramp_costs_more_where_the_phase_is_not_quite_known() -> None:
    step, ramp = (against_zero_filling(Homodyne(weighting=name), 0.75)[0] for name in ("step", "ramp"))
    assert step < ramp


def test_rss_is_a_magnitude() -> None:
    image, maps = slow_phase(height=48, width=40)
    result = Homodyne(combination="rss")(replace(data_of(image, maps, draw(48)), maps=None))
    assert (result.kind, result.combination) == ("magnitude", "rss")
    assert not Homodyne(combination="rss").needs_maps
    assert error(result.image, image.abs()) < 0.1


@pytest.mark.parametrize(("height", "fraction"), [(32, 1.0), (31, 1.0), (31, 0.97)])
def test_a_line_at_most_left_out_is_an_inverse_fft(height: int, fraction: float) -> None:
    image, maps = slow_phase(height=height)
    data = data_of(image, maps, draw(height, fraction))
    torch.testing.assert_close(Homodyne()(data).image, ZeroFilled()(data).image, rtol=1e-4, atol=1e-6)


def test_zero_padding_is_no_side_left_out() -> None:
    """Full sampling of 24 lines in a matrix of 48 is full sampling; of 18 of them, it is partial Fourier of these."""
    image, maps = one_phase(48, 40)
    padded = slice(13, 36)
    full = to_kspace(image)[:, None].clone()
    full[:, :, :13] = full[:, :, 36:] = 0
    truth = ZeroFilled()(data_of(image, maps, draw(48, 1.0, acquired=padded), full)).image
    model = Homodyne()
    for fraction in (1.0, 0.64):
        mask = draw(48, fraction, acquired=padded)
        model.check(mask, 1)
        assert error(model(data_of(image, maps, mask, full)).image, truth) < 1e-5


def test_an_empty_slice_stays_empty() -> None:
    image, maps = slow_phase(slices=2, height=32, width=24)
    image = image * torch.tensor([1.0, 0.0])[:, None, None]
    found = Homodyne()(data_of(image, maps, draw(32))).image
    assert torch.isfinite(found.abs()).all()
    assert found[1].abs().max() == 0 < found[0].abs().max()


def test_one_line_is_its_own_image() -> None:
    image, maps = one_phase(1, 16)
    mask = draw(1, 1.0, acs=0)
    Homodyne().check(mask, 1)
    assert error(Homodyne()(data_of(image, maps, mask)).image, image) < 1e-5


@pytest.mark.parametrize(("mask", "words"), REFUSED)
def test_other_masks_are_refused(mask: Mask, words: str) -> None:
    with pytest.raises(NotApplicable, match=f"^homodyne detection .*{words}"):
        Homodyne().check(mask, 8)


@pytest.mark.parametrize("setting", [{"weighting": "cosine"}, {"combination": "sum"}])
def test_settings_out_of_range_are_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(HalfscanError, match=f"model.{next(iter(setting))}"):
        replace(Homodyne(), **setting)
