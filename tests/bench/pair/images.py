"""Finished images of a known place, without a file."""

from __future__ import annotations

import numpy as np

from halfscan.bench.acquisition import Acquisition, Images, KSpace, Provenance, Timing

AFFINE = np.array([[0.0, 0.0, 0.5, -10.0], [0.0, 0.8, 0.0, -20.0], [4.4, 0.0, 0.0, 7.0]])
"""(slice, row, column) → (x, y, z) [mm]: axial slices 4.4 mm apart, rows 0.8 mm and columns 0.5 mm."""


def images(stack: np.ndarray, affine: np.ndarray | None = AFFINE, acquired_mm: tuple[float, float] | None = None) -> Images:
    held = stack.astype(np.complex64)
    shape: tuple[int, ...] = stack.shape
    lazy = KSpace(axes=("slice", "ky", "kx"), shape=shape, load=lambda index: held[index], domains={"ky": "image", "kx": "image"})
    return Images(stack=lazy, affine_mm=affine, acquired_mm=acquired_mm)


def moved(affine: np.ndarray, *, rows: float = 0.0, columns: float = 0.0, slices: float = 0.0) -> np.ndarray:
    """The affine of images that lie so many pixels further."""
    found = affine.copy()
    found[:, 3] += affine[:, :3] @ [slices, rows, columns]
    return found


def acquisition(held: Images, **more: object) -> Acquisition:
    settings: dict[str, object] = {
        "kspace": held.stack,
        "patient": "p",
        "volume": "v",
        "digest": "d",
        "provenance": Provenance.PROCESSED,
        "acquired": np.ones(held.stack.shape[1], bool),
        "images": held,
        "timing": Timing(total_s=60.0),
        "voxel_mm": (4.0, 0.8, 0.5),
        **more,
    }
    return Acquisition(**settings)  # type: ignore[arg-type]
