"""A folder of arrays that cells share by the digest of what they are made from: many may write, and it stays below a size."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .files import whole_file

_ROOM = 0.8
"""What is left after making room, as a share of the limit: not every write shall have to make some."""


@dataclass(frozen=True)
class Shelf:
    """One folder.

    Args:
        folder: made when something is first put there.
        limit: its size in bytes; 0: nothing is kept.
    """

    folder: Path
    limit: int

    def get(self, digest: str, make: Callable[[], npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
        """What lies there under a digest, or else what is made now; what was used least lately makes room for it.

        A disk that is full or can't be written costs time and nothing else.
        """
        path = self.folder / f"{digest}.npy"
        try:
            found: npt.NDArray[np.float32] = np.load(path)
        except (OSError, ValueError, EOFError):
            # Not there, or cut short by a lost machine.
            found = make()
            with suppress(OSError):
                self._put(path, found)
        else:
            with suppress(OSError):
                os.utime(path)
        return found

    def _put(self, path: Path, array: npt.NDArray[np.float32]) -> None:
        if array.nbytes > self.limit:
            return
        self._make_room(array.nbytes)
        with whole_file(path) as draft, draft.open("wb") as file:
            np.save(file, array)

    def _make_room(self, needed: int) -> None:
        files = []
        for path in self.folder.glob("*.npy"):
            with suppress(OSError):  # another process made room, too
                status = path.stat()
                files.append((status.st_mtime, status.st_size, path))
        make_room(files, self.limit, _unlink, needed)


def _unlink(path: Path) -> bool:
    with suppress(OSError):
        path.unlink(missing_ok=True)
        return True
    return False


def make_room(items: Iterable[tuple[float, int, Path]], limit: float, remove: Callable[[Path], bool], needed: int = 0) -> None:
    """Removes what was used least lately until some room is left, where a folder's things have outgrown their limit.

    Args:
        items: (time of the last use, bytes, path) of all that may be removed.
        limit: of all of them, in bytes.
        remove: takes one away; whether it could.
        needed: bytes that are about to come.
    """
    items = sorted(items)
    total = needed + sum(size for _, size, _ in items)
    if total <= limit:
        return
    for _, size, path in items:
        if remove(path):
            total -= size
        if total <= _ROOM * limit:
            return
