"""Pictures of reconstructions: the middle slice beside its truth, its error and its mask, all at one scale."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from .benchmark import Measured
from .files import whole_file

ERROR_FULL_SCALE = 0.2
"""Error that is drawn white, over the truth's peak: the same in every picture, so that errors compare by eye."""
PICTURE = "picture.png"
"""Name of a cell's picture in its folder."""
VIEWS = "views.npz"
"""Name of the file in a cell's folder that the pictures of its sweep are drawn from."""
_GAP, _CAPTION = 6, 16
_DAMAGED = (OSError, ValueError, TypeError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What reading a file raises that was cut short or changed, whichever of its bytes."""


@dataclass(frozen=True, eq=False)
class View:
    """What is seen of one volume."""

    truth: npt.NDArray[np.floating]
    """(ky, kx) middle slice over the truth's peak, the 99.8th percentile of it."""
    image: npt.NDArray[np.floating]
    """(ky, kx) of the reconstruction, over the same."""
    mask: npt.NDArray[np.bool_]
    """(ky,) or (ky, kx) sampled lines or points."""

    def truth_png(self) -> bytes:
        return _png(_grey(self.truth))

    def image_png(self) -> bytes:
        return _png(_grey(self.image))

    def error_png(self) -> bytes:
        """|image − truth|, white at `ERROR_FULL_SCALE`."""
        return _png(_grey(np.abs(self.image - self.truth) / ERROR_FULL_SCALE))

    def mask_png(self) -> bytes:
        return _png(_grey(self._lines().astype(float)))

    def montage(self, model: str, acceleration: float | None) -> Image.Image:
        """All of it side by side."""
        panels = [
            (_grey(self.truth), "truth"),
            (_grey(self.image), model),
            (_grey(np.abs(self.image - self.truth) / ERROR_FULL_SCALE), f"error x {1 / ERROR_FULL_SCALE:g}"),
        ]
        if acceleration is not None and self._lines().shape == self.truth.shape:
            panels.append((_grey(self._lines().astype(float)), f"mask, achieved {acceleration:.2f}"))
        return _montage(panels)

    def _lines(self) -> npt.NDArray[np.bool_]:
        """The mask as a picture, a pixel a line: never resampled, which would draw lines that nobody acquired."""
        if self.mask.ndim == 2:
            return self.mask
        lines: npt.NDArray[np.bool_] = np.repeat(self.mask[:, None], self.truth.shape[1], axis=1)
        return lines


def view(volume: Measured) -> View:
    """Of a volume that may be shown.

    Raises:
        ValueError: the data may not be shown to others.
    """
    if not volume.redistributable:
        raise ValueError("a picture of data that are not redistributable")
    middle = len(volume.truth) // 2
    truth, image = volume.truth[middle], volume.image[middle]
    peak = float(np.percentile(truth, 99.8)) or 1.0
    return View(truth=truth / peak, image=image / peak, mask=volume.mask.sampled)


def write_views(volumes: Sequence[Measured], path: Path) -> None:
    """Keeps what may be shown of a cell's volumes on this machine, until the sweep's end knows which to show.

    Nothing is written where nothing may be shown, and what an earlier try wrote there is gone.
    """
    shown = {index: view(volume) for index, volume in enumerate(volumes) if volume.redistributable}
    if not shown:
        path.unlink(missing_ok=True)
        return
    arrays: dict[str, npt.NDArray[Any]] = {}
    for index, one in shown.items():
        arrays |= {f"truth_{index}": one.truth.astype(np.float16), f"image_{index}": one.image.astype(np.float16)}
        arrays[f"mask_{index}"] = one.mask
    with whole_file(path) as draft, draft.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def read_view(path: Path, index: int) -> View | None:
    """A volume's view by its place in the cell; None where it may not be shown, or is no longer on this machine."""
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            if f"truth_{index}" not in arrays:
                return None
            truth, image = (arrays[f"{name}_{index}"].astype(np.float32) for name in ("truth", "image"))
            return View(truth=truth, image=image, mask=arrays[f"mask_{index}"])
    except _DAMAGED:
        return None


def visible(path: Path) -> set[int]:
    """Places of the volumes that have a view."""
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            return {int(name.removeprefix("truth_")) for name in arrays.files if name.startswith("truth_")}
    except _DAMAGED:
        return set()


def write_picture(volume: Measured, path: Path) -> None:
    """Writes a PNG of a volume's view.

    Raises:
        ValueError: the data may not be shown to others.
    """
    view(volume).montage(volume.row.model, volume.row.acceleration).save(path, optimize=True)


def _grey(image: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    return (np.clip(image, 0, 1) * 255).astype(np.uint8)


def _png(pixels: npt.NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    return file.getvalue()


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
