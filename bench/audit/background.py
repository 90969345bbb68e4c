"""Where the image holds nothing but noise, and how loud that noise is at every line of k-space.

A receiver's noise has the same power at all of k-space: where it has not, somebody changed the samples. In columns of the
image that the object does not reach there is only noise, at the centre of k-space too, so that its power is seen line by
line.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .samples import FAINT, Bool, Real, Samples, to_image

SMALLEST = 16
"""Fewer lines or samples along the readout than this show no background."""
_BLOCK = 4
"""Side of the blocks of pixels whose mean power is compared."""
_QUIET = 0.15
"""Quantile of a row or column of blocks that is taken for its noise."""
_ROLL_OFF = 4.0
"""The receiver's filter makes the ends of the readout quieter than its middle: so much in power, from the quietest columns."""
_MARGIN = 1.3
"""A block this many times louder than its noise, and what chance adds, holds signal."""
_WHOLE = 0.95
"""Share of a column's blocks that must be noise for it to be background."""
_EMPTY = 0.02
"""Share of the image that may be without any noise by accident."""
_TOLERANCE = 2.7, 0.06
"""Blocks of noise may scatter by so many times what chance makes, and so much more, before they are taken for signal."""
_LEAST = 0.05
"""Share of the image that must be background."""
_LOW, _LOW_OF_NOISE = 0.3, 0.52
"""Quantile over such rows that is taken for a column's noise, and standard errors by which it lies below the mean."""
_BRIGHT = 120
"""Ratio of signal to noise above which an object's ringing is not far below the noise, wherever one looks."""
_FEWEST = 4
"""Background columns or rows that a profile needs."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Profile:
    """Power of the noise at each line along one axis of k-space, from image columns (or rows) without signal."""

    power: Real
    """One value a line, about 1 where the noise is white."""
    inside: Bool
    """Lines that hold samples at all; the others have the power 0."""
    values: int
    """Complex samples behind each value."""

    @property
    def error(self) -> float:
        """Relative standard error of a value; neighbouring columns and coils are not quite independent."""
        return 1.5 / float(np.sqrt(self.values))


@dataclass(frozen=True, kw_only=True, eq=False)
class Background:
    """The part of the image without signal."""

    noise: Bool
    """(block row, block column) True where there is nothing but noise."""
    blocks: Real
    """(block row, block column) power of everything, coils normalised to their own noise."""
    empty: float
    """Share of blocks that hold less than any receiver's noise."""
    weights: Real
    """(coil,) one over the noise power of each coil, 0 for a dead one."""
    columns: Bool
    """(kx,) columns of the image without signal."""
    rows: Bool
    """(ky,) rows of the image without signal."""
    snr: float
    """Brightest block of a coil over the coil's noise, both root mean square."""
    column_noise: Real
    """(kx,) noise power of each column of the image, coils normalised as in `blocks`; NaN where no column is free of signal."""

    @property
    def share(self) -> float:
        """Of the image; 0 where no part of it is surely free of signal."""
        return float(self.noise.mean())

    @property
    def leaks(self) -> bool:
        """Whether the ringing of so bright an object may be as loud as the noise anywhere."""
        return self.snr > _BRIGHT

    @property
    def masked(self) -> bool:
        """Whether part of the image is emptier than noise leaves it."""
        return self.empty > _EMPTY


def find_background(samples: Samples) -> Background | None:
    """By blocks of pixels; None where the plane is too small."""
    slices, coils, height, width = samples.kspace.shape
    if min(height, width) < SMALLEST or not samples.peak:
        return None
    power = (samples.image.real**2 + samples.image.imag**2).mean(0)
    coil_blocks = np.stack([_blocks(one) for one in power])
    faintest = (FAINT * samples.peak) ** 2
    alive = coil_blocks.max((1, 2)) > faintest
    weights = alive / np.maximum(np.quantile(coil_blocks.reshape(coils, -1), _QUIET, axis=1), faintest)
    chance = 1 / np.sqrt(_BLOCK**2 * slices * coils)
    blocks, level, noise = _tell(coil_blocks, weights, chance)
    if noise.any():
        # A coil close to the object has less of the image for its noise: its quantile is too high.
        own = (coil_blocks[:, noise] * (level[noise].mean() / level[noise])).mean(1)
        weights = alive / np.maximum(own, faintest)
        blocks, level, noise = _tell(coil_blocks, weights, chance)
    return Background(
        noise=noise,
        blocks=blocks,
        empty=float((coil_blocks.max(0) < faintest).mean()),
        weights=weights,
        snr=float(np.sqrt((coil_blocks.max((1, 2)) * weights).max())),
        columns=_spread(noise.mean(0) >= _WHOLE, width),
        rows=_spread(noise.mean(1) >= _WHOLE, height),
        column_noise=_stretch(_column_noise(blocks, noise, chance), width),
    )


