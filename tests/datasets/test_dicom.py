"""DICOM series: slices in their places, what headers state, whom they must not name, and every way in which they are wrong."""

from __future__ import annotations

import logging
import os
import shutil
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEGLosslessSV1,
    RLELossless,
    generate_uid,
)

from halfscan.bench.acquisition import Provenance
from halfscan.bench.errors import HalfscanError
from halfscan.datasets.dicom import Dicom
from halfscan.datasets.dicom_file import GROUPS, TAGS

from ..conftest import phantom
from .mutation import mutations, read_or_refused
from .writing_dicom import Change, stored, write, write_images

PHI = "DOE^JANE 1961"
SECONDARY = "1.2.840.10008.5.1.4.1.1.7"


@pytest.fixture
def kspace() -> np.ndarray:
    return phantom(slices=4, coils=1)[2].numpy()


@pytest.fixture
def images() -> np.ndarray:
    """(slice, row, column), each slice brighter than the one before."""
    return np.abs(phantom(slices=4, coils=1)[0].numpy())


def _open(path: Path, **settings: object) -> object:
    (found,) = Dicom(path=str(path), **settings).acquisitions()
    return found


def _bright(found: object) -> list[float]:
    """Brightness of each slice: which one it is."""
    middle = found.kspace.size("ky") // 2, found.kspace.size("kx") // 2
    return [abs(one[middle]) for one in found.kspace.read()[:, 0]]


def _put(**values: object) -> Change:
    def change(one: Dataset, at: int) -> None:
        for keyword, value in values.items():
            setattr(one, keyword, value)

    return change


def _only(at_slice: int, **values: object) -> Change:
    def change(one: Dataset, at: int) -> None:
        if at == at_slice:
            _put(**values)(one, at)

    return change


@pytest.mark.parametrize("enhanced", [False, True], ids=["classic", "enhanced"])
@pytest.mark.parametrize("syntax", [pydicom.uid.ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless])
def test_slices_become_their_centred_unitary_transform(tmp_path: Path, kspace: np.ndarray, enhanced: bool, syntax: str) -> None:
    found = _open(write(tmp_path, kspace, enhanced=enhanced, syntax=syntax))
    expected = stored(kspace)
    assert found.kspace.axes == ("slice", "coil", "ky", "kx")
    np.testing.assert_allclose(found.kspace.read_stack(), expected, atol=1e-6 * np.abs(expected).max())
    assert found.acquired.all()


@pytest.mark.parametrize("enhanced", [False, True], ids=["classic", "enhanced"])
def test_headers_state_timing_field_and_voxels(tmp_path: Path, kspace: np.ndarray, enhanced: bool) -> None:
    found = _open(write(tmp_path, kspace, enhanced=enhanced))
    timing = found.timing
    assert (timing.sequence, timing.tr_s, timing.te_s, timing.echo_train_length) == ("tse", 2.8, 0.033, 16)
    assert (timing.averages, timing.total_s) == (2, 95.5)
    assert found.field_strength_t == 3.0
    assert found.voxel_mm == (4.0, 0.8, 0.5)
    assert found.provenance is Provenance.PROCESSED
    assert "Hermitian symmetric" in found.caveat
    assert (found.contrast, found.redistributable) == (None, False)


@pytest.mark.parametrize("enhanced", [False, True], ids=["classic", "enhanced"])
@pytest.mark.parametrize("along", ["ROW", "COL"])
def test_finished_images_stay_as_pictures_show_them(tmp_path: Path, images: np.ndarray, enhanced: bool, along: str) -> None:
    """Rows down and columns across, whichever way phase encoding ran, and their places in the patient."""

    def change(one: Dataset, at: int) -> None:
        if enhanced:
            one.SharedFunctionalGroupsSequence[0].MRFOVGeometrySequence[0].InPlanePhaseEncodingDirection = along
        else:
            one.InPlanePhaseEncodingDirection = along

    found = _open(write_images(tmp_path, images, enhanced=enhanced, change=change), max_slices=3)
    assert found.images is not None
    first = (len(images) - 3) // 2
    np.testing.assert_allclose(found.images.stack.read().real, images[first : first + 3], atol=images.max() / 60000)
    assert found.images.affine_mm is not None
    np.testing.assert_allclose(found.images.affine_mm @ [0, 0, 0, 1], [-10, -20, 4.4 * first])
    np.testing.assert_allclose(found.images.affine_mm @ [2, 3, 5, 1], [-10 + 5 * 0.5, -20 + 3 * 0.8, 4.4 * (first + 2)])


