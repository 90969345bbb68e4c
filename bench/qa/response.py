"""Local responses: what a reconstruction makes of a point, and of a lesion, that were put into its k-space.

Sources: local point response of Wech et al., Magn Reson Med 68:1011 (2012) and Chan et al., Magn Reson Med 86:2101 (2021).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .sites import Site

FloatArray = npt.NDArray[np.float64]
_UPSAMPLING = 32
FAINTEST = 0.005
"""A response below this share of what was put in has no width to speak of."""


def width(profile: FloatArray, centre: int, reach: int) -> float | None:
    """Full width at half maximum of a response along a line [pixels], interpolated as band-limited signals are.

    Args:
        profile: the response along a whole line.
        centre: where it was put.
        reach: pixels around it that belong to it.

    Returns:
        The width; None where it has no maximum near the centre or does not fall to half of it within reach.
    """
    window = np.zeros_like(profile)
    window[max(0, centre - reach) : centre + reach + 1] = profile[max(0, centre - reach) : centre + reach + 1]
    fine = _interpolate(window)
    start = centre * _UPSAMPLING
    near = fine[max(0, start - _UPSAMPLING) : start + _UPSAMPLING + 1]
    top = max(0, start - _UPSAMPLING) + int(near.argmax())
    half = fine[top] / 2
    if half <= 0:
        return None
    right = _crossing(fine[top : top + reach * _UPSAMPLING], half)
    left = _crossing(fine[max(0, top - reach * _UPSAMPLING) : top + 1][::-1], half)
    return None if right is None or left is None else (right + left) / _UPSAMPLING


def _interpolate(line: FloatArray) -> FloatArray:
    """Fourier interpolation; sample i of the line is sample i · _UPSAMPLING of the result."""
    size = line.size
    spectrum = np.fft.rfft(line)
    padded = np.zeros(size * _UPSAMPLING // 2 + 1, dtype=complex)
    padded[: spectrum.size] = spectrum
    if size % 2 == 0:
        padded[spectrum.size - 1] /= 2  # its two halves lie at plus and minus the highest frequency
    fine: FloatArray = np.fft.irfft(padded, size * _UPSAMPLING) * _UPSAMPLING
    return fine


def _crossing(falling: FloatArray, half: float) -> float | None:
    below = np.flatnonzero(falling < half)
    if not below.size:
        return None
    index = int(below[0])
    before, after = falling[index - 1], falling[index]
    return index - 1 + float((before - half) / (before - after))


def point_widths(response: FloatArray, sites: list[Site], amplitudes: FloatArray, reach: int) -> FloatArray:
    """(site,) width along ky or kx, whichever is the wider [pixels]; infinite where a response is too faint or too wide.

    The wider, since undersampling blurs along ky alone and a mean of both would halve the damage.

    Args:
        response: (slice, ky, kx) image with the points less the image without.
        amplitudes: (site,) that were put in.
    """
    found = np.full(len(sites), np.inf)
    for index, site in enumerate(sites):
        plane = response[site.slice]
        if plane[site.y, site.x] < FAINTEST * amplitudes[index]:
            continue
        along_y, along_x = width(plane[:, site.x], site.y, reach), width(plane[site.y], site.x, reach)
        if along_y is not None and along_x is not None:
            found[index] = max(along_y, along_x)
    return found


def off_target(response: FloatArray, sites: list[Site], reach: int) -> float:
    """Root of the response's energy beyond reach of all sites over that within: 1 for a ghost as strong as the point.

    Args:
        response: (slice, ky, kx) magnitude of the change that the points make.
        reach: pixels around a site that belong to it.

    Returns:
        Infinite where there is no response at the sites.
    """
    near = np.zeros(response.shape, dtype=bool)
    for site in sites:
        near[site.slice, max(0, site.y - reach) : site.y + reach + 1, max(0, site.x - reach) : site.x + reach + 1] = True
    within, beyond = (float(np.square(response[part]).sum()) for part in (near, ~near))
    return math.sqrt(beyond / within) if within > 0 else math.inf


@dataclass(frozen=True, kw_only=True, eq=False)
class Template:
    """A lesion's shape around its site."""

    plane: int
    """Slice."""
    rows: slice
    columns: slice
    values: FloatArray
    """(rows, columns) heights, 1 inside."""
    observer: FloatArray
    """The same less its mean over the patch: it does not see the background."""

    def product(self, images: Any, weights: Any) -> Any:
        """Sum of images (..., slice, ky, kx) times weights over the patch."""
        return (images[..., self.plane, self.rows, self.columns] * weights).sum((-2, -1))


def lesion_templates(shape: tuple[int, int, int], sites: list[Site], radius: float) -> list[Template]:
    """Discs of height 1 with an edge one pixel wide, in patches twice as wide."""
    reach = math.ceil(2 * radius)
    found = []
    for site in sites:
        rows = slice(max(0, site.y - reach), min(shape[1], site.y + reach + 1))
        columns = slice(max(0, site.x - reach), min(shape[2], site.x + reach + 1))
        y, x = np.mgrid[rows, columns]
        values = np.clip(radius + 0.5 - np.hypot(y - site.y, x - site.x), 0.0, 1.0)
        observer = values - values.mean()
        found.append(Template(plane=site.slice, rows=rows, columns=columns, values=values, observer=observer))
    return found
