"""One picture a cell: truth, reconstruction, their difference and the mask."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from .benchmark import Measured

ERROR_GAIN = 5
PICTURE = "picture.png"
"""Name of a cell's picture in its folder."""
_GAP, _CAPTION = 6, 16


def write_picture(volume: Measured, path: Path) -> None:
    """Writes a PNG of the middle slice: truth | reconstruction | error × 5 | mask, all at one scale.

    Raises:
        ValueError: the data may not be shown to others.
    """
    if not volume.redistributable:
        raise ValueError("a picture of data that are not redistributable")
    middle = len(volume.truth) // 2
    truth, image = volume.truth[middle], volume.image[middle]
    peak = float(np.percentile(truth, 99.8)) or 1.0
    mask = volume.mask.sampled
    lines = np.broadcast_to(mask[:, None] if mask.ndim == 1 else mask, truth.shape) if mask.shape[0] == truth.shape[0] else None
    panels = [
        (_grey(truth / peak), "truth"),
        (_grey(image / peak), volume.row.model),
        (_grey(np.abs(image - truth) * ERROR_GAIN / peak), f"error x {ERROR_GAIN}"),
        *([(_grey(lines.astype(float)), f"mask, achieved {volume.row.acceleration:.2f}")] if lines is not None else []),
    ]
    _montage(panels).save(path, optimize=True)


def _grey(image: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    return (np.clip(image, 0, 1) * 255).astype(np.uint8)


def _montage(panels: Sequence[tuple[npt.NDArray[np.uint8], str]]) -> Image.Image:
    height, width = panels[0][0].shape
    zoom = max(1, 256 // max(height, width))
    height, width = height * zoom, width * zoom
    canvas = Image.new("L", (len(panels) * (width + _GAP) - _GAP, height + _CAPTION), 255)
    draw = ImageDraw.Draw(canvas)
    for index, (pixels, caption) in enumerate(panels):
        left = index * (width + _GAP)
        canvas.paste(Image.fromarray(pixels).resize((width, height), Image.Resampling.NEAREST), (left, _CAPTION))
        draw.text((left + 2, 2), caption, fill=0)
    return canvas