def _classic_matrix(one: Dataset, at: int) -> None:
    one.AcquisitionMatrix = [20, 0, 0, 24]


def _enhanced_steps(one: Dataset, at: int) -> None:
    view = one.SharedFunctionalGroupsSequence[0].MRFOVGeometrySequence[0]
    view.MRAcquisitionFrequencyEncodingSteps, view.MRAcquisitionPhaseEncodingStepsInPlane = 24, 20


@pytest.mark.parametrize(("enhanced", "change"), [(False, _classic_matrix), (True, _enhanced_steps)])
def test_what_was_acquired_before_interpolation(tmp_path: Path, images: np.ndarray, enhanced: bool, change: Change) -> None:
    found = _open(write_images(tmp_path, images, enhanced=enhanced, change=change)).images
    rows, columns = images.shape[1:]
    assert found is not None
    assert found.acquired_mm == pytest.approx((rows * 0.8 / 20, columns * 0.5 / 24))
    assert _open(write_images(tmp_path, images, "silent", enhanced=enhanced)).images.acquired_mm is None


def test_images_that_were_computed_from_others_say_so(tmp_path: Path, images: np.ndarray) -> None:
    found = _open(write_images(tmp_path, images, change=_put(ImageType=["DERIVED", "SECONDARY", "M"]))).images
    assert found is not None
    assert found.caveat == "computed from other images (DERIVED)"


