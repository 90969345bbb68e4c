"""Array data: axes, padding, provenance, privacy, and one clear line for each way a file can be wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from halfscan.bench.acquisition import Provenance
from halfscan.bench.errors import HalfscanError
from halfscan.datasets.array import Array

from ..conftest import phantom

Write = Callable[..., Path]


@pytest.fixture
def kspace() -> np.ndarray:
    return phantom()[2].numpy()


def test_reads_all_three_formats_alike(tmp_path: Path, kspace: np.ndarray) -> None:
    np.savez(tmp_path / "a.npz", kspace=kspace)
    np.save(tmp_path / "a.npy", kspace)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["kspace"] = kspace
    (tmp_path / "a.json").write_text('{"axes": ["slice", "coil", "ky", "kx"]}')
    opened = [Array(path=str(tmp_path / f"a{suffix}")).acquisitions()[0] for suffix in (".npz", ".npy", ".h5")]
    for acquisition in opened:
        assert np.array_equal(acquisition.kspace.read(), kspace)
    assert len({acquisition.digest for acquisition in opened}) == 1


def test_other_axis_orders_are_brought_into_ours(write_kspace: Write, kspace: np.ndarray) -> None:
    path = write_kspace("t", {"axes": ["kx", "ky", "slice", "coil"]}, kspace.transpose(3, 2, 0, 1))
    acquisition = Array(path=str(path)).acquisitions()[0]
    assert acquisition.kspace.axes == ("slice", "coil", "ky", "kx")
    assert np.array_equal(acquisition.kspace.read({"slice": 1}), kspace[1])


def test_a_single_coil_plane_is_enough(write_kspace: Write, kspace: np.ndarray) -> None:
    acquisition = Array(path=str(write_kspace("p", {"axes": ["ky", "kx"]}, kspace[0, 0]))).acquisitions()[0]
    assert (acquisition.slices, acquisition.kspace.size("coil")) == (1, 1)


def test_padding_is_not_acquired(write_kspace: Write, kspace: np.ndarray) -> None:
    padded = np.pad(kspace, ((0, 0), (0, 0), (5, 3), (0, 0)))
    acquired = Array(path=str(write_kspace("z", kspace=padded))).acquisitions()[0].acquired
    assert acquired.sum() == kspace.shape[2]
    assert not acquired[:5].any()
    assert not acquired[-3:].any()


@pytest.mark.parametrize(
    ("sidecar", "expected"),
    [
        ({}, Provenance.PROCESSED),
        ({"provenance": "measured"}, Provenance.MEASURED),
        ({"source_paths": ["a/scan.dat"]}, Provenance.MEASURED),
        ({"source_paths": ["a/P20480.7", "a/cleaned.mat"]}, Provenance.PROCESSED),
        ({"source_paths": ["a/scan.dat"], "provenance": "processed"}, Provenance.PROCESSED),
    ],
)
def test_provenance_is_stated_or_the_cautious_one(write_kspace: Write, sidecar: dict, expected: Provenance) -> None:
    path = write_kspace("v", {"axes": ["slice", "coil", "ky", "kx"], **sidecar})
    assert Array(path=str(path)).acquisitions()[0].provenance is expected


def test_strings_in_a_sidecar_are_notes(write_kspace: Write) -> None:
    stated = {"axes": ["slice", "coil", "ky", "kx"], "TR_ms": "48 (from the notebook)", "TE_ms": 12.5, "field_strength_T": 3}
    acquisition = Array(path=str(write_kspace("n", stated))).acquisitions()[0]
    assert acquisition.timing.tr_s is None
    assert acquisition.timing.te_s == 0.0125
    assert acquisition.field_strength_t == 3.0


def test_nothing_names_a_private_patient(write_kspace: Write) -> None:
    path = write_kspace("DOE_JOHN_1970", {"axes": ["slice", "coil", "ky", "kx"], "patient": "Doe^John"})
    acquisition = Array(path=str(path)).acquisitions()[0]
    assert "DOE" not in repr(acquisition).upper()
    assert len(acquisition.patient) == len(acquisition.volume) == 12


def test_published_patients_pair_and_several_volumes_share_one(write_kspace: Write) -> None:
    stated = {"axes": ["slice", "coil", "ky", "kx"], "public_dataset": "published"}
    for name in ("p1_t1", "p1_t2", "p2_t1"):
        folder = write_kspace(name, stated).parent
    opened = Array(path=str(folder), patient_pattern=r"(p\d)_").acquisitions()
    assert [acquisition.volume for acquisition in opened] == ["p1_t1", "p1_t2", "p2_t1"]
    assert opened[0].patient == opened[1].patient != opened[2].patient
    assert len({acquisition.patient for acquisition in Array(path=str(folder)).acquisitions()}) == 3


def test_central_slices_only(write_kspace: Write, kspace: np.ndarray) -> None:
    stack = np.concatenate([kspace, 2 * kspace, 3 * kspace])
    acquisition = Array(path=str(write_kspace("s", kspace=stack)), max_slices=2).acquisitions()[0]
    assert np.array_equal(acquisition.kspace.read(), stack[2:4])
    assert acquisition.slices == 2


@pytest.mark.parametrize(
    ("licence", "allowed"), [("MIT (repo LICENSE)", True), ("CC0-1.0", True), ("fastMRI agreement", False), (None, False)]
)
def test_pictures_need_an_open_licence(write_kspace: Write, licence: str | None, allowed: bool) -> None:
    stated = {"axes": ["slice", "coil", "ky", "kx"], **({"license": licence} if licence else {})}
    assert Array(path=str(write_kspace("l", stated))).acquisitions()[0].redistributable is allowed


def _with(kspace: np.ndarray, value: complex) -> np.ndarray:
    changed = kspace.copy()
    changed[0, 0, 3, 3] = value
    return changed


BAD_ARRAYS = {
    "NaN or infinity": lambda k: _with(k, complex("nan")),
    "holds NaN or infinity": lambda k: _with(k, complex("inf")),
    "all zeros": lambda k: np.zeros_like(k),
    "must be complex": lambda k: k.real,
    "does not fit the axes": lambda k: k[0],
    "the array is empty": lambda k: k[:0],
    "lines between sampled ones are empty": lambda k: np.where(np.arange(48)[:, None] % 3 == 0, 0, k),
}


@pytest.mark.parametrize("message", BAD_ARRAYS)
def test_bad_arrays_are_refused_by_name(write_kspace: Write, kspace: np.ndarray, message: str) -> None:
    path = write_kspace("bad", kspace=BAD_ARRAYS[message](kspace))
    with pytest.raises(HalfscanError, match=f"bad.npz.*{message}"):
        Array(path=str(path)).acquisitions()


BAD_SIDECARS = {
    "nothing says what its axes are": {},
    "unknown axis 'phase'": {"axes": ["slice", "coil", "phase", "kx"]},
    "lack ky or kx": {"axes": ["slice", "coil", "kz", "kx"]},
    "the axis echo is not handled yet": {"axes": ["echo", "coil", "ky", "kx"]},
    "states the shape": {"shape_slices_coils_ky_kx": [1, 1, 2, 3]},
    "undersampled": {"axes": ["slice", "coil", "ky", "kx"], "fully_sampled": False},
    "fft_convention must be": {"axes": ["slice", "coil", "ky", "kx"], "fft_convention": "image = fft2(k)"},
    "is not one of measured": {"axes": ["slice", "coil", "ky", "kx"], "provenance": "real"},
    "contrast must be one short word": {"axes": ["slice", "coil", "ky", "kx"], "contrast": "John Doe T2 1961"},
    "a value is of the wrong kind": {"axes": 5},
    "the wrong kind .*not enough values": {"axes": ["slice", "coil", "ky", "kx"], "voxel_mm": [1, 2]},
    "the wrong kind .*field_strength_T must be a number above 0": {
        "axes": ["slice", "coil", "ky", "kx"],
        "field_strength_T": float("nan"),
    },
    "the wrong kind .*voxel_mm must be a number above 0, and is -1": {
        "axes": ["slice", "coil", "ky", "kx"],
        "voxel_mm": [-1, 1, 1],
    },
    "the wrong kind .*fov_mm must be of numbers": {"axes": ["slice", "coil", "ky", "kx"], "fov_mm": ["a", "b"], "slice_mm": 3},
    "the wrong kind .*not iterable": {"axes": ["slice", "coil", "ky", "kx"], "source_paths": 5},
}


@pytest.mark.parametrize("message", BAD_SIDECARS)
def test_bad_sidecars_are_refused_by_name(write_kspace: Write, message: str) -> None:
    with pytest.raises(HalfscanError, match=f"bad.(npz|json).*{message}"):
        Array(path=str(write_kspace("bad", BAD_SIDECARS[message]))).acquisitions()


def test_every_bad_file_of_a_folder_is_named(write_kspace: Write, kspace: np.ndarray) -> None:
    write_kspace("good")
    folder = write_kspace("zero", kspace=np.zeros_like(kspace)).parent
    (folder / "foreign.npz").write_bytes(b"this is no archive")
    whole = (folder / "good.npz").read_bytes()
    (folder / "cut.npz").write_bytes(whole[: len(whole) // 2])
    (folder / "list.json").write_text("[1]")
    np.save(folder / "list.npy", kspace)
    with pytest.raises(HalfscanError) as refused:
        Array(path=str(folder)).acquisitions()
    for name in ("zero.npz", "foreign.npz", "cut.npz", "list.json"):
        assert name in str(refused.value)
    assert "good.npz" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_changes_after_it_was_checked_is_refused(write_kspace: Write, kspace: np.ndarray) -> None:
    acquisition = Array(path=str(write_kspace("c"))).acquisitions()[0]
    acquisition.kspace.read()
    other = Array(path=str(write_kspace("other"))).acquisitions()[0]
    other.kspace.read()
    path = write_kspace("c", kspace=2 * kspace)
    os.utime(path, ns=(1, 1))
    with pytest.raises(HalfscanError, match=r"c.npz: changed or vanished since it was checked"):
        acquisition.kspace.read()


@pytest.mark.parametrize("axes", [["ky", "kx"], ["slice", "ky", "kx"], ["kx", "ky", "coil"]])
def test_absent_axes_have_length_one_in_a_stack(write_kspace: Write, kspace: np.ndarray, axes: list[str]) -> None:
    part = {("ky", "kx"): kspace[0, 0], ("slice", "ky", "kx"): kspace[:, 0], ("kx", "ky", "coil"): kspace[0].T}[tuple(axes)]
    stack = Array(path=str(write_kspace("a", {"axes": axes}, part))).acquisitions()[0].kspace.read_stack()
    assert stack.ndim == 4
    assert np.array_equal(stack[0, 0], kspace[0, 0])


def test_pickles_are_never_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "p.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(HalfscanError, match=r"p.npy: can't be read"):
        Array(path=str(tmp_path / "p.npy")).acquisitions()


def test_missing_and_ambiguous_paths(tmp_path: Path, kspace: np.ndarray) -> None:
    with pytest.raises(HalfscanError, match="no such file or folder"):
        Array(path=str(tmp_path / "nothing")).acquisitions()
    with pytest.raises(HalfscanError, match="file in this folder"):
        Array(path=str(tmp_path)).acquisitions()
    np.savez(tmp_path / "two.npz", a=kspace, b=kspace)
    (tmp_path / "two.json").write_text(json.dumps({"axes": ["slice", "coil", "ky", "kx"]}))
    with pytest.raises(HalfscanError, match="no array called 'kspace'; it holds a, b"):
        Array(path=str(tmp_path / "two.npz")).acquisitions()


@pytest.mark.parametrize(
    "setting", [{"provenance": "real"}, {"max_slices": 0}, {"patient_pattern": "("}, {"patient_pattern": "no group"}]
)
def test_settings_out_of_range_are_refused(setting: dict) -> None:
    with pytest.raises(HalfscanError, match=f"dataset.{next(iter(setting))}"):
        Array(path="x", **setting)


def test_reads_real_measured_kspace(real: Callable[[str], Path]) -> None:
    brain = Array(path=str(real("pulseq_brain_head16"))).acquisitions()[0]
    assert brain.kspace.shape == (1, 16, 128, 128)
    assert brain.provenance is Provenance.MEASURED
    assert brain.acquired.all()
    patient = Array(path=str(real("ulf_p6A_fse"))).acquisitions()[0]
    assert patient.provenance is Provenance.PROCESSED
    assert patient.field_strength_t == 0.055
    with pytest.raises(HalfscanError, match="undersampled"):
        Array(path=str(real("sigpy_brain8_R8"))).acquisitions()


def _noise(coils: int, samples: int = 20_000) -> np.ndarray:
    """(coil, sample) of a known covariance: coils 0 and 1 share half of theirs."""
    rng = np.random.default_rng(0)
    white = (rng.standard_normal((coils, samples)) + 1j * rng.standard_normal((coils, samples))) / np.sqrt(2)
    white[1] = (white[0] * 1j + white[1]) / np.sqrt(2)
    return white.astype(np.complex64)


def _with_noise(folder: Path, kspace: np.ndarray, suffix: str = ".npz", **noise: np.ndarray) -> Array:
    path = folder / f"n{suffix}"
    if suffix == ".npz":
        np.savez(path, kspace=kspace, **noise)
    else:
        with h5py.File(path, "w") as file:
            file["kspace"] = kspace
            for name, values in noise.items():
                file[name] = values
    path.with_suffix(".json").write_text('{"axes": ["slice", "coil", "ky", "kx"]}')
    return Array(path=str(path))


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_measured_noise_gives_its_covariance(tmp_path: Path, kspace: np.ndarray, suffix: str) -> None:
    noise = _noise(kspace.shape[1])
    (found,) = _with_noise(tmp_path, kspace, suffix, noise=noise).acquisitions()
    assert found.noise_cov is not None
    assert found.noise_cov[0, 0].real == pytest.approx(1.0, rel=0.03)
    assert found.noise_cov[1, 0] == pytest.approx(1j / np.sqrt(2), abs=0.03)
    (stated,) = _with_noise(tmp_path, kspace, suffix, noise_cov=found.noise_cov).acquisitions()
    np.testing.assert_allclose(stated.noise_cov, found.noise_cov)
    assert stated.digest == found.digest


def test_the_covariance_is_part_of_the_digest(tmp_path: Path, kspace: np.ndarray) -> None:
    cov = np.eye(kspace.shape[1], dtype=np.complex64)
    opened = [
        _with_noise(tmp_path, kspace, **noise).acquisitions()[0] for noise in ({}, {"noise_cov": cov}, {"noise_cov": 2 * cov})
    ]
    assert opened[0].noise_cov is None
    assert len({one.digest for one in opened}) == 3


@pytest.mark.parametrize(
    ("noise", "why"),
    [
        ({"noise_cov": np.eye(3)}, r"noise_cov has the shape \(3, 3\) and must have \(6, 6\)"),
        ({"noise": np.ones((20, 6), dtype=complex)}, r"noise has the shape \(20, 6\) and must have \(6, samples\)"),
        ({"noise_cov": np.eye(6) * np.nan}, "must be of finite"),
        ({"noise_cov": np.ones((6, 6), dtype=int)}, "must be of finite"),
        ({"noise_cov": np.eye(6) - 2 * np.eye(6)}, "not Hermitian and positive definite"),
        ({"noise_cov": np.eye(6) + np.triu(np.ones((6, 6)), 1) * 0.1}, "not Hermitian and positive definite"),
        ({"noise": np.ones((6, 50))}, "must be of finite complex numbers"),
        ({"noise": np.ones((6, 0), dtype=complex)}, "must be of finite complex numbers"),
        ({"noise": np.zeros((6, 50), dtype=complex)}, "not Hermitian and positive definite"),
        ({"noise": np.random.default_rng(0).random((6, 3)) + 1j}, "not Hermitian and positive definite"),
    ],
)
def test_noise_that_can_t_be_is_refused(tmp_path: Path, kspace: np.ndarray, noise: dict[str, np.ndarray], why: str) -> None:
    with pytest.raises(HalfscanError, match=why):
        _with_noise(tmp_path, kspace, **noise).acquisitions()
