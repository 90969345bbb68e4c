"""The picture of an audit: k-space beside its image, with what is padding and what was filled in marked at its side."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from ..acquisition import Acquisition
from .background import find_background, profile
from .filled_lines import find_pattern
from .findings import Finding, strongest
from .samples import Bool, Border, Real, Samples, take_samples

_DECADES = 5
"""Range of the logarithm of k-space that is drawn, from its peak down: noise stays visible."""
_SIDE = 384
"""Panels are enlarged by a whole number up to this height [pixels]."""
_STRIP, _GAP, _CAPTION = 6, 8, 16
"""Width of the strip of marks, distance between panels, height of a line of text [pixels]."""
_PADDED, _FILLED, _UNCOUNTED = (213, 94, 0), (0, 114, 178), (150, 150, 150)
"""Colours that are told apart without red and green: vermilion, blue, grey."""


def picture(acquisition: Acquisition, findings: Sequence[Finding]) -> bytes:
    """PNG of the middle of the volume: log magnitude of k-space and the image, coils combined by their root sum of squares.

    Padding is vermilion, lines that were filled in are blue at the side, lines that do not count as acquired are grey. No
    colour stands for a finding that was not made. Whether the data may be shown to others is the caller's to know.
    """
    samples = take_samples(acquisition)
    made = {one.name for one in findings if one.state == "found"}
    middle = samples.slices // 2
    kspace = _whole(np.sqrt((np.abs(samples.kspace[middle]) ** 2).sum(0)), samples)
    image = np.sqrt((np.abs(samples.image[middle]) ** 2).sum(0))
    filled = _filled_lines(samples) if "parallel_imaging_filled" in made else np.zeros(samples.ky.size, dtype=bool)
    pixels = np.repeat(_logarithm(kspace)[..., None], 3, 2)
    empty = samples.ky.empty + samples.kx.empty > 0
    padded, uncounted = empty and bool(made & {"zero_padded", "partial_fourier"}), not samples.counted.all()
    for axis, border in ((0, samples.ky), (1, samples.kx)):
        _tint(pixels, axis, border, _PADDED if padded else _UNCOUNTED)
    strip = np.full((samples.ky.size, 1, 3), 255, dtype=np.uint8)
    strip[~samples.counted] = _UNCOUNTED
    strip[filled] = _FILLED
    peak = float(np.percentile(image, 99.8)) or 1.0
    grey = np.repeat((np.clip(image / peak, 0, 1) * 255).astype(np.uint8)[..., None], 3, 2)
    marks = [
        word
        for word, drawn in (("orange: empty", padded), ("blue: filled in", filled.any()), ("grey: not acquired", uncounted))
        if drawn
    ]
    panels = ((" - ".join(["log k-space, ky down", *marks]), pixels), ("image", grey))
    return _compose(panels, strip, strongest(findings) or "no trace of processing found")


def _whole(inside: Real, samples: Samples) -> Real:
    """With the border that was cut off."""
    whole = np.zeros(samples.shape)
    whole[samples.ky.kept, samples.kx.kept] = inside
    return whole


def _filled_lines(samples: Samples) -> Bool:
    """(ky,) of the whole k-space: between the lines of the pattern; calibration lines among them can't be told apart."""
    lines = np.zeros(samples.ky.size, dtype=bool)
    background = find_background(samples)
    along = None if background is None or background.masked else profile(samples, background, -2)
    if (pattern := find_pattern(samples, along)) is not None and pattern.sure:
        lines[samples.ky.kept] = pattern.filled(samples.kspace.shape[-2]) & samples.ky.inside
    return lines


def _logarithm(magnitude: Real) -> npt.NDArray[np.uint8]:
    peak = float(magnitude.max()) or 1.0
    decades = np.log10(np.maximum(magnitude / peak, 10.0**-_DECADES))
    return ((1 + decades / _DECADES) * 255).astype(np.uint8)


def _tint(pixels: npt.NDArray[np.uint8], axis: int, border: Border, colour: tuple[int, int, int]) -> None:
    """Paints the empty lines of an axis."""
    along = np.moveaxis(pixels, axis, 0)
    along[: border.low] = colour
    along[border.size - border.high :] = colour


def _compose(panels: Sequence[tuple[str, npt.NDArray[np.uint8]]], strip: npt.NDArray[np.uint8], caption: str) -> bytes:
    zooms = [max(1, _SIDE // max(panel.shape[:2])) for _, panel in panels]
    sizes = [(panel.shape[1] * zoom, panel.shape[0] * zoom) for (_, panel), zoom in zip(panels, zooms, strict=True)]
    width = _STRIP + sum(across + _GAP for across, _ in sizes) - _GAP
    words = _wrapped(caption, width)
    top = _CAPTION * (1 + len(words))
    canvas = Image.new("RGB", (width, top + max(height for _, height in sizes)), "white")
    draw = ImageDraw.Draw(canvas)
    for index, line in enumerate(words):
        draw.text((2, 2 + _CAPTION * index), line, fill=0)
    canvas.paste(Image.fromarray(strip).resize((_STRIP, sizes[0][1]), Image.Resampling.NEAREST), (0, top))
    left = _STRIP
    for (title, panel), size in zip(panels, sizes, strict=True):
        draw.text((left + 2, top - _CAPTION + 2), title, fill=0)
        canvas.paste(Image.fromarray(panel).resize(size, Image.Resampling.NEAREST), (left, top))
        left += size[0] + _GAP
    file = io.BytesIO()
    canvas.save(file, "PNG", optimize=True)
    return file.getvalue()


def _wrapped(text: str, width: int) -> list[str]:
    """Lines that fit; Pillow's own font is about 6 pixels wide and knows no signs beyond Latin-1."""
    import textwrap

    return textwrap.wrap(text.encode("latin-1", "replace").decode("latin-1"), max(20, width // 6)) or [""]
