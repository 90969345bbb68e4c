"""SNR, CNR and blur of known images; regions follow the anatomy, on pixels that nobody interpolated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from halfscan.bench.acquisition import Images
from halfscan.bench.pair.measure import SMALLEST, Patch, Place, patches, places, scores
from halfscan.bench.pair.registration import register
from halfscan.bench.pair.tables import Region

from .images import AFFINE, acquisition, images, moved
from .writing import anatomy, noisy


def _region(name: str = "one", against: str | None = None, **place: int) -> Region:
    return Region(name=name, against=against, **{"slice": 1, "row": 10, "column": 12, "height": 8, "width": 6, **place})


def _scored(one: Images, two: Images, regions: list[Region], **candidate: Any) -> dict:
    registration = register(one, two)
    found = patches(one, two, registration, regions)
    return scores({"reference": acquisition(one), "candidate": acquisition(two, **candidate)}, found, regions, registration)


def test_snr_and_cnr_are_what_they_are_called() -> None:
    rng = np.random.default_rng(0)
    stack = np.zeros((3, 60, 60))
    stack[:, 5:55, 5:30], stack[:, 5:55, 30:55] = 100, 60
    regions = [
        _region("left", "right", row=8, column=8, height=40, width=20),
        _region("right", row=8, column=32, height=40, width=20),
    ]
    one, two = (images(np.abs(stack + rng.normal(0, deviation, stack.shape))) for deviation in (5, 10))
    found = _scored(one, two, regions)
    for arm, deviation in (("reference", 5), ("candidate", 10)):
        assert found[arm]["snr@pair"].value == pytest.approx((100 + 60) / 2 / deviation, rel=0.06)
        assert found[arm]["cnr@pair"].value == pytest.approx(40 / deviation, rel=0.06)


def test_brightness_plays_no_part() -> None:
    one = images(noisy(anatomy(0), 4, 0))
    two = images(37 * noisy(anatomy(0), 4, 0))
    found = _scored(one, two, [_region("one", "two"), _region("two", row=26, column=10, height=5, width=5)])
    for name, quantity in found["reference"].items():
        assert found["candidate"][name].value == pytest.approx(quantity.value, rel=1e-5)


def test_a_region_follows_the_anatomy() -> None:
    """Another field of view: the very same pixels, none of them interpolated."""
    stack = noisy(anatomy(0), 4, 0)
    one, two = images(stack), images(stack[:, 3:, 5:], moved(AFFINE, rows=3, columns=5))
    registration = register(one, two)
    found = places(one, two, registration, _region())
    assert isinstance(found["candidate"], Place)
    np.testing.assert_array_equal(stack[1, 3:, 5:][found["candidate"].inside], stack[1, 10:18, 12:18].ravel())
    measured = patches(one, two, registration, [_region()])
    assert measured["reference"] == measured["candidate"]


def test_finer_pixels_give_more_of_them() -> None:
    fine = AFFINE.copy()
    fine[:, 1:3] /= 2
    stack = anatomy(0)
    one = images(stack)
    two = images(np.kron(stack, np.ones((1, 2, 2))), moved(fine, rows=-0.5, columns=-0.5))
    found = places(one, two, register(one, two), _region())
    assert isinstance(found["candidate"], Place)
    assert found["candidate"].inside.sum() == 4 * 48


@pytest.mark.parametrize(
    ("region", "message"),
    [
        (_region(height=3, width=5), f"a region of 15 pixels is too small for a standard deviation: {SMALLEST} are needed"),
        (_region(slice=0), "the candidate has no slice within a quarter of a step"),
    ],
)
def test_where_there_is_no_region_there_is_no_score(region: Region, message: str) -> None:
    stack = noisy(anatomy(0), 4, 0)
    found = _scored(images(stack), images(stack[1:], moved(AFFINE, slices=1)), [_region(), region])
    for arm in ("reference", "candidate"):
        assert found[arm]["snr@pair"].value is None
        assert message in found[arm]["snr@pair"].reason
        assert found[arm]["blur@pair"].value is not None


def test_what_one_arm_lacks_is_null_in_both() -> None:
    rng = np.random.default_rng(3)
    found = _scored(images(noisy(anatomy(0), 4, 0)), images(rng.rayleigh(4.0, (3, 48, 40))), [_region()])
    for arm in ("reference", "candidate"):
        assert "both series agree by a correlation of" in found[arm]["snr@pair"].reason
        assert found[arm]["cnr@pair"].reason == found["reference"]["cnr@pair"].reason


def test_nothing_drawn_is_nothing_measured() -> None:
    one = images(noisy(anatomy(0), 4, 0))
    found = _scored(one, one, [])
    assert found["reference"]["snr@pair"].reason == "no region was drawn"
    assert _scored(one, one, [_region()])["candidate"]["cnr@pair"].reason == "no region was drawn against another"
    flat = images(np.full((3, 48, 40), 7.0))
    measured = patches(flat, flat, register(one, one), [_region()])
    assert measured["reference"]["one"] == "a region without any variation has no SNR"


@pytest.mark.parametrize("change", [{"voxel_mm": (5.0, 0.8, 0.5)}, {"voxel_mm": None}])
def test_unlike_voxels_do_not_compare(change: dict) -> None:
    one = images(noisy(anatomy(0), 4, 0))
    found = _scored(one, one, [_region()], **change)
    for name in ("snr@pair", "cnr@pair", "blur@pair"):
        assert "voxels" in found["reference"][name].reason
        assert found["candidate"][name].value is None


def test_finer_pixels_are_unlike_voxels() -> None:
    fine = AFFINE.copy()
    fine[:, 1:3] /= 2
    stack = noisy(anatomy(0), 4, 0)
    two = images(np.kron(stack, np.ones((1, 2, 2))), moved(fine, rows=-0.5, columns=-0.5))
    reason = _scored(images(stack), two, [_region()])["candidate"]["snr@pair"].reason
    assert reason == "voxels of 4 × 0.8 × 0.5 and 4 × 0.4 × 0.25 mm: SNR and blur of unlike voxels don't compare"


@pytest.mark.parametrize("air", [0, 12, 24])
def test_a_filter_that_doubles_snr_shows_in_the_blur_whatever_lies_around(air: int) -> None:
    """Air around an object makes a picture look sharper, and a wider field of view would hide the filter."""
    stack = noisy(anatomy(0), 4, 0)
    wide = np.pad(anatomy(0), ((0, 0), (air, air), (air, air)))
    filtered = np.stack([gaussian_filter(one, 0.6) for one in noisy(wide, 4, 1)])
    candidate = images(filtered, moved(AFFINE, rows=-air, columns=-air))
    found = _scored(images(stack), candidate, [_region(row=11, column=12, height=6, width=6)])
    assert found["candidate"]["snr@pair"].value > 1.4 * found["reference"]["snr@pair"].value
    assert found["candidate"]["blur@pair"].value > found["reference"]["blur@pair"].value + 0.02


def test_a_smaller_field_of_view_blurs_nothing() -> None:
    stack = noisy(anatomy(0), 4, 0)
    found = _scored(images(stack), images(stack[:, 6:-6, 5:-5], moved(AFFINE, rows=6, columns=5)), [])
    assert found["candidate"]["blur@pair"].value == pytest.approx(found["reference"]["blur@pair"].value, abs=1e-3)


def test_a_region_that_is_cut_is_not_measured() -> None:
    stack = noisy(anatomy(0), 4, 0)
    one, two = images(stack), images(stack[:, :, 5:], moved(AFFINE, columns=5))
    region = _region(column=2, width=10)
    found = patches(one, two, register(one, two), [region])
    assert found["candidate"]["one"] == "the region lies partly outside the candidate's field of view"


def test_contrast_that_turned_round_is_no_contrast_kept() -> None:
    stack = noisy(anatomy(0), 4, 0)
    turned = stack.copy()
    turned[1, 26:31, 10:15], turned[1, 11:16, 12:17] = stack[1, 11:16, 12:17], stack[1, 26:31, 10:15]
    regions = [_region("a", "b", row=26, column=10, height=5, width=5), _region("b", row=11, column=12, height=5, width=5)]
    found = _scored(images(stack), images(turned), regions)
    assert found["reference"]["cnr@pair"].value == pytest.approx(-found["candidate"]["cnr@pair"].value)
    assert found["reference"]["cnr@pair"].value > 0


def test_voxels_that_are_larger_on_every_side_do_not_compare() -> None:
    """Less than 1 % each way, and 2.4 % in what SNR follows."""
    one = images(noisy(anatomy(0), 4, 0))
    assert AFFINE is not None
    two = images(one.stack.read().real, AFFINE * [1, 1.008, 1.008, 1])
    reason = _scored(one, two, [], voxel_mm=(4.032, 0.8, 0.5))["candidate"]["blur@pair"].reason
    assert "SNR and blur of unlike voxels don't compare" in reason


def test_interpolated_pixels_are_not_what_was_acquired() -> None:
    stack = noisy(anatomy(0), 4, 0)
    one, two = (images(stack, acquired_mm=size) for size in ((0.8, 0.5), (1.2, 0.5)))
    reason = _scored(one, two, [_region()])["reference"]["snr@pair"].reason
    assert reason == "acquired pixels of 0.8 × 0.5 and 1.2 × 0.5 mm, interpolated to one size: SNR and blur don't compare"
    unsaid = images(noisy(anatomy(0), 4, 1))
    assert _scored(one, unsaid, [_region()])["reference"]["snr@pair"].value is not None


def test_patches_are_kept_as_they_were_measured() -> None:
    stack = noisy(anatomy(0), 4, 0)
    one = images(stack)
    patch = patches(one, one, register(one, one), [_region()])["candidate"]["one"]
    inside = stack.astype(np.complex64).real[1, 10:18, 12:18].astype(float)
    assert patch == Patch(pixels=48, mean=pytest.approx(inside.mean()), deviation=pytest.approx(inside.std(ddof=1)))
