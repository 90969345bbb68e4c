"""Where known signals are put: inside the object, apart from each other, the same for every model at the same volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

OBJECT_SHARE = 0.1
"""Of the maximum, above which a pixel belongs to the object."""


@dataclass(frozen=True)
class Site:
    """One place."""

    slice: int
    y: int
    x: int


def object_mask(truth: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
    """(slice, ky, kx) pixels of the object in a magnitude image."""
    mask: npt.NDArray[np.bool_] = truth > OBJECT_SHARE * truth.max()
    return mask


def place_sites(inside: npt.NDArray[np.bool_], count: int, spacing: int, margin: int, seed: int) -> list[Site]:
    """Draws sites.

    Args:
        inside: (slice, ky, kx) pixels of the object.
        count: at most, a slice.
        spacing: between sites of a slice [pixels], so that their responses do not overlap.
        margin: from the object's border and the image's [pixels].
        seed: of the draw.
    """
    from scipy import ndimage

    rng = np.random.default_rng(seed)
    sites = []
    for index, plane in enumerate(inside):
        core = ndimage.binary_erosion(plane, iterations=margin)
        # A number a pixel, drawn before the object is looked at: a pixel more or less in it moves no other site.
        candidates = np.argwhere(core)[np.argsort(rng.random(plane.shape)[core])]
        chosen: list[npt.NDArray[np.int64]] = []
        for place in candidates:
            if all(np.abs(place - other).max() >= spacing for other in chosen):
                chosen.append(place)
            if len(chosen) == count:
                break
        sites += [Site(index, int(y), int(x)) for y, x in chosen]
    return sites
