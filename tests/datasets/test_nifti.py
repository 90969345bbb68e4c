"""NIfTI images: their planes as k-space, axes and units as stated, what compression hides, and every way to be wrong."""

from __future__ import annotations

import gzip
import json
import logging
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from halfscan.bench.acquisition import Provenance
from halfscan.bench.errors import HalfscanError
from halfscan.datasets.nifti import Nifti

from ..conftest import phantom
from .mutation import mutations, read_or_refused
from .writing_nifti import write, write_image

PHI = "DOE^JANE 19610203"


@pytest.fixture
def array() -> np.ndarray:
    """(i, j, k) of 12-bit magnitudes."""
    image = np.abs(phantom(slices=3, coils=1)[0].numpy())
    return np.round(image / image.max() * 4000).astype(np.int16).transpose(2, 1, 0)


def _open(path: Path, **settings: object) -> object:
    (found,) = Nifti(path=str(path), **settings).acquisitions()
    return found


def _kspace(image: np.ndarray) -> np.ndarray:
    shifted = np.fft.ifftshift(image, axes=(-2, -1))
    return np.fft.fftshift(np.fft.fft2(shifted, norm="ortho"), axes=(-2, -1))


def _same(found: object, image: np.ndarray) -> None:
    """`image` is (slice, ky, kx)."""
    np.testing.assert_allclose(found.kspace.read_stack()[:, 0], _kspace(image), atol=2e-6 * np.abs(_kspace(image)).max())


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_planes_become_their_centred_unitary_transform(tmp_path: Path, array: np.ndarray, suffix: str, kind: type) -> None:
    found = _open(write_image(tmp_path, array, suffix=suffix, kind=kind))
    assert found.kspace.axes == ("slice", "coil", "ky", "kx")
    _same(found, array.transpose(2, 1, 0))
    assert found.acquired.all()


@pytest.mark.parametrize("dtype", ["u1", "i2", ">i2", "u2", "i4", "f4", ">f4", "f8"])
def test_voxels_of_every_type_are_read(tmp_path: Path, array: np.ndarray, dtype: str) -> None:
    stored = (array / 16).astype(dtype)
    _same(_open(write_image(tmp_path, stored)), stored.astype(float).transpose(2, 1, 0))


def test_complex_images_are_taken_as_they_are(tmp_path: Path) -> None:
    kspace = phantom(slices=3, coils=1)[2].numpy()
    found = _open(write(tmp_path, kspace))
    np.testing.assert_allclose(found.kspace.read_stack(), kspace, atol=1e-6 * np.abs(kspace).max())
    assert "finished complex images" in found.caveat
    assert found.provenance is Provenance.PROCESSED


def test_slope_and_intercept_are_applied(tmp_path: Path, array: np.ndarray) -> None:
    found = _open(write_image(tmp_path, array, slope=(0.25, -3.0)))
    _same(found, nib.load(tmp_path / "scan.nii").get_fdata().transpose(2, 1, 0))


def test_images_are_processed_whatever_their_sidecar_says(tmp_path: Path, array: np.ndarray) -> None:
    found = _open(write_image(tmp_path, array, sidecar={"provenance": "measured", "source_paths": ["scan.dat"]}))
    assert found.provenance is Provenance.PROCESSED
    assert "Hermitian symmetric" in found.caveat
    assert "Shimron" in found.caveat


