"""The head that digital brains are deformed from: MNI152 tissue maps out of nilearn's wheel, with skull and scalp added."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..bench.errors import HalfscanError

FILES = {
    "grey": "mni_icbm152_gm_tal_nlin_sym_09a_converted.nii.gz",
    "white": "mni_icbm152_wm_tal_nlin_sym_09a_converted.nii.gz",
    "head": "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz",
}
SPACING_MM = 2.0
"""Tissue maps are kept at this spacing: MNI152 is an average of 152 people and has no finer detail."""
MARGIN_MM = 30


@dataclass(frozen=True, eq=False)
class Atlas:
    """Tissue volumes on one grid, indexed (z, y, x), y from anterior to posterior as rows of an axial image."""

    volumes: Mapping[str, npt.NDArray[np.float32]]
    """`grey`, `white`, `csf`: probabilities; `outside_mm`: distance from the brain, 0 within it."""
    centre: tuple[float, float, float]
    """(z, y, x) index of the middle of the brain."""


def atlas_version() -> str:
    """What the atlas is made from, for digests.

    Raises:
        HalfscanError: nilearn is missing or came without its templates.
    """
    _folder()
    return f"nilearn {importlib.metadata.version('nilearn')} at {SPACING_MM} mm"


def _folder() -> Path:
    # Importing nilearn takes seconds and pulls scikit-learn in; its files are all that is needed.
    spec = importlib.util.find_spec("nilearn")
    folder = Path(spec.origin).parent / "datasets" / "data" if spec and spec.origin else None
    if folder is None or not all((folder / name).exists() for name in FILES.values()):
        raise HalfscanError(
            "dataset=digital_brains needs the MNI152 templates in nilearn's wheel and they are not there: pip install nilearn"
        )
    return folder


@lru_cache(maxsize=1)
def load_atlas() -> Atlas:
    """Reads and prepares the atlas; takes about two seconds, once a process."""
    import nibabel
    from scipy import ndimage

    folder = _folder()

    def read(name: str) -> npt.NDArray[np.float32]:
        data = np.asarray(nibabel.load(folder / FILES[name]).dataobj, dtype=np.float32) / 255
        axial = data.transpose(2, 1, 0)[:, ::-1]
        return ndimage.zoom(np.pad(axial, MARGIN_MM), 1 / SPACING_MM, order=1)

    grey, white, head = (read(name) for name in ("grey", "white", "head"))
    inside = ndimage.binary_fill_holes(ndimage.binary_closing(head > 0.1, iterations=2))
    # Smoothed by a voxel: the edge of the brain is otherwise a staircase at the atlas's spacing.
    soft = ndimage.gaussian_filter(inside.astype(np.float32), 0.7)
    csf = np.clip(soft - grey - white, 0, 1)
    outside = ndimage.distance_transform_edt(~inside).astype(np.float32) * np.float32(SPACING_MM)
    z, y, x = (float(value) for value in ndimage.center_of_mass(inside))
    return Atlas({"grey": grey, "white": white, "csf": csf, "outside_mm": outside}, (z, y, x))
