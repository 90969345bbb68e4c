"""BART's files: dimensions in their places, averages, padding, BART's own FFT, and every way in which a pair can be wrong."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from halfscan.bench.acquisition import Provenance
from halfscan.bench.errors import HalfscanError
from halfscan.datasets.cfl import Cfl

from ..conftest import phantom
from .mutation import mutations, read_or_refused
from .writing_cfl import write

PHI = "DOE^JANE 19610203"


@pytest.fixture
def kspace() -> np.ndarray:
    return phantom(slices=3)[2].numpy()


def _open(path: Path, **settings: object) -> object:
    (found,) = Cfl(path=str(path), **settings).acquisitions()
    return found


def test_dimensions_are_brought_into_our_axes(tmp_path: Path, kspace: np.ndarray) -> None:
    found = _open(write(tmp_path, kspace))
    assert found.kspace.axes == ("slice", "coil", "ky", "kx")
    assert np.array_equal(found.kspace.read(), kspace)
    assert found.acquired.all()


@pytest.mark.parametrize("suffix", [".cfl", ".hdr"])
def test_either_file_of_a_pair_names_it_and_a_folder_holds_it_once(tmp_path: Path, kspace: np.ndarray, suffix: str) -> None:
    path = write(tmp_path, kspace).with_suffix(suffix)
    assert _open(path).digest == _open(tmp_path).digest


@pytest.mark.parametrize(
    "part",
    [{"slice": 1}, {"slice": -1, "coil": 2}, {"slice": slice(1, 3), "ky": 5}, {"slice": slice(0, 3, 2)}, {"slice": slice(2, 2)}],
    ids=str,
)
@pytest.mark.parametrize("averages", [1, 2])
def test_any_part_is_read_alone(tmp_path: Path, kspace: np.ndarray, part: dict, averages: int) -> None:
    found = _open(write(tmp_path, np.stack([kspace] * averages)))
    index = tuple(part.get(axis, slice(None)) for axis in found.kspace.axes)
    np.testing.assert_array_equal(found.kspace.read(part), kspace[index])


def test_averages_become_their_mean(tmp_path: Path, kspace: np.ndarray) -> None:
    found = _open(write(tmp_path, np.stack([kspace, 3 * kspace])))
    np.testing.assert_allclose(found.kspace.read(), 2 * kspace, rtol=1e-6)
    assert found.timing.averages == 2
    assert found.digest != _open(write(tmp_path, 2 * kspace, "mean")).digest


def test_averages_of_other_lines_are_refused(tmp_path: Path, kspace: np.ndarray) -> None:
    other = kspace.copy()
    other[:, :, 7] = 0
    with pytest.raises(HalfscanError, match=r"scan.cfl: its averages sample different lines"):
        _open(write(tmp_path, np.stack([kspace, other])))


def test_symmetric_padding_is_cut_off_and_partial_fourier_stays(tmp_path: Path, kspace: np.ndarray) -> None:
    stated = {"voxel_mm": [4.0, 1.0, 1.5]}
    padded = _open(write(tmp_path, np.pad(kspace, ((0, 0), (0, 0), (6, 6), (0, 0))), "padded", sidecar=stated))
    assert np.array_equal(padded.kspace.read(), kspace)
    assert padded.voxel_mm == (4.0, 60 / 48, 1.5)
    partial = kspace.copy()
    partial[:, :, :10] = 0
    found = _open(write(tmp_path, partial, "partial"))
    assert found.kspace.size("ky") == 48
    assert found.acquired.tolist() == [False] * 10 + [True] * 38


def test_without_a_sidecar_the_origin_is_unstated(tmp_path: Path, kspace: np.ndarray) -> None:
    found = _open(write(tmp_path, kspace))
    assert found.provenance is Provenance.PROCESSED
    assert found.timing.tr_s is None
    assert (found.voxel_mm, found.field_strength_t, found.contrast) == (None, None, None)


def test_a_sidecar_states_what_the_pair_can_t(tmp_path: Path, kspace: np.ndarray) -> None:
    stated = {"provenance": "measured", "TR_ms": 500, "field_strength_T": 3, "contrast": "T1", "averages": 4, "license": "CC0"}
    found = _open(write(tmp_path, kspace, sidecar=stated))
    assert found.provenance is Provenance.MEASURED
    assert (found.timing.tr_s, found.timing.averages, found.field_strength_t, found.contrast) == (0.5, 4, 3.0, "T1")
    assert found.redistributable


def test_nothing_names_a_person(tmp_path: Path, kspace: np.ndarray, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    found = _open(write(tmp_path, kspace, phi=PHI))
    assert "DOE" not in repr(found) + caplog.text
    with pytest.raises(HalfscanError) as refused:
        _open(write(tmp_path, kspace, "bad", phi=PHI, sizes={4: 2}))
    assert "DOE" not in str(refused.value)


@pytest.mark.skipif(shutil.which("bart") is None, reason="BART is not on the PATH")
def test_bart_s_own_inverse_fft_gives_our_image(tmp_path: Path, kspace: np.ndarray) -> None:
    path = write(tmp_path, kspace)
    subprocess.run(["bart", "fft", "-u", "-i", "3", path.with_suffix(""), tmp_path / "image"], check=True, timeout=60)
    there = _open(tmp_path / "image.cfl").kspace.read()
    k = np.fft.ifftshift(_open(path).kspace.read(), axes=(-2, -1))
    image = np.fft.fftshift(np.fft.ifft2(k, norm="ortho"), axes=(-2, -1))
    np.testing.assert_allclose(there, image, atol=1e-5 * np.abs(image).max())


def _rewrite(name: str, change: object) -> object:
    def apply(folder: Path) -> None:
        path = folder / name
        path.write_bytes(change(path.read_bytes()))

    return apply


WRONG = {
    r"scan: scan.hdr is missing": lambda folder: (folder / "scan.hdr").unlink(),
    r"scan: scan.cfl is missing": lambda folder: (folder / "scan.cfl").unlink(),
    r"scan.cfl: scan.hdr declares .* bytes, and it has .*: is it whole": _rewrite("scan.cfl", lambda old: old[:-8]),
    r"scan.cfl: scan.hdr declares": _rewrite("scan.cfl", lambda old: old + b"12345678"),
    r"scan.cfl: .* and it has 0: is it whole": _rewrite("scan.cfl", lambda old: b""),
    r"scan.hdr: no line": _rewrite("scan.hdr", lambda old: b""),
    r"scan.hdr: no line \"# Dimensions\"": _rewrite("scan.hdr", lambda old: old.replace(b"40", b"-40")),
    r"scan.hdr: no line .*of at least 1": _rewrite("scan.hdr", lambda old: old.replace(b"48", b"0")),
    r"scan.hdr: no line .*16 sizes": _rewrite("scan.hdr", lambda old: old.replace(b"40 ", b"40 " * 17)),
    r"scan.cfl: scan.hdr declares .*9999999999": _rewrite("scan.hdr", lambda old: old.replace(b"40", b"9999999999")),
}
DIMENSIONS = {
    r"PHS2 of 3 is not handled: .*bart fft -u -i 4`, then `bart transpose 2 13": {2: 3, 13: 1},
    r"MAPS of 3 is not handled": {4: 3, 13: 1},
    r"TE of 3 is not handled": {5: 3, 13: 1},
    r"TIME of 3 is not handled": {10: 3, 13: 1},
    r"BATCH of 3 is not handled": {15: 3, 13: 1},
    r"MAPS of 3, TE of 6 is not handled": {3: 1, 4: 3, 5: 6, 13: 1},
    r"READ or PHS1 has 1 sample": {0: 1, 1: 1920},
}


@pytest.mark.parametrize("message", WRONG)
def test_bad_pairs_are_refused_by_name(tmp_path: Path, kspace: np.ndarray, message: str) -> None:
    write(tmp_path, kspace)
    WRONG[message](tmp_path)
    with pytest.raises(HalfscanError, match=message) as refused:
        _open(tmp_path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("message", DIMENSIONS)
def test_dimensions_that_are_not_ours_are_refused_by_name(tmp_path: Path, kspace: np.ndarray, message: str) -> None:
    with pytest.raises(HalfscanError, match=f"scan.cfl: {message}"):
        _open(write(tmp_path, kspace, sizes=DIMENSIONS[message]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda k: np.zeros_like(k), "all zeros"),
        (lambda k: np.where(np.arange(40) == 3, np.nan, k), "NaN or infinity"),
        (lambda k: np.where(np.arange(48)[:, None] % 3 == 0, 0, k), "lines between sampled ones are empty"),
    ],
)
def test_bad_samples_are_refused_by_name(tmp_path: Path, kspace: np.ndarray, change: object, message: str) -> None:
    with pytest.raises(HalfscanError, match=f"scan.cfl: .*{message}"):
        _open(write(tmp_path, change(kspace)))


def test_what_its_sidecar_calls_undersampled_is_refused(tmp_path: Path, kspace: np.ndarray) -> None:
    with pytest.raises(HalfscanError, match=r"scan.cfl: its sidecar says it is undersampled"):
        _open(write(tmp_path, kspace, sidecar={"fully_sampled": False}))


def test_every_bad_pair_of_a_folder_is_named(tmp_path: Path, kspace: np.ndarray) -> None:
    for name in ("good", "short", "alone", "zero"):
        write(tmp_path, kspace * (name != "zero"), name)
    (tmp_path / "short.cfl").write_bytes(b"")
    (tmp_path / "alone.hdr").unlink()
    with pytest.raises(HalfscanError) as refused:
        Cfl(path=str(tmp_path)).acquisitions()
    assert all(name in str(refused.value) for name in ("short.cfl", "alone.hdr", "zero.cfl"))
    assert "good" not in str(refused.value)


def test_a_file_that_changes_after_it_was_checked_is_refused(tmp_path: Path, kspace: np.ndarray) -> None:
    path = write(tmp_path, kspace)
    found = _open(path)
    with path.open("r+b") as stream:
        stream.truncate(100)
    os.utime(path, ns=(1, 1))
    with pytest.raises(HalfscanError, match=r"scan.cfl: changed or vanished"):
        found.kspace.read()


def test_a_pair_knows_its_own_kind(tmp_path: Path, kspace: np.ndarray) -> None:
    path = write(tmp_path, kspace)
    kind = Cfl(path="")
    assert kind.recognises(path)
    assert not kind.recognises(path.with_suffix(".hdr"))
    (tmp_path / "other.cfl").write_bytes(b"x")
    assert not kind.recognises(tmp_path / "other.cfl")
    assert not kind.recognises(tmp_path)


def _damaged(folder: Path, count: int) -> None:
    small = phantom(slices=2, coils=2, height=8, width=6)[2].numpy()
    good = write(folder, small, "good")
    read = 0
    for index, changed in enumerate(mutations(good.with_suffix(".hdr").read_bytes(), count // 2, seed=0, text=True)):
        path = folder / f"h{index}.cfl"
        path.write_bytes(good.read_bytes())
        path.with_suffix(".hdr").write_bytes(changed)
        read += read_or_refused(Cfl(path=str(path)), path.with_suffix(""))
    for index, changed in enumerate(mutations(good.read_bytes(), count - count // 2, seed=1)):
        path = folder / f"s{index}.cfl"
        path.write_bytes(changed)
        path.with_suffix(".hdr").write_bytes(good.with_suffix(".hdr").read_bytes())
        read += read_or_refused(Cfl(path=str(path)), path.with_suffix(""))
    assert 0 < read < count


def test_damaged_pairs_are_refused_or_read(tmp_path: Path) -> None:
    _damaged(tmp_path, 300)


@pytest.mark.trials
def test_many_damaged_pairs_are_refused_or_read(tmp_path: Path) -> None:
    _damaged(tmp_path, 3000)
