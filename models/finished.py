"""Images that were made elsewhere, found by the samples they were made from: a vendor's, or another program's."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ..bench.errors import HalfscanError
from ..bench.exchange import open_images, slice_key
from ..bench.reconstruction import Combination, ReconInput, ReconResult, check_combination
from ..bench.sampling.mask import Mask


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A folder of finished images beside the `inputs.json` of `halfscan export-inputs`.

    They are taken as they are, on the scale of the exported k-space. What they took, in seconds and joules, nobody measured
    here: both are null.

    Raises:
        HalfscanError: images that are missing, damaged or of another shape, each by name; when called, an input that none
            of them is of.
    """

    path: str
    combination: Combination = "rss"
    """How their coils were combined: root sum of squares, or weighted by sensitivities (`mvue`)."""

    made_elsewhere = True

    def __post_init__(self) -> None:
        check_combination(self.combination, "model.combination")

    @property
    def needs_maps(self) -> bool:
        return False

    def check(self, mask: Mask, coils: int) -> None:
        """Opens all images, so that a missing one is named before anything is scored."""
        _ = self._images

    @cached_property
    def _images(self) -> dict[str, npt.NDArray[Any]]:
        """Digest of a slice's samples → (ky, kx) image."""
        found: dict[str, npt.NDArray[Any]] = {}
        for volume, image in open_images(Path(self.path).expanduser()):
            found |= {key: image[index] for index, key in enumerate(volume.keys)}
        return found

    @cached_property
    def content_digest(self) -> str:
        """SHA-256 of all images and what they are of: other images under the same path are another cell."""
        digest = hashlib.sha256()
        for key, image in sorted(self._images.items(), key=lambda item: item[0]):
            digest.update(key.encode())
            digest.update(np.ascontiguousarray(image).data)
        return digest.hexdigest()

    def __call__(self, data: ReconInput) -> ReconResult:
        """Looks the slices up."""
        slices = [self._find(slice_key(one, data.mask), data.field_of_view) for one in data.kspace]
        image = torch.from_numpy(np.stack(slices))
        kind = image.to(torch.complex64) if image.is_complex() else image.to(torch.float32).abs()
        return ReconResult(
            image=kind.to(data.kspace.device),
            kind="complex" if image.is_complex() else "magnitude",
            combination=self.combination,
        )

    def _find(self, key: str, field_of_view: tuple[int, int]) -> npt.NDArray[Any]:
        found = self._images.get(key)
        if found is None or found.shape != tuple(field_of_view):
            raise HalfscanError(
                f"{self.path}: no image is of these samples: score with the dataset and sampling of the exported inputs"
            )
        return found
