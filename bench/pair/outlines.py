"""Pictures of where regions lie in both series: whether a region is where it should be, only an eye can tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..acquisition import Acquisition, Images
from ..errors import HalfscanError
from ..files import whole_file
from .measure import Place, places
from .registration import Registration
from .tables import ARMS, Arm, Region

_HEIGHT = 400
"""About, of a series in a picture [px]."""
_GAP = 8
_PAPER, _LINE = (255, 255, 255), (255, 200, 0)


def write_outlines(
    folder: Path, name: str, arms: Mapping[Arm, Acquisition], registration: Registration, regions: Sequence[Region]
) -> None:
    """A PNG a slice with regions: the reference beside the candidate, every region's rim on each series' own pixels.

    They show patients, and stay on this machine.

    Raises:
        HalfscanError: the folder can't be written.
    """
    images = {arm: arms[arm].images for arm in ARMS}
    ours, theirs = images["reference"], images["candidate"]
    assert ours is not None
    assert theirs is not None
    for number in sorted({region.slice for region in regions}):
        found = [places(ours, theirs, registration, region) for region in regions if region.slice == number]
        panels = [
            _panel(one, [place for both in found if isinstance(place := both[arm], Place)])
            for arm, one in zip(ARMS, (ours, theirs), strict=True)
        ]
        try:
            with whole_file(folder / f"{name}-slice{number}.png") as draft:
                _beside(panels).save(draft, "PNG")
        except OSError as error:
            raise HalfscanError(f"--pictures {folder}: can't be written ({error.strerror})") from error


def _panel(images: Images, found: Sequence[Place]) -> Image.Image:
    """A series' slice with its regions; black where none could be carried over."""
    if not found:
        return Image.new("RGB", (_HEIGHT, _HEIGHT))
    shown = images.plane(found[0].slice)
    zoom = max(1, round(_HEIGHT / len(shown)))
    grey = np.clip(shown / (np.percentile(shown, 99.8) or 1.0), 0, 1) * 255
    pixels = np.repeat(np.kron(grey, np.ones((zoom, zoom)))[..., None], 3, axis=2).astype(np.uint8)
    for place in found:
        pixels[_rim(np.kron(place.inside, np.ones((zoom, zoom), bool)))] = _LINE
    return Image.fromarray(pixels)


def _rim(inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    from scipy.ndimage import binary_erosion

    rim: npt.NDArray[np.bool_] = inside & ~binary_erosion(inside)
    return rim


def _beside(panels: Sequence[Image.Image]) -> Image.Image:
    width = sum(one.width for one in panels) + _GAP * (len(panels) - 1)
    canvas = Image.new("RGB", (width, max(one.height for one in panels)), _PAPER)
    left = 0
    for one in panels:
        canvas.paste(one, (left, 0))
        left += one.width + _GAP
    return canvas
