"""Finished images made into k-space: what the readers of NIfTI and DICOM share.

The scanner combined, filtered, interpolated and rectified them. Their Fourier transform has the shape of k-space and little
else of it, and scores from it are too good: Shimron et al., PNAS 119:e2117203119, 2022.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..bench.acquisition import ENCODED, ComplexArray, KSpace
from ..bench.errors import HalfscanError

Plane: TypeAlias = npt.NDArray[Any]

_WHY = (
    "one channel, filtered and interpolated by the scanner; it inflates scores (Shimron et al., PNAS 2022), "
    "and no claim of scan time rests on it"
)
CAVEAT = f"k-space is the Fourier transform of finished magnitude images: Hermitian symmetric, {_WHY}"
COMPLEX_CAVEAT = f"k-space is the Fourier transform of finished complex images: {_WHY}"
MOST_VOXELS = 2**31
"""Of a volume; a header that declares more is damaged."""
_LARGEST = 1e12
"""Voxel value: what lies beyond is damage, and its transform and its squares would not fit single precision."""


def image_stack(file: Path, shape: tuple[int, int, int], plane: Callable[[int], Plane]) -> KSpace:
    """(slice, ky, kx) of images, their planes still images, read one by one.

    Args:
        file: that refusals name.
        shape: (slice, ky, kx).
        plane: reads (ky, kx) of one slice.

    Raises:
        HalfscanError: at once, a plane that is only a line; on reading, voxels that are no finite numbers.
    """
    if min(shape[1:]) < 2:
        raise HalfscanError(f"{file}: its slices have {shape[1]} × {shape[2]} voxels, which is no image")

    def load(part: tuple[int | slice, ...]) -> ComplexArray:
        def cut(index: int) -> ComplexArray:
            return _finite(file, plane(index))[part[1:]]

        return _by_slice(shape, part, cut)

    return KSpace(axes=("slice", "ky", "kx"), shape=shape, load=load, domains=dict.fromkeys(ENCODED, "image"))


def kspace_of(images: KSpace) -> KSpace:
    """(slice, coil, ky, kx) of one coil: their centred unitary Fourier transform, a slice at a time."""
    slices, ky, kx = images.shape
    shape = (slices, 1, ky, kx)

    def load(part: tuple[int | slice, ...]) -> ComplexArray:
        def cut(index: int) -> ComplexArray:
            return _transformed(images.read({"slice": index}))[None][part[1:]]

        return _by_slice(shape, part, cut)

    return KSpace(axes=("slice", "coil", "ky", "kx"), shape=shape, load=load)


def _by_slice(shape: tuple[int, ...], part: tuple[int | slice, ...], cut: Callable[[int], ComplexArray]) -> ComplexArray:
    chosen = range(shape[0])[part[0]]
    if isinstance(chosen, int):
        return cut(chosen)
    # Its shape alone: broadcasting takes no memory.
    inside = np.broadcast_to(False, shape[1:])[part[1:]].shape
    read = np.empty((len(chosen), *inside), np.complex64)
    for place, index in enumerate(chosen):
        read[place] = cut(index)
    return read


def _finite(file: Path, plane: Plane) -> ComplexArray:
    with np.errstate(all="ignore"):
        # NaN compares as false.
        if not np.abs(plane).max() <= _LARGEST:
            raise HalfscanError(f"{file}: voxels hold NaN, infinity or values beyond {_LARGEST:g}; mend or leave out this file")
        return plane.astype(np.complex64)


def _transformed(plane: ComplexArray) -> ComplexArray:
    import torch

    from ..bench.operators import to_kspace

    # In double precision, so that integers come back as they were.
    return to_kspace(torch.from_numpy(plane.astype(np.complex128))).numpy().astype(np.complex64)