@pytest.mark.parametrize(
    "values",
    [
        {"PixelSpacing": [0, 0.5]},
        {"ImageOrientationPatient": [0, 0, 0, 0, 0, 0]},
        {"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]},
        {"SliceThickness": None},
    ],
)
def test_a_place_that_can_not_be_is_none(tmp_path: Path, images: np.ndarray, values: dict) -> None:
    found = _open(write_images(tmp_path, images[:1], change=_put(**values))).images
    assert found is not None
    assert found.affine_mm is None


def test_one_slice_has_its_thickness_for_a_step(tmp_path: Path, images: np.ndarray) -> None:
    found = _open(write_images(tmp_path, images[:1])).images
    assert found is not None
    assert found.affine_mm is not None
    np.testing.assert_allclose(found.affine_mm[:, 0], [0, 0, 4])


def test_what_a_header_leaves_out_is_none(tmp_path: Path, images: np.ndarray) -> None:
    def change(one: Dataset, at: int) -> None:
        for keyword in ("EchoTime", "EchoTrainLength", "MagneticFieldStrength", "SliceThickness", "AcquisitionDuration"):
            delattr(one, keyword)
        one.RepetitionTime = None

    found = _open(write_images(tmp_path, images, change=change))
    assert (found.timing.tr_s, found.timing.te_s, found.timing.total_s, found.timing.sequence) == (None,) * 4
    assert (found.field_strength_t, found.voxel_mm) == (None, None)


def test_what_images_of_a_series_contradict_is_none(tmp_path: Path, images: np.ndarray) -> None:
    found = _open(write_images(tmp_path, images, change=_only(2, RepetitionTime=3000)))
    assert (found.timing.tr_s, found.timing.te_s) == (None, 0.033)


@pytest.mark.parametrize(
    ("codes", "sequence"),
    [
        ({"ScanningSequence": ["SE", "IR"]}, "tse"),
        ({"ScanningSequence": "SE", "EchoTrainLength": 1}, None),
        ({"ScanningSequence": "SE", "SequenceVariant": "SP"}, None),
        ({"ScanningSequence": "GR"}, "gre"),
        ({"ScanningSequence": ["GR", "IR"]}, None),
        ({"ScanningSequence": ["SE", "GR"]}, None),
        ({"ScanningSequence": ["EP", "SE"]}, "epi"),
        ({"ScanningSequence": "RM"}, None),
    ],
)
def test_a_sequence_is_named_only_where_the_codes_leave_no_doubt(
    tmp_path: Path, images: np.ndarray, codes: dict, sequence: str | None
) -> None:
    assert _open(write_images(tmp_path, images, change=_put(**codes))).timing.sequence == sequence


@pytest.mark.parametrize(
    ("stated", "settings", "along"),
    [("COL", {}, "COL"), ("ROW", {}, "ROW"), ("ROW", {"phase_axis": "COL"}, "ROW"), (None, {"phase_axis": "ROW"}, "ROW")],
)
def test_phase_encoding_lies_where_it_is_stated(
    tmp_path: Path, kspace: np.ndarray, stated: str | None, settings: dict, along: str
) -> None:
    found = _open(write(tmp_path, kspace, change=_put(InPlanePhaseEncodingDirection=stated)), **settings)
    expected = stored(kspace)
    expected = expected if along == "COL" else expected.swapaxes(-1, -2)
    np.testing.assert_allclose(found.kspace.read(), expected, atol=1e-6 * np.abs(expected).max())
    assert found.voxel_mm == ((4.0, 0.8, 0.5) if along == "COL" else (4.0, 0.5, 0.8))
    assert "not stated" not in found.caveat


def test_an_unstated_phase_encoding_direction_is_said_so(tmp_path: Path, images: np.ndarray) -> None:
    found = _open(write_images(tmp_path, images, change=_put(InPlanePhaseEncodingDirection=None)))
    assert "which axis was phase encoded is not stated: COL was taken" in found.caveat


def test_slices_are_sorted_along_their_normal_whatever_their_files_are_called(tmp_path: Path, images: np.ndarray) -> None:
    order = [2, 0, 3, 1]

    def change(one: Dataset, at: int) -> None:
        one.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
        one.ImagePositionPatient = [-4.0 * order[at], 7, 7]

    found = _open(write_images(tmp_path, images[order], change=change))
    assert np.all(np.diff(_bright(found)) > 0)


def test_parts_and_central_slices_are_read_alone(tmp_path: Path, kspace: np.ndarray) -> None:
    place = write(tmp_path, kspace)
    found, central = _open(place), _open(place, max_slices=2)
    whole = found.kspace.read()
    assert np.array_equal(found.kspace.read({"slice": -1, "kx": 3}), whole[-1][..., 3])
    assert np.array_equal(central.kspace.read(), whole[1:3])
    assert found.digest != central.digest


def test_slope_and_intercept_may_differ_from_slice_to_slice(tmp_path: Path, images: np.ndarray) -> None:
    plain = _open(write_images(tmp_path, images, "plain"))

    def change(one: Dataset, at: int) -> None:
        one.RescaleSlope, one.RescaleIntercept = float(one.RescaleSlope) * (at + 1), at

    found = _open(write_images(tmp_path, images, "scaled", change=change))
    size = np.sqrt(found.kspace.size("ky") * found.kspace.size("kx"))
    for at, (after, before) in enumerate(zip(_bright(found), _bright(plain), strict=True)):
        assert after == pytest.approx(before * (at + 1) + at * size, rel=1e-5)


@pytest.mark.parametrize("signed", [False, True])
def test_bits_above_the_stored_ones_are_no_part_of_a_value(tmp_path: Path, images: np.ndarray, signed: bool) -> None:
    def change(one: Dataset, at: int) -> None:
        pixels = np.frombuffer(one.PixelData, np.uint16) >> 5
        if signed:
            pixels = (-pixels.astype(np.int16)).view(np.uint16) & 0x0FFF
        one.PixelData = (pixels | 0x8000 * (at == 0)).astype(np.uint16).tobytes()
        one.BitsStored, one.HighBit, one.PixelRepresentation, one.RescaleSlope = 12, 11, int(signed), 32

    found = _open(write_images(tmp_path, images, change=change))
    assert np.all(np.diff(_bright(found)) > 0)
    middle = found.kspace.read()[0, 0, 24, 20].real
    assert (middle < 0) == signed


def test_a_single_image_is_enough(tmp_path: Path, images: np.ndarray) -> None:
    def change(one: Dataset, at: int) -> None:
        del one.ImagePositionPatient, one.ImageOrientationPatient

    found = _open(write_images(tmp_path, images[:1], change=change) / "IM0000")
    assert found.slices == 1


@pytest.mark.parametrize("keyword", ["EchoNumbers", "TemporalPositionIdentifier"])
def test_echoes_and_temporal_positions_are_volumes_of_their_own(tmp_path: Path, images: np.ndarray, keyword: str) -> None:
    series = generate_uid()
    for number in (2, 1):
        change = _put(**{keyword: number, "EchoTime": 10 * number})
        write_images(tmp_path, images * number, str(number), series=series, change=change)
    first, second = Dicom(path=str(tmp_path)).acquisitions()
    assert (first.timing.te_s, second.timing.te_s) == (0.01, 0.02)
    assert first.volume != second.volume
    assert first.patient == second.patient
    assert first.timing.total_s == (95.5 if keyword == "EchoNumbers" else None)
    np.testing.assert_allclose(np.array(_bright(second)) / _bright(first), 2, rtol=1e-4)


def test_frames_of_an_enhanced_file_may_hold_several_echoes(tmp_path: Path, images: np.ndarray) -> None:
    def change(one: Dataset, at: int) -> None:
        for index, item in enumerate(one.PerFrameFunctionalGroupsSequence):
            echo = Dataset()
            echo.EffectiveEchoTime = 10.0 if index % 2 else 20.0
            item.MREchoSequence = pydicom.Sequence([echo])
            item.PlanePositionSequence[0].ImagePositionPatient = [0, 0, 5 * (index // 2)]

    first, second = Dicom(path=str(write_images(tmp_path, images, enhanced=True, change=change))).acquisitions()
    assert (first.slices, first.timing.te_s, second.timing.te_s) == (2, 0.01, 0.02)
    assert _bright(second)[0] < _bright(first)[0] < _bright(second)[1] < _bright(first)[1]


def test_series_of_a_folder_are_a_volume_each_and_patients_are_told_apart(tmp_path: Path, images: np.ndarray) -> None:
    for name, patient in (("a/1", "P1"), ("a/2", "P1"), ("b/3", "P2")):
        write_images(tmp_path, images, name, patient=patient)
    opened = Dicom(path=str(tmp_path)).acquisitions()
    assert len({one.volume for one in opened}) == 3
    assert opened[0].patient == opened[1].patient != opened[2].patient
    named = Dicom(path=str(tmp_path), patient_pattern=r"^(\w)/").acquisitions()
    assert named[0].patient == named[1].patient != named[2].patient
    assert named[0].patient != opened[0].patient
    with pytest.raises(HalfscanError, match=r"IM0000: dataset.patient_pattern=.* finds no patient in its path"):
        Dicom(path=str(tmp_path), patient_pattern="(x)").acquisitions()


def test_patients_without_an_id_are_a_study_each(tmp_path: Path, images: np.ndarray) -> None:
    for name, patient in (("1", "P1"), ("2", "P1"), ("3", "P2")):
        write_images(tmp_path, images, name, patient=patient, change=_put(PatientID=""))
    opened = Dicom(path=str(tmp_path)).acquisitions()
    assert opened[0].patient == opened[1].patient != opened[2].patient


def test_patients_of_published_sets_pair_and_private_ones_do_not(
    tmp_path: Path, images: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = write_images(tmp_path, images)

    def names() -> list[tuple[str, str]]:
        return [(one.patient, one.volume) for one in (_open(place, public_dataset="shared"), _open(place))]

    public, private = names()
    monkeypatch.setenv("HALFSCAN_SITE_KEY", "another site")
    assert names()[0] == public
    assert names()[1][0] != private[0]
    assert names()[1][1] != private[1]


def test_chosen_series_alone_are_opened(tmp_path: Path, images: np.ndarray, caplog: pytest.LogCaptureFixture) -> None:
    write_images(tmp_path, images, "wanted")
    write_images(tmp_path, images, "gap", change=lambda one, at: setattr(one, "SeriesNumber", 6) or _gap(one, at))
    with pytest.raises(HalfscanError, match=r"gap/IM0000: its series \(number 6, 4 images\) lie .* a slice is missing"):
        Dicom(path=str(tmp_path)).acquisitions()
    assert _open(tmp_path, series=(5,)).slices == 4
    assert "4 × image of another series" in caplog.text


def test_a_setting_states_the_contrast(tmp_path: Path, images: np.ndarray) -> None:
    assert _open(write_images(tmp_path, images), contrast="T2-FLAIR").contrast == "T2-FLAIR"
    with pytest.raises(HalfscanError, match=r"dataset.contrast=.* must be one short word"):
        Dicom(path="x", contrast="T2 of Jane Doe")


def test_the_same_images_have_the_same_digest_however_they_are_kept(tmp_path: Path, images: np.ndarray) -> None:
    opened = [_open(write_images(tmp_path, images, str(kept), enhanced=kept)) for kept in (False, True)]
    opened.append(_open(write_images(tmp_path, images, "rle", syntax=RLELossless)))
    assert len({one.digest for one in opened}) == 1
    assert opened[0].digest != _open(write_images(tmp_path, 2 * images, "other")).digest


def test_lossy_compression_is_said_so(tmp_path: Path, images: np.ndarray) -> None:
    assert "lossily compressed" in _open(write_images(tmp_path, images, change=_put(LossyImageCompression="01"))).caveat


@pytest.mark.parametrize("enhanced", [False, True], ids=["classic", "enhanced"])
def test_nothing_names_a_person(
    tmp_path: Path, images: np.ndarray, enhanced: bool, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    place = write_images(tmp_path, images, phi=PHI, enhanced=enhanced)
    found = _open(place)
    found.kspace.read()
    assert "DOE" not in repr(found) + caplog.text
    uids = {
        str(pydicom.dcmread(file).get(name)) for file in place.iterdir() for name in ("SeriesInstanceUID", "StudyInstanceUID")
    }
    assert not any(uid in repr(found) + str(found.file_name) for uid in uids)
    assert capfd.readouterr() == ("", "")


PLANTED = ("RepetitionTime", "EchoNumbers", "ImagePositionPatient", "RescaleSlope", "Rows", "NumberOfFrames", "SOPClassUID")


@pytest.mark.parametrize("keyword", PLANTED)
def test_no_refusal_quotes_a_value(
    tmp_path: Path, images: np.ndarray, keyword: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture
) -> None:
    place = write_images(tmp_path, images[:1])
    path = place / "IM0000"
    one = pydicom.dcmread(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tag = pydicom.datadict.tag_for_keyword(keyword)
        vr = {"Rows": "LO"}.get(keyword, pydicom.datadict.dictionary_VR(tag))
        one.pop(keyword, None)
        one[tag] = pydicom.dataelem.RawDataElement(pydicom.tag.Tag(tag), vr, 8, b"DOE^JANE", 0, False, True)
        one.save_as(path)
    caplog.clear()
    capfd.readouterr()
    try:
        _open(path)
    except HalfscanError as refused:
        said = str(refused)
        assert "IM0000" in said or "no MR image" in said
        assert "DOE" not in said
    assert "DOE" not in caplog.text
    assert "DOE" not in "".join(capfd.readouterr())


def test_no_tag_of_the_allow_list_names_a_person() -> None:
    for keyword in TAGS + GROUPS:
        tag = pydicom.tag.Tag(pydicom.datadict.tag_for_keyword(keyword))
        assert not tag.is_private
        # Names, texts, dates and times: the identifiers alone are strings, and leave as pseudonyms.
        forbidden = {"PN", "LT", "ST", "UT", "SH", "DA", "TM", "DT", "AS", "AE", "LO"}
        assert keyword == "PatientID" or pydicom.datadict.dictionary_VR(tag) not in forbidden


def _gap(one: Dataset, at: int) -> None:
    one.ImagePositionPatient = [0, 0, 4.4 * (at + (at > 1))]


def _turned(one: Dataset, at: int) -> None:
    one.ImageOrientationPatient = [[1, 0, 0, 0, 1, 0], [0, 1, 0, 0, 0, -1]][at % 2]


def _smaller(one: Dataset, at: int) -> None:
    if at == 1:
        one.Rows = one.Rows // 2
        one.PixelData = one.PixelData[: len(one.PixelData) // 2]


WRONG_SERIES: dict[str, Change] = {
    r"lie 4.4 to 8.8 mm apart: a slice is missing": _gap,
    r"several lie at one position": _put(ImagePositionPatient=[0, 0, 0]),
    r"lie in several directions, as a localiser's do": _turned,
    r"differ in their matrix": _smaller,
    r"differ in their PixelSpacing": _only(1, PixelSpacing=[0.9, 0.5]),
    r"differ in their SliceThickness": _only(1, SliceThickness=3),
    r"differ in their phase-encoding direction": _only(1, InPlanePhaseEncodingDirection="ROW"),
    r"are of several patients": _only(1, PatientID="P7"),
    r"ImagePositionPatient or ImageOrientationPatient is missing": lambda one, at: delattr(one, "ImagePositionPatient"),
    r"no pair of directions": _put(ImageOrientationPatient=[1, 0, 0, 1, 0, 0]),
    r"have 4, 3 slices: is one missing": lambda one, at: None,
}


@pytest.mark.parametrize("message", WRONG_SERIES)
def test_series_that_are_no_volume_are_refused_by_name(tmp_path: Path, images: np.ndarray, message: str) -> None:
    series = generate_uid()
    place = write_images(tmp_path, images, series=series, change=WRONG_SERIES[message])
    if "have 4, 3" in message:
        write_images(tmp_path, images[:3], "second", series=series, change=_put(EchoNumbers=2))
    with pytest.raises(HalfscanError, match=rf"IM000\d: its series \(number 5, \d images\).*{message}") as refused:
        Dicom(path=str(place.parent)).acquisitions()
    assert "\n" not in str(refused.value)


WRONG_FILES: dict[str, Change] = {
    r"a mosaic, many slices in one picture": _put(ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"]),
    r"not MONOCHROME2 of one sample": _put(PhotometricInterpretation="MONOCHROME1"),
    r"12 of 16 bits in an order that is not read": _put(BitsStored=12),
    r"does not say whether its pixels are signed": lambda one, at: delattr(one, "PixelRepresentation"),
    r"has no Rows that an image could have": lambda one, at: delattr(one, "Rows"),
    r"has no Columns that an image could have": _put(Columns=0),
    r"its header declares 1 × 4800 × 40 pixels, 384,000 bytes; 3,840 are announced": _put(Rows=4800),
    r"2 frames, and this kind of MR image has one": lambda one, at: _put(NumberOfFrames=2, PixelData=2 * one.PixelData)(one, at),
    r"holds no integer pixels": lambda one, at: delattr(one, "PixelData"),
    r"its ImagePositionPatient is not 3 numbers": _put(ImagePositionPatient=[0, 0]),
    r"its RepetitionTime is below 0": _put(RepetitionTime=-1),
    r"it names no series": lambda one, at: delattr(one, "SeriesInstanceUID"),
    r"k-space is all zeros": lambda one, at: setattr(one, "PixelData", bytes(len(one.PixelData))),
    r"1 × 40 voxels, which is no image": lambda one, at: _put(Rows=1, PixelData=one.PixelData[:80])(one, at),
}


@pytest.mark.parametrize("message", WRONG_FILES)
def test_files_that_can_t_be_are_refused_by_name(tmp_path: Path, images: np.ndarray, message: str) -> None:
    place = write_images(tmp_path, images[:1], change=WRONG_FILES[message])
    with pytest.raises(HalfscanError, match=f"IM0000: .*{message}") as refused:
        _open(place)
    assert "\n" not in str(refused.value)


WRONG_ENHANCED: dict[str, Change] = {
    r"4 frames, and its header describes 3": lambda one, at: one.PerFrameFunctionalGroupsSequence.pop(),
    r"4 frames, and its header describes 0": lambda one, at: delattr(one, "PerFrameFunctionalGroupsSequence"),
    r"declares 9000 × 48 × 40 pixels, .*: is it whole": _put(NumberOfFrames=9000),
    r"more than are read": _put(NumberOfFrames=2**31 - 1),
    r"no NumberOfFrames that an image could have": _put(NumberOfFrames=0),
    r"a slice is missing": lambda one, at: [_gap(item.PlanePositionSequence[0], at) for at, item in _frames(one)],
}


def _frames(one: Dataset) -> list[tuple[int, Dataset]]:
    return list(enumerate(one.PerFrameFunctionalGroupsSequence))


@pytest.mark.parametrize("message", WRONG_ENHANCED)
def test_enhanced_files_that_can_t_be_are_refused_by_name(tmp_path: Path, images: np.ndarray, message: str) -> None:
    place = write_images(tmp_path, images, enhanced=True, change=WRONG_ENHANCED[message])
    with pytest.raises(HalfscanError, match=f"IM0000: .*{message}"):
        _open(place)


def test_compression_that_needs_a_plug_in_is_refused_with_the_mend(tmp_path: Path, images: np.ndarray) -> None:
    path = write_images(tmp_path, images[:1], syntax=RLELossless) / "IM0000"
    one = pydicom.dcmread(path)
    one.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    one.save_as(path)
    if pydicom.pixels.decoders.base.get_decoder(JPEGLosslessSV1).is_available:
        pytest.skip("a plug-in for lossless JPEG is installed")
    with pytest.raises(HalfscanError, match=r"IM0000: its pixels are compressed \(JPEG Lossless.*pip install pylibjpeg"):
        _open(path)


def test_deflated_files_are_refused_before_they_are_inflated(tmp_path: Path, images: np.ndarray) -> None:
    path = write_images(tmp_path, images[:1], syntax=DeflatedExplicitVRLittleEndian) / "IM0000"
    with pytest.raises(HalfscanError, match=r"IM0000: its whole content is deflated"):
        _open(path)


def test_other_kinds_are_left_aside_by_name(tmp_path: Path, images: np.ndarray, caplog: pytest.LogCaptureFixture) -> None:
    place = write_images(tmp_path, images)
    write_images(tmp_path, images[:2], "capture", change=_put(SOPClassUID=SECONDARY))
    write_images(tmp_path, images, "phase", change=_put(ImageType=["ORIGINAL", "PRIMARY", "P", "ND"]))
    write_images(tmp_path, images[:1], "scout", change=_put(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]))
    write_images(tmp_path, images[:1], "own", change=_put(SOPClassUID="1.2.826.0.1.3680043.77.1"))
    shutil.copy(place / "IM0000", tmp_path / "DICOMDIR")
    _directory(tmp_path / "index")
    (tmp_path / "notes.txt").write_text("notes")
    (tmp_path / "thumbs.db").write_text("else")
    assert _open(tmp_path).slices == 4
    for said in (
        "2 × Secondary Capture Image Storage",
        "4 × phase image",
        "1 × localiser",
        "1 × unknown kind",
        "1 × Media Storage",
    ):
        assert said in caplog.text
    assert "1 × file of another kind" in caplog.text
    assert "1.2.826" not in caplog.text
    with pytest.raises(HalfscanError, match=r"no MR image that could be read \(2 × Secondary Capture"):
        _open(tmp_path / "capture")


def _directory(path: Path) -> None:
    """An index of files under another name than DICOMDIR."""
    index = Dataset()
    index.FileSetID, index.file_meta = "SET", pydicom.dataset.FileMetaDataset()
    index.file_meta.MediaStorageSOPClassUID = pydicom.uid.MediaStorageDirectoryStorage
    index.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    index.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    index.save_as(path, enforce_file_format=True)


def test_every_bad_file_of_a_folder_is_named(tmp_path: Path, images: np.ndarray) -> None:
    place = write_images(tmp_path, images)
    whole = (place / "IM0000").read_bytes()
    (tmp_path / "cut").write_bytes(whole[:-100])
    (tmp_path / "short").write_bytes(whole[:400])
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "foreign.dcm").write_bytes(b"no DICOM")
    os.mkfifo(tmp_path / "pipe.dcm")
    with pytest.raises(HalfscanError) as refused:
        Dicom(path=str(tmp_path)).acquisitions()
    assert all(f"/{name}: " in str(refused.value) for name in ("cut", "short", "empty", "foreign.dcm"))
    assert "scan" not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("suffix", ["", ".4", ".ima", ".x"])
def test_a_spoilt_slice_at_the_end_of_a_stack_is_not_taken_for_a_foreign_file(
    tmp_path: Path, images: np.ndarray, suffix: str
) -> None:
    place = write_images(tmp_path, images)
    for file in place.iterdir():
        file.rename(file.with_name(file.name + suffix))
    (place / "README.note").write_text("a note")
    assert _open(place).slices == 4
    (place / f"IM0003{suffix}").write_bytes(b"%PDF-1.7" * 100)
    with pytest.raises(HalfscanError, match=f"IM0003{suffix}: does not begin as DICOM"):
        _open(place)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_files_and_folders_that_may_not_be_read_are_named(tmp_path: Path, images: np.ndarray) -> None:
    place = write_images(tmp_path, images)
    (place / "IM0001").chmod(0)
    with pytest.raises(HalfscanError, match=r"IM0001: can't be read .permission denied"):
        _open(place)


def test_missing_and_empty_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(HalfscanError, match="no such file or folder"):
        _open(tmp_path / "none")
    with pytest.raises(HalfscanError, match=r"no MR image that could be read$"):
        _open(tmp_path)
    with pytest.raises(HalfscanError, match=r"dataset.phase_axis=i must be ROW or COL"):
        Dicom(path="x", phase_axis="i")


def test_a_file_that_changes_after_it_was_checked_is_refused(tmp_path: Path, kspace: np.ndarray) -> None:
    place = write(tmp_path, kspace)
    found = _open(place)
    os.utime(place / "IM0002", ns=(1, 1))
    found.kspace.read({"slice": 1})
    with pytest.raises(HalfscanError, match=r"IM0002: changed or vanished"):
        found.kspace.read({"slice": 2})


@pytest.mark.parametrize("name", ["MR_small", "MR_small_bigendian", "MR_small_implicit", "MR_small_RLE", "MR_small_jp2klossless"])
def test_files_that_others_wrote_are_read_as_pydicom_reads_them(name: str) -> None:
    path = pydicom.data.get_testdata_file(f"{name}.dcm", download=False)
    plain = pydicom.data.get_testdata_file("MR_small.dcm", download=False)
    if not path or not plain:
        pytest.skip(f"pydicom came without its {name}.dcm")
    found = _open(Path(path))
    pixels = pydicom.dcmread(plain).pixel_array.astype(complex)
    back = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(found.kspace.read()[0, 0]), norm="ortho"))
    np.testing.assert_allclose(back, pixels, atol=1e-3)
    assert found.timing.te_s == 0.24


def test_a_series_knows_its_own_kind(tmp_path: Path, images: np.ndarray) -> None:
    kind = Dicom(path="")
    place = write_images(tmp_path, images, "exam/series")
    assert kind.recognises(place)
    assert kind.recognises(place / "IM0000")
    assert kind.recognises(tmp_path)
    (tmp_path / "other.h5").write_bytes(b"x" * 200)
    assert not kind.recognises(tmp_path)
    assert not kind.recognises(tmp_path / "other.h5")
    assert not kind.recognises(tmp_path / "none")


def _damaged(folder: Path, count: int) -> None:
    small = np.abs(phantom(slices=2, coils=1, height=8, width=6)[0].numpy())
    kinds = ({}, {"enhanced": True}, {"enhanced": True, "syntax": RLELossless}, {"syntax": ImplicitVRLittleEndian})
    read = 0
    for part, settings in enumerate(kinds):
        good = (write_images(folder, small, f"good{part}", phi=PHI, **settings) / "IM0000").read_bytes()
        for index, changed in enumerate(mutations(good, count // len(kinds), seed=part)):
            path = folder / f"m{part}_{index}.dcm"
            path.write_bytes(changed)
            read += read_or_refused(Dicom(path=str(path)), path, "DOE")
    assert 0 < read < count


def test_damaged_series_are_refused_or_read(tmp_path: Path) -> None:
    _damaged(tmp_path, 300)


@pytest.mark.trials
def test_many_damaged_series_are_refused_or_read(tmp_path: Path) -> None:
    _damaged(tmp_path, 3000)