@pytest.mark.parametrize(
    ("encoding", "sidecar", "settings", "order", "unsaid"),
    [
        ((0, 1, 2), {}, {}, (2, 1, 0), False),
        ((1, 0, 2), {}, {}, (2, 0, 1), False),
        ((1, 0, 2), {}, {"phase_axis": "j"}, (2, 0, 1), False),
        ((0, None, None), {}, {}, (2, 1, 0), False),
        ((1, 2, 0), {}, {}, (0, 2, 1), False),
        ((1, 2, None), {}, {}, (0, 2, 1), False),
        ((None, None, 1), {}, {}, (1, 0, 2), True),
        (None, {}, {}, (2, 0, 1), True),
        (None, {}, {"phase_axis": "j"}, (2, 1, 0), False),
        (None, {"PhaseEncodingDirection": "j-"}, {}, (2, 1, 0), False),
        (None, {"PhaseEncodingAxis": "j"}, {"phase_axis": "i"}, (2, 1, 0), False),
    ],
)
def test_phase_encoding_lies_where_it_is_stated(
    tmp_path: Path, array: np.ndarray, encoding: tuple, sidecar: dict, settings: dict, order: tuple, unsaid: bool
) -> None:
    path = write_image(tmp_path, array, encoding=encoding, zooms=(1.0, 2.0, 3.0), sidecar=sidecar)
    found = _open(path, **settings)
    _same(found, array.transpose(order))
    assert found.voxel_mm == tuple(float(axis + 1) for axis in order)
    assert ("not stated" in found.caveat) == unsaid


@pytest.mark.parametrize(
    ("encoding", "sidecar", "settings", "message"),
    [
        ((0, 1, 2), {"PhaseEncodingDirection": "i"}, {}, "along j in its header and i in its sidecar"),
        ((0, 0, 2), {}, {}, "two of slice, phase and frequency"),
        ((0, None, None), {"PhaseEncodingDirection": "i"}, {}, "two of slice, phase and frequency"),
        ((None, 2, None), {}, {}, "k is both its slice axis and one that is encoded"),
        (None, {"PhaseEncodingDirection": "k"}, {}, "k is both its slice axis"),
        (None, {}, {"phase_axis": "k"}, "k is both its slice axis"),
        (None, {"PhaseEncodingDirection": "AP"}, {}, "PhaseEncodingDirection must be i, j or k"),
    ],
)
def test_axes_that_contradict_each_other_are_refused(
    tmp_path: Path, array: np.ndarray, encoding: tuple, sidecar: dict, settings: dict, message: str
) -> None:
    with pytest.raises(HalfscanError, match=f"scan.(nii|json): .*{message}"):
        _open(write_image(tmp_path, array, encoding=encoding, sidecar=sidecar), **settings)


@pytest.mark.parametrize(("units", "factor"), [("mm", 1.0), ("meter", 1000.0), ("micron", 0.001), ("unknown", None)])
def test_voxel_sizes_need_a_unit(tmp_path: Path, array: np.ndarray, units: str, factor: float | None) -> None:
    found = _open(write_image(tmp_path, array, zooms=(1.0, 2.0, 3.0), units=units))
    assert found.voxel_mm == (None if factor is None else pytest.approx((3 * factor, 2 * factor, factor)))


def test_a_sidecar_of_ours_goes_before_the_header(tmp_path: Path, array: np.ndarray) -> None:
    stated = {"voxel_mm": [5, 0.5, 0.5], "TR_ms": 500, "RepetitionTime": 2.0, "field_strength_T": 0.055, "contrast": "T2"}
    found = _open(write_image(tmp_path, array, sidecar=stated | {"MagneticFieldStrength": 3, "license": "CC0"}))
    assert (found.voxel_mm, found.timing.tr_s, found.field_strength_t) == ((5.0, 0.5, 0.5), 0.5, 0.055)
    assert (found.contrast, found.redistributable) == ("T2", True)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_bids_sidecars_have_seconds(tmp_path: Path, array: np.ndarray, suffix: str) -> None:
    stated = {
        "RepetitionTime": 2.8,
        "EchoTime": 0.033,
        "MagneticFieldStrength": 3,
        "EchoTrainLength": 16,
        "NumberOfAverages": 1.5,
    }
    found = _open(write_image(tmp_path, array, suffix=suffix, sidecar=stated | {"NumberOfAverages": 1.5}))
    assert (found.timing.tr_s, found.timing.te_s, found.timing.echo_train_length) == (2.8, 0.033, 16)
    assert (found.timing.averages, found.timing.total_s, found.field_strength_t) == (None, None, 3.0)


