"""fastMRI files: what the header says, what padding is, whom they name, and every way in which they can be wrong."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from halfscan.bench.acquisition import Provenance
from halfscan.bench.errors import HalfscanError
from halfscan.datasets.fastmri import FastMri

from ..conftest import phantom
from .writing_fastmri import header, write

HASH = "ab" * 32


@pytest.fixture
def kspace() -> np.ndarray:
    return phantom()[2].numpy()


def _open(path: Path, **settings: object) -> object:
    (found,) = FastMri(path=str(path), **settings).acquisitions()
    return found


def test_the_header_s_timing_field_and_matrix_are_read(tmp_path: Path, kspace: np.ndarray) -> None:
    found = _open(write(tmp_path, kspace, shown=(20, 48)))
    assert (found.timing.sequence, found.timing.tr_s, found.timing.echo_train_length) == ("tse", 2.8, 4)
    assert found.field_strength_t == 2.89
    assert found.field_of_view == (48, 20)
    assert found.voxel_mm == (3.0, 1.0, 1.0)
    assert found.contrast == "T2"
    assert found.provenance is Provenance.MEASURED
    assert not found.redistributable
    assert np.array_equal(found.kspace.read(), kspace)


@pytest.mark.parametrize("padding", [(5, 5), (6, 5), (0, 9), (9, 0), (3, 8)])
def test_padding_is_cut_off_and_the_centre_stays(tmp_path: Path, kspace: np.ndarray, padding: tuple[int, int]) -> None:
    path = write(tmp_path, kspace, padding=padding)
    found, kept = _open(path), _open(path, padding="keep")
    assert found.acquired.sum() == kept.acquired.sum() == kspace.shape[2]
    assert found.kspace.size("ky") <= kept.kspace.size("ky") == kspace.shape[2] + sum(padding)
    whole, centre = kept.kspace.read(), kept.kspace.size("ky") // 2
    part = found.kspace.read()
    first = centre - part.shape[2] // 2
    assert np.array_equal(part, whole[:, :, first : first + part.shape[2]])
    assert not whole[:, :, :first].any()
    assert not whole[:, :, first + part.shape[2] :].any()
    assert np.array_equal(part[:, :, found.acquired], kspace)
    assert (found.digest == kept.digest) == (part.shape == whole.shape)


def test_without_its_padding_the_image_keeps_its_field_of_view(tmp_path: Path, kspace: np.ndarray) -> None:
    path = write(tmp_path, kspace, padding=(6, 6), shown=(20, 40))
    found, kept = _open(path), _open(path, padding="keep")
    assert kept.field_of_view == (40, 20)
    assert found.field_of_view == (32, 20)  # 40 of 60 mm, in 48 lines
    assert found.voxel_mm[1] * 48 == pytest.approx(kept.voxel_mm[1] * 60)


def test_lines_that_the_header_calls_padding_are_no_data_whatever_they_hold(tmp_path: Path, kspace: np.ndarray) -> None:
    path = write(tmp_path, kspace)
    with h5py.File(path, "r+") as file:
        del file["ismrmrd_header"]
        file["ismrmrd_header"] = header((40, 48), (40, 48), (0, 39, 20))
    found = _open(path)
    assert found.kspace.size("ky") == 40
    assert np.array_equal(found.kspace.read(), kspace[:, :, 4:44])


def test_a_slice_is_read_alone_and_axes_are_ours(tmp_path: Path, kspace: np.ndarray) -> None:
    found = _open(write(tmp_path, kspace, padding=(4, 4)))
    assert np.array_equal(found.kspace.read({"slice": 1, "coil": slice(2, 4), "ky": 3}), kspace[1, 2:4, 3])
    assert np.array_equal(found.kspace.read({"slice": slice(1, 2), "kx": slice(5, 9)}), kspace[1:2, ..., 5:9])
    assert np.array_equal(found.kspace.read_stack(1, 2), kspace[1:2])


@pytest.mark.parametrize(
    "stored", [{"chunks": (1, 1, 40, 58)}, {"compression": "gzip"}, {"dtype": np.complex128}, {"dtype": ">c8"}], ids=str
)
def test_however_hdf5_stores_it_the_samples_are_the_same(tmp_path: Path, kspace: np.ndarray, stored: dict) -> None:
    plain = _open(write(tmp_path, kspace, "plain", padding=(5, 5)))
    path = write(tmp_path, kspace, "other", padding=(5, 5))
    with h5py.File(path, "r+") as file:
        samples = file["kspace"][()]
        del file["kspace"]
        file.create_dataset("kspace", data=samples, **stored)
    other = _open(path)
    assert np.array_equal(other.kspace.read(), plain.kspace.read())
    for part in ({"slice": 1}, {"slice": slice(1, 2)}, {"coil": 2}, {"slice": -1, "ky": slice(0, 9)}):
        assert np.array_equal(other.kspace.read(part), plain.kspace.read(part))
    assert other.digest == plain.digest


def test_single_coil_files_have_no_coil_axis(tmp_path: Path, kspace: np.ndarray) -> None:
    found = _open(write(tmp_path, kspace[:, 0], padding=(2, 2)))
    assert found.kspace.axes == ("slice", "ky", "kx")
    assert np.array_equal(found.kspace.read_stack()[:, 0], kspace[:, 0])


def test_published_patients_pair_and_private_ones_do_not(
    tmp_path: Path, kspace: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = write(tmp_path, kspace, "file_brain_AXT2_200_2000019", patient_id=HASH)
    private = write(tmp_path, kspace, "DOE_JOHN", patient_id="Doe^John")
    before = (_open(public), _open(private))
    monkeypatch.setenv("HALFSCAN_SITE_KEY", "another site")
    after = (_open(public), _open(private))
    assert before[0].patient == after[0].patient
    assert before[0].volume == "file_brain_AXT2_200_2000019"
    assert before[1].patient != after[1].patient
    assert "DOE" not in repr(before[1]).upper()


def test_free_text_is_no_contrast(tmp_path: Path, kspace: np.ndarray) -> None:
    assert _open(write(tmp_path, kspace, acquisition="knee of J. Doe")).contrast is None


def test_masks_can_be_seeded_by_the_file_s_name(tmp_path: Path, kspace: np.ndarray) -> None:
    assert _open(write(tmp_path, kspace, "file1000001")).file_name == "file1000001.h5"


def _without(name: str) -> object:
    return lambda file: file.__delitem__(name)


def _put(name: str, value: object) -> object:
    def change(file: h5py.File) -> None:
        if name in file:
            del file[name]
        file[name] = value

    return change


WRONG = {
    "holds no kspace, so it is no fastMRI file": _without("kspace"),
    "holds no ismrmrd_header": _without("ismrmrd_header"),
    "holds a mask, so it is an undersampled test file": _put("mask", np.ones(48)),
    "k-space is float32": _put("kspace", np.ones((2, 6, 40, 48), np.float32)),
    "of shape \\(2, 40\\)": _put("kspace", np.ones((2, 40), np.complex64)),
    "header is no XML": _put("ismrmrd_header", b"TR=2800"),
    "trajectory is radial": _put("ismrmrd_header", header((40, 48), (40, 48), (0, 47, 24), trajectory="radial")),
    "k-space is all zeros": _put("kspace", np.zeros((2, 6, 40, 48), np.complex64)),
    "holds NaN or infinity": _put("kspace", np.full((2, 6, 40, 48), np.nan, np.complex64)),
    "lines between sampled ones are empty": _put("kspace", np.tile(np.arange(48) % 2, (2, 6, 40, 1)).astype(np.complex64)),
    "the lines that its header calls acquired are empty": _put(
        "kspace", (np.arange(48) < 9) * np.ones((2, 6, 40, 48), np.complex64)
    ),
}


@pytest.mark.parametrize("message", WRONG)
def test_wrong_files_are_refused_by_name(tmp_path: Path, kspace: np.ndarray, message: str) -> None:
    path = write(tmp_path, kspace[:, :, 12:36], "wrong", padding=(12, 12))
    with h5py.File(path, "r+") as file:
        WRONG[message](file)
    with pytest.raises(HalfscanError, match=f"wrong.h5.*{message}") as refused:
        _open(path)
    assert "\n" not in str(refused.value)


def test_every_bad_file_of_a_folder_is_named_before_anything_runs(tmp_path: Path, kspace: np.ndarray) -> None:
    whole = write(tmp_path, kspace, "good").read_bytes()
    (tmp_path / "cut.h5").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.h5").write_bytes(b"")
    (tmp_path / "foreign.h5").write_bytes(b"PK\3\4 this is an archive")
    (tmp_path / "notes.txt").write_text("read me")
    with h5py.File(write(tmp_path, kspace, "other"), "r+") as held:
        held.flush()
        with pytest.raises(HalfscanError) as refused:
            FastMri(path=str(tmp_path)).acquisitions()
    said = str(refused.value)
    assert all(name in said for name in ("cut.h5", "empty.h5", "foreign.h5"))
    assert "good.h5" not in said
    assert "notes" not in said


def test_an_array_that_the_file_can_t_hold_is_refused_before_it_is_read(tmp_path: Path, kspace: np.ndarray) -> None:
    path = write(tmp_path, kspace, "huge")
    with h5py.File(path, "r+") as file:
        del file["kspace"]
        file.create_dataset("kspace", (4000, 64, 4000, 4000), np.complex64)
    with pytest.raises(HalfscanError, match=r"huge.h5: k-space of shape .* needs .* bytes and 0 are stored"):
        _open(path)


def test_a_volume_is_surveyed_once(tmp_path: Path, kspace: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    from halfscan.datasets import survey

    path = write(tmp_path, kspace)
    first = _open(path)
    monkeypatch.setattr(survey, "_survey", lambda *_: pytest.fail("read again"))
    assert _open(path).digest == first.digest


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(HalfscanError, match=r"dataset.padding=cut must be strip or keep"):
        FastMri(path="x", padding="cut")
