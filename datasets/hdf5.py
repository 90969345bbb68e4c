"""What an HDF5 file holds, asked without trusting that it is one: a damaged file can end the whole process."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from ..bench.errors import HalfscanError
from .survey import remember, remembers


def check_file(file: Path) -> None:
    """Refuses a file that the HDF5 library can't read through alive; another process tries it first (`hdf5_walker`), once a file.

    Raises:
        HalfscanError: naming it.
    """
    if remembers([file], "walked"):
        return
    outcome = _walker().outcome(file)
    if outcome == "died":
        raise HalfscanError(f"{file}: can't be read as HDF5: the library dies of it; is it whole?")
    if outcome == "greedy":
        raise HalfscanError(f"{file}: can't be read as HDF5: it declares more than it can hold; is it whole?")
    if outcome == "slow":
        raise HalfscanError(f"{file}: can't be read as HDF5: the library finds no end in it; is it whole?")
    remember([file], "walked")


def names(path: Path, suffixes: Sequence[str]) -> set[str]:
    """Names of data sets at the top of a file, and of those one group below as `group/name`; none where it is no HDF5 file."""
    if path.suffix.lower() not in suffixes or not path.is_file():
        return set()
    import h5py

    try:
        check_file(path)
        with h5py.File(path, "r") as container:
            found = set()
            for name, item in container.items():
                found |= {f"{name}/{below}" for below in item} if isinstance(item, h5py.Group) else {name}
            return found
    except Exception:
        # Whatever a damaged file makes the library raise: opening it will say why.
        return set()


def holds(path: Path, suffixes: Sequence[str], *wanted: str) -> bool:
    """Whether a file holds all these data sets."""
    return set(wanted) <= names(path, suffixes)


class _Walker:
    """The process that tries files first; it is started with the first file and lives as long as this one."""

    def __init__(self) -> None:
        # By its path: nothing of the package is imported there.
        program = Path(__file__).with_name("hdf5_walker.py")
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        atexit.register(self.close)

    def outcome(self, file: Path) -> str:
        """`fine`, `died`, `slow` or `greedy`; `fine` as well where the process itself is gone: the reader then finds out."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            try:
                self._process.stdin.write(json.dumps(str(file.absolute())) + "\n")
                self._process.stdin.flush()
                return self._process.stdout.readline().strip() or "fine"
            except OSError:
                return "fine"

    def close(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()
        self._process.wait()


class _Nobody:
    """Where processes can't be forked, nobody tries a file first."""

    def outcome(self, file: Path) -> str:
        return "fine"


@lru_cache(maxsize=1)
def _walker() -> _Walker | _Nobody:
    return _Walker() if hasattr(os, "fork") else _Nobody()
