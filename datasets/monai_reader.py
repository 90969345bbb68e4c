"""Any data set of k-space in MONAI's own pipelines: a reader for `LoadImage`, beside its caches and transforms.

MONAI's `FastMRIReader` drops the header that holds the timing and keeps zero padding as
data; this one hands on what the data set found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from monai.data import ImageReader

from ..bench.acquisition import Acquisition
from ..bench.errors import HalfscanError
from .source import Source


class KSpaceReader(ImageReader):  # type: ignore[misc]
    """Reads the volume of a path with a data set's settings: `LoadImaged("kspace", reader=KSpaceReader(FastMri(path="")))`.

    The image is the k-space (slice, coil, ky, kx), complex64; the metadata hold timing, acquired lines, matrix, voxel size, field
    strength, pseudonyms and provenance, and nothing else of the file's header.
    """

    def __init__(self, dataset: Source) -> None:
        super().__init__()
        self._dataset = dataset

    def verify_suffix(self, filename: Any) -> bool:
        """Whether the paths exist: what a file holds shows when it is opened."""
        return all(Path(path).exists() for path in _paths(filename))

    def read(self, data: Any, **kwargs: Any) -> list[Acquisition]:
        """Opens the volumes of one path or of several; k-space waits.

        Raises:
            HalfscanError: naming what can't be used.
        """
        found: list[Acquisition] = []
        for path in _paths(data):
            found += replace(self._dataset, path=str(path)).acquisitions()
        return found

    def get_data(self, img: Any) -> tuple[npt.NDArray[np.complex64], dict[str, Any]]:
        """Reads the k-space of what `read` opened.

        Raises:
            HalfscanError: several volumes: an image is one of them.
        """
        opened: Sequence[Acquisition] = img if isinstance(img, list) else [img]
        if len(opened) != 1:
            raise HalfscanError(f"the path holds {len(opened)} volumes and an image is one: give the path of one volume")
        (one,) = opened
        meta: dict[str, Any] = {
            "patient": one.patient,
            "volume": one.volume,
            "provenance": str(one.provenance),
            "acquired": one.acquired,
            "field_of_view": one.field_of_view,
            "voxel_mm": one.voxel_mm,
            "field_strength_t": one.field_strength_t,
            "contrast": one.contrast,
            "timing": asdict(one.timing),
            "digest": one.digest,
        }
        return np.ascontiguousarray(one.kspace.read_stack()), meta


def _paths(given: Any) -> list[Any]:
    return list(given) if isinstance(given, list | tuple) else [given]
