"""Files that end the HDF5 library end another process than ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from halfscan.bench.errors import HalfscanError
from halfscan.datasets import hdf5
from halfscan.datasets.fastmri import FastMri

from ..conftest import phantom
from .writing_fastmri import write

WALKER = Path(hdf5.__file__).with_name("hdf5_walker.py")


def _outcome(deed: str, path: Path) -> str:
    program = (
        f"import os, sys, signal, time; sys.path.insert(0, {str(WALKER.parent)!r}); import hdf5_walker as one; "
        f"one._SLOW_S = 1; one.walk = lambda path: {deed}; print(one._outcome({str(path)!r}))"
    )
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize(
    ("deed", "outcome"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "died"),
        ("os.abort()", "died"),
        ("time.sleep(60)", "slow"),
        ("bytearray(1 << 28)", "greedy"),
        ("1 / 0", "fine"),
        ("None", "fine"),
    ],
)
def test_a_walk_ends_as_it_ends(deed: str, outcome: str, tmp_path: Path) -> None:
    """What raises is fine: the reader raises it, too. Memory beyond the file is refused here: the reader would be given it."""
    (tmp_path / "x.h5").write_bytes(b"")
    assert _outcome(deed, tmp_path / "x.h5") == outcome


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        ("died", "the library dies of it"),
        ("slow", "the library finds no end in it"),
        ("greedy", "it declares more than it can hold"),
    ],
)
def test_such_a_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcome: str, message: str) -> None:
    class Walker:
        def outcome(self, file: Path) -> str:
            return outcome

    monkeypatch.setattr(hdf5, "_walker", Walker)
    path = tmp_path / "deadly.h5"
    path.write_bytes(b"")
    with pytest.raises(HalfscanError, match=rf"deadly.h5: can't be read as HDF5: {message}"):
        hdf5.check_file(path)
    assert hdf5.names(path, (".h5",)) == set()


def test_a_length_of_gigabytes_in_a_small_file_is_refused(tmp_path: Path) -> None:
    """HDF5 takes the memory that a row's length declares before it looks for the row."""
    path = tmp_path / "long.h5"
    with h5py.File(path, "w") as file:
        rows = file.create_dataset("rows", (4,), h5py.vlen_dtype(np.float32), chunks=(1,))
        rows[:] = [np.ones(3, np.float32)] * 4
        place = rows.id.get_chunk_info(2).byte_offset
    content = bytearray(path.read_bytes())
    content[place : place + 4] = (1 << 29).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(HalfscanError, match=r"long.h5: can't be read as HDF5: it declares more than it can hold"):
        hdf5.check_file(path)


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_a_large_slice_in_a_small_file_is_no_such_length(tmp_path: Path, compression: str | None) -> None:
    kspace = np.zeros((2, 8, 640, 368), np.complex64)
    kspace[..., 160:480, :] = np.random.default_rng(0).standard_normal((2, 8, 320, 368))
    with h5py.File(tmp_path / "large.h5", "w") as file:
        file.create_dataset("kspace", data=kspace, compression=compression, chunks=(1, 8, 640, 368))
    hdf5.check_file(tmp_path / "large.h5")


def test_a_file_is_walked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "good.h5"
    with h5py.File(path, "w") as file:
        file["group/array"] = np.arange(3)
        file["text"] = "a string of variable length"
    assert hdf5.names(path, (".h5",)) == {"group/array", "text"}
    monkeypatch.setattr(hdf5, "_walker", lambda: pytest.fail("walked again"))
    hdf5.check_file(path)
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(pytest.fail.Exception):
        hdf5.check_file(path)


def test_a_file_that_another_process_writes_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, phantom(slices=1, coils=1, height=16, width=16)[2].numpy(), "busy")
    program = f"import h5py, sys; file = h5py.File({str(path)!r}, 'r+'); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout.readline() == "open\n"
        with pytest.raises(HalfscanError, match=r"busy.h5: another process is writing it; wait for it"):
            FastMri(path=str(path)).acquisitions()
        writer.stdin.close()
    assert len(FastMri(path=str(path)).acquisitions()) == 1
