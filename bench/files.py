"""Files that appear whole or not at all, and folders that turn out unwritable before the work rather than after it."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

DRAFT = ".part"
"""End of the name of what is not whole yet."""
_FORGOTTEN_S = 7 * 86400.0
"""After this time without a change a draft is nobody's [s]: its process was killed."""


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yields a draft beside `path` to write to; it takes the name when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own for every writer: processes and threads that write the same content must not trip each other up.
    draft = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}{DRAFT}")
    try:
        yield draft
        # On disk before it takes the name: after a power loss the name would otherwise belong to an empty file.
        with draft.open("rb+") as written:
            os.fsync(written.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Writes JSON as a whole file."""
    with whole_file(path) as draft:
        draft.write_text(json.dumps(content, indent=1, default=str), encoding="utf-8")


def drop_drafts(folder: Path) -> None:
    """Removes from a folder, and from those in it, what processes that were killed left unfinished a week ago or longer."""
    for pattern in (f"*{DRAFT}*", f"*/*{DRAFT}*"):
        for draft in folder.glob(pattern):
            with suppress(OSError):
                if max(path.stat().st_mtime for path in (draft, *draft.rglob("*"))) > clock(folder) - _FORGOTTEN_S:
                    continue
                if draft.is_dir():
                    shutil.rmtree(draft)
                else:
                    draft.unlink()


def clock(folder: Path) -> float:
    """What time it is [s] where the files of a folder get their times: a file server need not agree with this machine."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"0")
            file.flush()
            return os.fstat(file.fileno()).st_mtime
    except OSError:
        return time.time()


def is_held(lock: Path) -> bool:
    """Whether some process holds a lock, as far as this machine can see."""
    from filelock import FileLock, Timeout

    if not lock.exists():
        return False
    try:
        with FileLock(str(lock), timeout=0):
            return False
    except (Timeout, OSError, RuntimeError):  # the last where this very thread holds it
        return True


def why_unwritable(folder: Path) -> str | None:
    """Why nothing can be written to a folder, or to the nearest one above it that exists; None where it can."""
    nearest = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    try:
        # Trying is the only test that counts: permissions say nothing of read-only file systems, or to root.
        with tempfile.TemporaryFile(dir=nearest):
            return None
    except OSError as error:
        return f"{nearest}: {error.strerror}"
