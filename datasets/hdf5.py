"""What an HDF5 file holds, asked without trusting that it is one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def names(path: Path, suffixes: Sequence[str]) -> set[str]:
    """Names of data sets at the top of a file, and of those one group below as `group/name`; none where it is no HDF5 file."""
    if path.suffix.lower() not in suffixes or not path.is_file():
        return set()
    import h5py

    try:
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