@pytest.mark.parametrize("stated", [{"RepetitionTime": -1}, {"EchoTime": float("nan")}, {"MagneticFieldStrength": 0}])
def test_numbers_that_no_scan_has_are_refused(tmp_path: Path, array: np.ndarray, stated: dict) -> None:
    with pytest.raises(HalfscanError, match=rf"scan.json: .*{next(iter(stated))} must be a number above 0"):
        _open(write_image(tmp_path, array, sidecar=stated))


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_every_volume_of_a_series_stands_alone(tmp_path: Path, array: np.ndarray, suffix: str) -> None:
    path = write_image(tmp_path, np.stack([array, 2 * array], axis=-1), suffix=suffix, sidecar={"public_dataset": "x"})
    first, second = Nifti(path=str(path)).acquisitions()
    _same(second, 2 * array.transpose(2, 1, 0))
    _same(first, array.transpose(2, 1, 0))
    assert (first.volume, second.volume) == ("scan_0", "scan_1")
    assert first.patient == second.patient
    assert first.digest != second.digest


def test_a_single_plane_is_enough(tmp_path: Path, array: np.ndarray) -> None:
    found = _open(write_image(tmp_path, array[:, :, 1], encoding=(0, 1, None)))
    _same(found, array[:, :, 1].T[None])
    assert found.voxel_mm is None


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_parts_and_central_slices_are_read_alone(tmp_path: Path, array: np.ndarray, suffix: str) -> None:
    path = write_image(tmp_path, array, suffix=suffix)
    found, central = _open(path), _open(path, max_slices=1)
    whole = found.kspace.read()
    assert np.array_equal(found.kspace.read({"slice": 2, "ky": slice(3, 9)}), whole[2, :, 3:9])
    assert np.array_equal(found.kspace.read({"slice": slice(0, 3, 2), "coil": 0, "kx": 4}), whole[::2, 0, :, 4])
    assert found.kspace.read({"slice": slice(1, 1)}).shape == (0, 1, 48, 40)
    assert np.array_equal(central.kspace.read(), whole[1:2])
    assert found.digest != central.digest


def test_however_it_is_stored_the_same_image_has_the_same_digest(tmp_path: Path, array: np.ndarray) -> None:
    plain = _open(write_image(tmp_path, array, "a"))
    assert plain.digest == _open(write_image(tmp_path, array.astype(">f4"), "b", suffix=".nii.gz")).digest
    assert plain.digest == _open(write_image(tmp_path, array.transpose(1, 0, 2), "c", encoding=(1, 0, 2))).digest
    assert plain.digest != _open(write_image(tmp_path, array.transpose(1, 0, 2), "d")).digest


def test_bids_names_are_a_patient_each_and_files_of_one_share_it(tmp_path: Path, array: np.ndarray) -> None:
    for name in ("sub-01_T1w", "sub-01_T2w", "sub-02_T1w", "other", "sub-03"):
        write_image(tmp_path, array, name, sidecar={"patient": "sub-02"} if name == "other" else None)
    opened = {one.file_name: one.patient for one in Nifti(path=str(tmp_path)).acquisitions()}
    assert opened["sub-01_T1w.nii"] == opened["sub-01_T2w.nii"] != opened["sub-02_T1w.nii"] == opened["other.nii"]
    assert len(set(opened.values())) == 3


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_nothing_names_a_person(tmp_path: Path, array: np.ndarray, kind: type, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    path = write_image(tmp_path, array, phi=PHI, kind=kind)
    found = _open(path)
    _same(found, array.transpose(2, 1, 0))
    assert "DOE" not in repr(found) + caplog.text
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(HalfscanError) as refused:
        _open(path)
    assert "DOE" not in str(refused.value)


def _header(path: Path, **fields: object) -> None:
    """Writes fields of a header as they are, into a file that has been written."""
    header = nib.Nifti1Header(path.read_bytes()[:348], check=False)
    for name, value in fields.items():
        header[name] = value
    path.write_bytes(header.binaryblock + path.read_bytes()[348:])


HEADERS = {
    "declares the dimensions": {"dim": [3, 40, -48, 3, 1, 1, 1, 1]},
    "declares the dimensions .*0": {"dim": [3, 40, 0, 3, 1, 1, 1, 1]},
    "declares .* bytes in all": {"dim": [3, 40, 48, 30, 1, 1, 1, 1]},
    "more than are read": {"dim": [4, 32767, 32767, 3, 3, 1, 1, 1]},
    "more than four dimensions": {"dim": [5, 40, 48, 1, 1, 3, 1, 1]},
    "NIfTI's type 128, no real or complex numbers": {"datatype": 128},
    "NIfTI's type 1536": {"datatype": 1536},
    "NIfTI's type 77": {"datatype": 77},
    "voxels begin at byte 8": {"vox_offset": 8},
    "voxels begin at byte nan": {"vox_offset": np.nan},
    "scales voxels by inf": {"scl_slope": np.inf},
    "scales voxels by 1 and nan": {"scl_slope": 1, "scl_inter": np.nan},
    "values beyond": {"scl_slope": 1e30},
    "does not begin as NIfTI": {"magic": b"ni1"},
}


@pytest.mark.parametrize("message", HEADERS)
def test_headers_that_can_t_be_are_refused_by_name(tmp_path: Path, array: np.ndarray, message: str) -> None:
    path = write_image(tmp_path, array)
    _header(path, **HEADERS[message])
    with pytest.raises(HalfscanError, match=f"scan.nii: .*{message}") as refused:
        _open(path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1e20])
