"""How long a series took, from the standard's tag or a vendor's own, and never from a text that might say something else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from halfscan.bench.acquisition import Timing
from halfscan.datasets.dicom import Dicom

from .writing_dicom import Change, write_images

GE, PHILIPS, SIEMENS = (
    (0x0019, "GEMS_ACQU_01", 0x5A),
    (0x2005, "Philips MR Imaging DD 001", 0x33),
    (0x0051, "SIEMENS MR HEADER", 0x0A),
)


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 100, (2, 8, 6))


def _private(place: tuple[int, str, int], vr: str, value: object, standard: float | None = None) -> Change:
    group, creator, element = place

    def change(one: Dataset, at: int) -> None:
        one.AcquisitionDuration = standard
        # Another vendor's block lies before it, as where archives add their own.
        one.private_block(group, "OTHER VENDOR", create=True).add_new(element, "LO", "TA 09:59")
        one.private_block(group, creator, create=True).add_new(element, vr, value)

    return change


def _timing(folder: Path, images: np.ndarray, change: Change, syntax: str = ExplicitVRLittleEndian) -> Timing:
    (found,) = Dicom(path=str(write_images(folder, images, change=change, syntax=syntax))).acquisitions()
    return found.timing


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize(
    ("place", "vr", "value", "seconds", "within"),
    [
        (GE, "FL", 3.0118515e08, 301.18515, 0.0),
        (PHILIPS, "FL", 242.5, 242.5, 0.0),
        (SIEMENS, "SH", "TA 03:52", 232.0, 0.5),
        (SIEMENS, "LO", "TA 01:02", 62.0, 0.5),
        (SIEMENS, "SH", "TA 12.28", 12.28, 0.005),
        (SIEMENS, "SH", "TA 14.3", 14.3, 0.05),
    ],
)
def test_vendors_durations(
    tmp_path: Path, images: np.ndarray, syntax: str, place: tuple, vr: str, value: object, seconds: float, within: float
) -> None:
    timing = _timing(tmp_path, images, _private(place, vr, value), syntax)
    assert timing.total_s == pytest.approx(seconds, rel=1e-6)
    assert timing.total_within_s == within


def test_a_number_written_as_text_is_one(tmp_path: Path, images: np.ndarray) -> None:
    assert _timing(tmp_path, images, _private(GE, "DS", "95500000")).total_s == 95.5


def test_the_standards_tag_goes_first(tmp_path: Path, images: np.ndarray) -> None:
    timing = _timing(tmp_path, images, _private(SIEMENS, "SH", "TA 03:52", standard=231.7))
    assert (timing.total_s, timing.total_within_s) == (231.7, 0.0)


@pytest.mark.parametrize(
    ("place", "vr", "value"),
    [
        (SIEMENS, "SH", "TA 02.5*60"),
        (SIEMENS, "SH", "TA 01:23*3"),
        (SIEMENS, "SH", "TA 00:00"),
        (SIEMENS, "SH", "DOE^JANE"),
        (SIEMENS, "SH", "02:12"),
        (GE, "LO", "DOE^JANE"),
        (GE, "FL", -1.0),
        (GE, "FL", float("nan")),
        (GE, "FL", 1e20),
        (GE, "DS", ["1", "2"]),
        ((0x0019, "GEMS_ACQU_02", 0x5A), "FL", 3.0e8),
        ((0x0019, "GEMS_ACQU_01", 0x5B), "FL", 3.0e8),
        # Shorter than one TR: no scan's duration, whatever the tag is called.
        (PHILIPS, "FL", 0.034),
    ],
)
def test_what_is_no_duration_is_none(tmp_path: Path, images: np.ndarray, place: tuple, vr: str, value: object) -> None:
    timing = _timing(tmp_path, images, _private(place, vr, value))
    assert (timing.total_s, timing.total_within_s) == (None, None)


def test_a_readout_s_window_is_no_duration(tmp_path: Path, images: np.ndarray) -> None:
    assert _timing(tmp_path, images, _private(SIEMENS, "SH", "", standard=0.034)).total_s is None


def test_without_a_tr_a_second_is_the_least(tmp_path: Path, images: np.ndarray) -> None:
    def change(one: Dataset, at: int) -> None:
        one.AcquisitionDuration = 0.006
        one.RepetitionTime = None

    assert _timing(tmp_path, images, change).total_s is None


def test_a_vendors_tag_helps_where_the_standards_can_not_be(tmp_path: Path, images: np.ndarray) -> None:
    assert _timing(tmp_path, images, _private(SIEMENS, "SH", "TA 03:52", standard=0.034)).total_s == 232


def test_two_images_that_disagree_say_nothing(tmp_path: Path, images: np.ndarray) -> None:
    def change(one: Dataset, at: int) -> None:
        _private(SIEMENS, "SH", f"TA 03:5{at}")(one, at)

    assert _timing(tmp_path, images, change).total_s is None
