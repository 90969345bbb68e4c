"""Arrays and fastMRI files damaged by the hundred: each is read as it is, or refused in one line, within small memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from halfscan.datasets.array import Array
from halfscan.datasets.fastmri import FastMri
from halfscan.datasets.source import Source

from ..conftest import phantom
from . import writing_fastmri
from .mutation import mutations, read_or_refused

AXES = ("slice", "coil", "ky", "kx")


def _small() -> np.ndarray:
    return phantom(slices=2, coils=2, height=8, width=6)[2].numpy()


def _npy(folder: Path) -> Path:
    np.save(folder / "good.npy", _small())
    return folder / "good.npy"


def _npz(folder: Path) -> Path:
    np.savez_compressed(folder / "good.npz", kspace=_small())
    return folder / "good.npz"


def _h5(folder: Path) -> Path:
    with h5py.File(folder / "good.h5", "w") as file:
        file.create_dataset("kspace", data=_small(), compression="gzip")
    return folder / "good.h5"


def _array(path: Path) -> Source:
    return Array(path=str(path), axes=AXES)


def _fastmri(path: Path) -> Source:
    return FastMri(path=str(path))


FORMATS: dict[str, tuple[Callable[[Path], Path], Callable[[Path], Source]]] = {
    "npy": (_npy, _array),
    "npz": (_npz, _array),
    "h5": (_h5, _array),
    "fastmri": (lambda folder: writing_fastmri.write(folder, _small(), "good"), _fastmri),
}


def _damage(kind: str, folder: Path, count: int) -> None:
    write, opened = FORMATS[kind]
    good = write(folder)
    read = 0
    for index, changed in enumerate(mutations(good.read_bytes(), count, seed=0, text=kind == "fastmri", head=2048)):
        path = folder / f"d{index}{good.suffix}"
        path.write_bytes(changed)
        read += read_or_refused(opened(path), path)
    assert 0 < read < count


@pytest.mark.parametrize("kind", FORMATS)
def test_damaged_files_are_refused_or_read(kind: str, tmp_path: Path) -> None:
    _damage(kind, tmp_path, 300)


@pytest.mark.trials
@pytest.mark.parametrize("kind", FORMATS)
def test_many_damaged_files_are_refused_or_read(kind: str, tmp_path: Path) -> None:
    _damage(kind, tmp_path, 3000)
