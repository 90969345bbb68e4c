"""Room for saved images: those that were used least lately go where all of them have outgrown a size, and none that is in use."""

from __future__ import annotations

import fcntl
import math
import os
from contextlib import ExitStack, suppress
from pathlib import Path

from .files import DRAFT, clock
from .shelf import make_room

RECORD = "record.json"
"""Of a folder's images, written last: it stays when they go."""
_GRACE_S = 60.0
"""Images that were used within this time stay [s]: a process may be about to read what it has just made."""
_LOOK = 0.05
"""Share of the limit that a process saves before it looks again: looking at thousands of folders takes its time, too."""
_saved: dict[Path, int] = {}
"""Folder of all images → bytes that this process saved there since it last looked."""


def hold(folder: Path, held: ExitStack) -> None:
    """Keeps a folder's images in their place until the stack closes, and notes that they are used now; none there: nothing."""
    with suppress(OSError):
        record = held.enter_context((folder / RECORD).open("rb"))
        fcntl.flock(record, fcntl.LOCK_SH)
        for image in _images(folder)[:1]:
            os.utime(image)


def alone(folder: Path, held: ExitStack) -> bool:
    """Keeps others from a folder's images until the stack closes; False where some process reads them."""
    try:
        record = held.enter_context((folder / RECORD).open("rb+"))
        fcntl.flock(record, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # nothing to read there yet, or a file system without locks
    return True


def note_saved(folder: Path) -> None:
    """Counts the images that were written to a folder, and notes that they are used now: the first may be hours old."""
    for image in _images(folder)[:1]:
        os.utime(image)
    _saved[folder.parent] = _saved.get(folder.parent, 0) + _size(folder)


def trim_images(root: Path, limit: float, *, at_once: bool = True) -> None:
    """Removes images until they take less than a size; what was measured of them stays.

    Args:
        root: folder of all saved images, a folder for each recipe.
        limit: in bytes.
        at_once: False: only where this process has saved much since it last looked.
    """
    if not at_once and _saved.get(root, 0) <= _LOOK * limit:
        return
    _saved[root] = 0
    old = clock(root) - _GRACE_S
    found = []
    for record in root.glob(f"*/{RECORD}"):
        if record.parent.suffix == DRAFT:
            continue  # about to take its name
        with suppress(OSError, IndexError):  # another process made room, too
            used = _images(record.parent)[0].stat().st_mtime
            found.append((used if used < old else math.inf, _size(record.parent), record))
    make_room(found, limit, lambda record: _empty(record, old))


def _empty(record: Path, old: float) -> bool:
    # A file system without locks keeps its images: better too many than one that is missed.
    with suppress(OSError, IndexError), record.open("rb+") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        images = _images(record.parent)
        if images[0].stat().st_mtime < old:
            for image in images:
                image.unlink()
            return True
    return False


def _images(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.npy"))


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in _images(folder))