def profile(samples: Samples, background: Background, axis: int) -> Profile | None:
    """Along ky (axis −2) from columns, along kx (−1) from rows; None where too few hold no signal."""
    chosen = np.flatnonzero(background.columns if axis == -2 else background.rows)
    if chosen.size < _FEWEST:
        return None
    other = -1 if axis == -2 else -2
    lines = np.moveaxis(np.take(to_image(samples.kspace, (other,)), chosen, axis=other), axis, 0)
    power = (lines.real**2 + lines.imag**2).reshape(lines.shape[0], -1)
    inside = (samples.ky if axis == -2 else samples.kx).inside
    mean = power[inside].mean(0)
    known = mean > 0
    if not known.any():
        return None
    relative = (power[:, known] / mean[known]).mean(1)
    return Profile(power=np.where(inside, relative, 0), inside=inside, values=int(known.sum()))


def _tell(coil_blocks: Real, weights: Real, chance: float) -> tuple[Real, Real, Bool]:
    """Power of each block, of its noise, and where there is nothing else.

    Args:
        coil_blocks: (coil, block row, block column) power.
        weights: (coil,) one over the noise power.
        chance: standard error of a block of noise.
    """
    blocks = np.einsum("cyx,c->yx", coil_blocks, weights / weights.size)
    along_x, along_y = np.quantile(blocks, _QUIET, axis=0), np.quantile(blocks, _QUIET, axis=1)
    along_x = np.minimum(along_x, _ROLL_OFF * max(float(np.quantile(along_x, _QUIET)), FAINT**2))
    # Noise does not change from row to row.
    along_y = np.minimum(along_y, _MARGIN * max(float(np.quantile(along_y, _QUIET)), FAINT**2))
    level = np.outer(along_y, along_x)
    level *= float(np.quantile(blocks, _QUIET)) / max(float(np.quantile(level, _QUIET)), FAINT**4)
    noise = blocks < (_MARGIN + 5 * chance) * level
    return blocks, level, noise if _is_noise(blocks, level, noise, chance) else np.zeros_like(noise)


def _is_noise(blocks: Real, level: Real, noise: Bool, chance: float) -> bool:
    """Whether the blocks scatter around their level as noise does; signal that fades scatters more."""
    if noise.mean() < _LEAST:
        return False
    over = blocks[noise] / level[noise]
    if not (over > 0).all():
        return True  # Nothing at all: masked, which is another question.
    logarithm = np.log(over)
    spread = 1.4826 * np.median(np.abs(logarithm - np.median(logarithm)))
    return bool(spread < _TOLERANCE[0] * chance + _TOLERANCE[1])


def _blocks(pixels: Real) -> Real:
    rows, columns = (length // _BLOCK for length in pixels.shape)
    cut = pixels[: rows * _BLOCK, : columns * _BLOCK]
    return cut.reshape(rows, _BLOCK, columns, _BLOCK).mean((1, 3))


def _column_noise(blocks: Real, noise: Bool, chance: float) -> Real:
    """(block column,) the lower of two estimates, since whatever leaks makes noise look louder; NaN where there is none.

    From the columns without signal, and between them by a straight line: the receiver's filter is the flattest in the middle,
    so that what lies between two columns has no less noise than they. And from the rows above and below the object, where its
    ghosts and its ringing are too.
    """
    whole = np.flatnonzero(noise.mean(0) >= _WHOLE)
    if not whole.size:
        return np.full(noise.shape[1], np.nan)
    between = np.interp(np.arange(noise.shape[1]), whole, blocks[:, whole].mean(0))
    rows = noise.mean(1) >= _WHOLE
    if not rows.any():
        return between
    return np.minimum(between, np.quantile(blocks[rows], _LOW, axis=0) / (1 - _LOW_OF_NOISE * chance))


def _spread(blocks: Bool, size: int) -> Bool:
    """From blocks to pixels; what is left over at the end belongs to none."""
    spread = np.zeros(size, dtype=bool)
    pixels = np.repeat(blocks, _BLOCK)
    spread[: pixels.size] = pixels
    return spread


def _stretch(blocks: Real, size: int) -> Real:
    """From blocks to pixels; those left over at the end are like the last."""
    return blocks[np.minimum(np.arange(size) // _BLOCK, blocks.size - 1)]
