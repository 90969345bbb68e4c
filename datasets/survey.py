"""One pass over a volume's k-space, a slice at a time: its digest, its empty lines, and what makes it no k-space.

Remembered by the file's path, size and time of change: terabytes are read once, not at every sweep.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..bench.acquisition import BoolArray, ComplexArray, KSpace
from ..bench.errors import HalfscanError
from ..bench.files import write_json

log = logging.getLogger(__name__)

_VERSION = 1
"""Of what is remembered."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Survey:
    """What one pass over k-space found."""

    digest: str
    """SHA-256 of the samples as complex64, in the order of the axes."""
    filled: BoolArray
    """(ky,) True where a line holds a sample that is not zero."""

    def acquired(self, where: str) -> BoolArray:
        """(ky,) True from the first filled line to the last: zero padding around them is not data.

        Raises:
            HalfscanError: a line between them is empty; `where` names the volume.
        """
        lines = np.flatnonzero(self.filled)
        inside = np.zeros(self.filled.size, dtype=bool)
        inside[lines[0] : lines[-1] + 1] = True
        if missing := int((inside & ~self.filled).sum()):
            raise HalfscanError(f"{where}: {missing} lines between sampled ones are empty: undersampled k-space has no truth")
        return inside


def survey(files: Sequence[Path], kspace: KSpace, what: object = None) -> Survey:
    """Reads a volume once, or remembers what an earlier pass found.

    Args:
        files: that the volume is read from; one that changed is read again. The first names it in refusals.
        kspace: the volume.
        what: which part of the files `kspace` is, where they hold several volumes.

    Raises:
        HalfscanError: NaN, infinity, or nothing but zeros.
    """
    path = _place(files, (kspace.axes, kspace.shape, what))
    if (remembered := _remembered(path, kspace.size("ky"))) is not None:
        return remembered
    found = _survey(files[0], kspace)
    _write(path, {"digest": found.digest, "filled": "".join("1" if line else "0" for line in found.filled)})
    return found


def remembers(files: Sequence[Path], what: str) -> bool:
    """Whether something was remembered of these files as they are now."""
    return _place(files, what).exists()


def remember(files: Sequence[Path], what: str) -> None:
    """Remembers something of these files, for as long as they do not change."""
    _write(_place(files, what), {})


def _place(files: Sequence[Path], what: object) -> Path:
    known = [(str(file.absolute()), (stat := file.stat()).st_size, stat.st_mtime_ns) for file in files]
    return surveys_folder() / f"{hashlib.sha256(repr((_VERSION, known, what)).encode()).hexdigest()}.json"


def _write(path: Path, content: object) -> None:
    try:
        write_json(path, content)
    except OSError as error:
        log.warning("%s can't be written (%s): data are hashed again at the next sweep", path.parent, error.strerror)


def surveys_folder() -> Path:
    """Where surveys are remembered: the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "halfscan" / "surveys"


def _remembered(path: Path, lines: int) -> Survey | None:
    try:
        content = json.loads(path.read_text("utf-8"))
        filled = np.array([mark == "1" for mark in content["filled"]])
        digest = str(content["digest"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Survey(digest=digest, filled=filled) if filled.size == lines and filled.any() else None


def _survey(file: Path, kspace: KSpace) -> Survey:
    digest = hashlib.sha256()
    filled = np.zeros(kspace.size("ky"), dtype=bool)
    others = tuple(index for index, axis in enumerate(kspace.axes) if axis != "ky")
    for part in _parts(kspace):
        samples = np.ascontiguousarray(part)
        digest.update(samples.data)
        if not np.isfinite(samples).all():
            raise HalfscanError(f"{file}: k-space holds NaN or infinity; mend or leave out this file")
        filled |= samples.any(axis=others)
    if not filled.any():
        raise HalfscanError(f"{file}: k-space is all zeros; leave out this file")
    return Survey(digest=digest.hexdigest(), filled=filled)


def _parts(kspace: KSpace) -> Iterable[ComplexArray]:
    """The volume along its first axis, unless that is encoded: no more than a slice in memory."""
    if kspace.axes[0] in ("coil", "kz", "ky", "kx"):
        yield kspace.read()
        return
    for index in range(kspace.shape[0]):
        yield kspace.read({kspace.axes[0]: slice(index, index + 1)})