def test_voxels_that_are_no_numbers_are_refused(tmp_path: Path, array: np.ndarray, value: float) -> None:
    spoilt = array.astype(np.float32)
    spoilt[3, 3, 1] = value
    with pytest.raises(HalfscanError, match=r"scan.nii: voxels hold NaN, infinity or values beyond"):
        _open(write_image(tmp_path, spoilt))


def test_colours_empty_and_flat_images_are_refused(tmp_path: Path, array: np.ndarray) -> None:
    colour = np.zeros((8, 8, 2), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    with pytest.raises(HalfscanError, match="colour is not read"):
        _open(write_image(tmp_path, colour))
    with pytest.raises(HalfscanError, match="all zeros"):
        _open(write_image(tmp_path, 0 * array))
    with pytest.raises(HalfscanError, match="1 × 40 voxels, which is no image"):
        _open(write_image(tmp_path, array[:, :1]))


SPOILT = {
    "is it whole": lambda old: old[: len(old) // 2],
    "does not begin as NIfTI": lambda old: b"",
    "begin as NIfTI": lambda old: b"no NIfTI at all" * 99,
}


@pytest.mark.parametrize("message", SPOILT)
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_cut_empty_and_foreign_files_are_refused_by_name(tmp_path: Path, array: np.ndarray, message: str, suffix: str) -> None:
    path = write_image(tmp_path, array, suffix=suffix)
    path.write_bytes(SPOILT[message](path.read_bytes()))
    with pytest.raises(HalfscanError, match=f"scan.nii.*: .*({message}|can't be read as NIfTI.*is it whole)"):
        _open(path)


def test_a_compressed_file_must_hold_what_it_declares_no_less_and_no_more(tmp_path: Path, array: np.ndarray) -> None:
    content = write_image(tmp_path, array).read_bytes()
    path = tmp_path / "zipped.nii.gz"
    for changed, message in (
        (content[:-2], "it ends before the voxels"),
        (content + b"xx", "more voxels than its header declares"),
        (content + bytes(1 << 28), "more voxels than its header declares"),
    ):
        path.write_bytes(gzip.compress(changed, 1))
        with pytest.raises(HalfscanError, match=f"zipped.nii.gz: .*{message}"):
            _open(path)
    whole = bytearray(gzip.compress(content))
    whole[-6] ^= 1  # its checksum
    path.write_bytes(whole)
    with pytest.raises(HalfscanError, match=r"zipped.nii.gz: can't be read as NIfTI \(CRC check failed"):
        _open(path)


def test_a_header_that_declares_more_than_deflate_could_hold_is_refused_at_once(tmp_path: Path, array: np.ndarray) -> None:
    path = write_image(tmp_path, array)
    _header(path, dim=[4, 1024, 1024, 1024, 1, 1, 1, 1])
    zipped = tmp_path / "bomb.nii.gz"
    zipped.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(HalfscanError, match=r"bomb.nii.gz: its header declares .*more than this file can hold"):
        _open(zipped)


def test_every_bad_file_of_a_folder_is_named_and_other_kinds_are_left_aside(
    tmp_path: Path, array: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    write_image(tmp_path, array, "good")
    (tmp_path / "empty.nii").write_bytes(b"")
    (tmp_path / "foreign.nii.gz").write_bytes(b"PK")
    (tmp_path / "archive.tar.gz").write_bytes(b"PK")
    os.mkfifo(tmp_path / "pipe.nii")
    with pytest.raises(HalfscanError) as refused:
        Nifti(path=str(tmp_path)).acquisitions()
    assert all(name in str(refused.value) for name in ("empty.nii", "foreign.nii.gz", "pipe.nii"))
    assert "good" not in str(refused.value)
    assert "archive.tar.gz" in caplog.text
    with pytest.raises(HalfscanError, match=r"no .nii, .nii.gz file"):
        Nifti(path=str(tmp_path / "archive.tar.gz")).acquisitions()


def test_a_file_that_changes_after_it_was_checked_is_refused(tmp_path: Path, array: np.ndarray) -> None:
    path = write_image(tmp_path, array)
    found = _open(path)
    os.utime(path, ns=(1, 1))
    with pytest.raises(HalfscanError, match=r"scan.nii: changed or vanished"):
        found.kspace.read()


def test_settings_and_sidecars_that_can_t_be_are_refused(tmp_path: Path, array: np.ndarray) -> None:
    with pytest.raises(HalfscanError, match=r"dataset.phase_axis=x must be i, j or k"):
        Nifti(path="x", phase_axis="x")
    path = write_image(tmp_path, array, suffix=".nii.gz")
    (tmp_path / "scan.json").write_text(json.dumps({"voxel_mm": 3}))
    with pytest.raises(HalfscanError, match=r"scan.json: a value is of the wrong kind"):
        _open(path)


def test_files_that_others_wrote_are_read_as_nibabel_reads_them() -> None:
    path = Path(nib.__file__).parent / "tests" / "data" / "example4d.nii.gz"
    if not path.exists():
        pytest.skip("nibabel came without its example4d.nii.gz")
    first, second = Nifti(path=str(path)).acquisitions()
    values = nib.load(path).get_fdata()
    _same(first, values[..., 0].transpose(2, 1, 0))
    _same(second, values[..., 1].transpose(2, 1, 0))
    assert "not stated" not in first.caveat


def test_an_image_knows_its_own_kind(tmp_path: Path, array: np.ndarray) -> None:
    kind = Nifti(path="")
    for suffix in (".nii", ".nii.gz"):
        path = write_image(tmp_path, array, suffix=suffix)
        assert kind.recognises(path)
        path.write_bytes(b"else")
        assert not kind.recognises(path)
    assert not kind.recognises(tmp_path)
    assert not kind.recognises(tmp_path / "none.nii")


def _damaged(folder: Path, count: int) -> None:
    array = np.abs(phantom(slices=2, coils=1, height=8, width=6)[0].numpy() * 1000).astype(np.int16).transpose(2, 1, 0)
    read = 0
    for part, suffix in enumerate((".nii", ".nii.gz")):
        good = write_image(folder, array, "good", suffix=suffix, zooms=(1.0, 1.0, 3.0)).read_bytes()
        for index, changed in enumerate(mutations(good, count // 2, seed=part, head=348)):
            path = folder / f"m{index}{suffix}"
            # Damage behind the checksum, too: what was compressed is damaged, not the compressed file.
            if suffix == ".nii.gz" and index % 4 == 1:
                (changed,) = mutations(gzip.decompress(good), 1, seed=index, head=348)
                changed = gzip.compress(changed, 1)
            path.write_bytes(changed)
            read += read_or_refused(Nifti(path=str(path)), path)
    assert 0 < read < count


def test_damaged_images_are_refused_or_read(tmp_path: Path) -> None:
    _damaged(tmp_path, 300)


@pytest.mark.trials
def test_many_damaged_images_are_refused_or_read(tmp_path: Path) -> None:
    _damaged(tmp_path, 3000)
