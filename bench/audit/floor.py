"""What the noise floor says: filtered, denoised or masked data, and lines or columns that were cleaned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .background import Background, Profile
from .findings import Crime, Finding
from .samples import Bool, Complex, Real, Samples

_OUTER, _MIDDLE = 0.85, (0.3, 0.65)
"""Bands of the distance from the centre over half the length whose noise is compared; signal ends below the middle one."""
_FALLEN, _FLAT = 0.5, 0.8
"""Noise power of the outer band over the middle one: below, and above."""
_STEEP = 0.15
"""Below what a leak explains: the ringing of an object falls to a quarter from the middle to the ends."""
_SIGMAS, _MANY_SIGMAS = 6, 9
"""Standard errors below 1 that a steep fall has, and any other: in little noise a leak weighs more."""
_PATCH = 8
"""Side of the patches whose pixels are compared with one another: two blocks of the background."""
_PATCHES = 3
_GAUSSIAN = 0.70
"""Median over mean power of complex Gaussian noise in a patch."""
_COMPLEX = 0.6
"""Surely below that, noise has one part."""
_RECEIVED = 0.66
"""And above that, two."""
_SHRUNK = 0.08
"""How far below a receiver's the details of thresholded noise lie, at the least."""
_NOTCH, _LINE = 0.4, 3.0
"""Noise power of a column, or line, over its neighbours': cut out; interference that is still there."""
_BELOW_ALL, _LOW = 0.6, 0.3
"""A notch is also this much quieter than that quantile of all lines or columns."""
_AROUND = 4
"""Neighbours on either side that it is compared with."""
_ENDS = 0.06
"""Share of the lines or columns at either end where the receiver's own filter falls steeply."""
_MUST_SEE = "image x position", "ky line"
"""Where interference and spikes are: without both seen, nothing can be said to be clean."""
_UNLIKELY = 1e-5
"""Chance of a notch in noise alone."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """How the noise of the background is distributed, whatever its power from place to place."""

    pixels: float
    """Median over mean power in small patches, averaged: 0.70 for a receiver's noise, 0.47 for noise with one part."""
    details: float
    """The same of differences between neighbours, which hold the least of whatever signal leaks into the background."""
    error: float
    """Standard error of both."""

    @property
    def one_part(self) -> bool:
        """Whether the noise is that of one real number a pixel, as homodyne detection leaves it."""
        # Thresholds take more from details than from pixels; a slow phase, less.
        return self.pixels + 5 * self.error < _COMPLEX and self.details > self.pixels

    @property
    def two_parts(self) -> bool:
        """Whether real and imaginary part are as independent as a receiver's; completed sides leave 0.5 to 0.63."""
        return self.pixels + self.error > _RECEIVED


def shape_of_noise(samples: Samples, background: Background | None) -> Shape | None:
    """Of patches of 8 × 8 pixels without signal; None where there are none."""
    if background is None or not background.share or background.masked:
        return None
    image = samples.image[samples.few]
    details = image[..., :-1, :-1] - image[..., 1:, :-1] - image[..., :-1, 1:] + image[..., 1:, 1:]
    rows, columns = (length // _PATCH for length in details.shape[-2:])
    blocks = background.noise[: rows * 2, : columns * 2].reshape(rows, 2, columns, 2)
    inside = np.asarray(blocks.all((1, 3)))
    if inside.sum() < _PATCHES:
        return None
    pixels, fine = (_ratio(one, inside) for one in (image, details))
    # Pixels of a patch share something: as many as half of them count.
    return Shape(pixels=pixels, details=fine, error=0.18 / float(np.sqrt(inside.sum() * image[..., 0, 0].size)))


def judge_noise(
    background: Background | None,
    profiles: Mapping[str, Profile | None],
    shape: Shape | None,
    explained: Mapping[str, Crime],
) -> Finding:
    """Whether the noise was masked away, thresholded or filtered.

    Args:
        background: of the image.
        profiles: noise along ky and kx.
        shape: of the noise (`shape_of_noise`).
        explained: findings that change the noise along an axis ("ky", "kx") or its distribution ("shape") too.
    """
    name: Crime = "noise_removed"
    if background is None:
        return Finding(name=name, state="unknown", evidence="too small a matrix to have a background of noise")
    if background.masked:
        return Finding(
            name=name,
            state="found",
            evidence=f"{background.empty:.0%} of the image holds no noise at all: masked, denoised, or simulated without",
            value=background.empty,
        )
    seen = {axis: one for axis, one in profiles.items() if one is not None}
    falls = [fall for axis, one in seen.items() if axis not in explained for fall in _falls(axis, one)]
    sure = np.inf if background.leaks else _MANY_SIGMAS
    fallen = [fall for fall in falls if (fall[1] < _FALLEN and fall[2] > sure) or (fall[1] < _STEEP and fall[2] > _SIGMAS)]
    if fallen:
        side, ratio, sigmas = min(fallen, key=lambda fall: fall[1])
        return Finding(
            name=name,
            state="found",
            evidence=f"the noise falls towards {side} to {ratio:.2f} of its power nearer the centre ({sigmas:.0f} sigma): "
            "k-space was filtered, weighted or denoised",
            value=ratio,
        )
    if shape is not None and _GAUSSIAN - shape.details > max(_SHRUNK, 5 * shape.error):
        numbers = (
            f"median over mean power {shape.details:.2f} ± {shape.error:.2f} in the background's finest details "
            f"(a receiver's noise: {_GAUSSIAN:.2f})"
        )
        if "shape" in explained:
            why = f"{explained['shape'].replace('_', ' ')} explains that"
            return Finding(name=name, state="unknown", evidence=f"{numbers}: {why}, whatever else was done", value=shape.details)
        return Finding(name=name, state="found", evidence=f"{numbers}: denoised, or filled by a method", value=shape.details)
    if not falls and seen:
        why = next(iter(explained.values())).replace("_", " ")
        return Finding(name=name, state="unknown", evidence=f"{why} changes the noise too: whatever else was done can't be told")
    if not falls:
        why = "no row or column of the image is free of signal" if background.share else "no part of the image is free of signal"
        return Finding(name=name, state="unknown", evidence=f"{why}: there is no noise to look at")
    side, ratio, sigmas = min(falls, key=lambda fall: fall[1])
    numbers = f"least noise at {side}: {ratio:.2f} of its power nearer the centre"
    if ratio < _FLAT and sigmas > 3:
        return Finding(
            name=name, state="unknown", evidence=f"{numbers} ({sigmas:.1f} sigma): a weak filter, or signal that leaks"
        )
    if min(one.values for one in seen.values()) < 8:
        return Finding(name=name, state="unknown", evidence=f"{numbers}, but too few samples of noise to be sure")
    fine = "" if shape is None else f"; median over mean power {shape.details:.2f} (a receiver's: {_GAUSSIAN:.2f})"
    return Finding(name=name, state="not_found", evidence=f"the noise is white: {numbers}{fine}", value=ratio)


def judge_interference(
    background: Background | None, profiles: Mapping[str, Profile | None], spectra: Mapping[str, tuple[Real, int] | None]
) -> Finding:
    """Whether single lines of k-space, or single columns of the image, have less noise than their neighbours.

    Args:
        background: of the image.
        profiles: noise along ky and kx.
        spectra: noise along the image's x, which is the frequency that the receiver saw, and y, with the values behind each.
    """
    from scipy.stats import chi2

    name: Crime = "interference_removed"
    if background is not None and background.leaks:
        why = f"at a signal-to-noise ratio of {background.snr:.0f} the object's ringing covers the noise"
        return Finding(name=name, state="unknown", evidence=why)
    # Where noise is not white, filtered or mixed with signal, a line may differ from its neighbours for other reasons.
    white = {axis: one for axis, one in profiles.items() if one is not None and is_white(axis, one)}
    seen: dict[str, tuple[Real, int]] = {f"{axis} line": (one.power, one.values) for axis, one in white.items()}
    for axis, across in (("x", "kx"), ("y", "ky")):
        if across in white and (one := spectra.get(axis)) is not None:
            seen[f"image {axis} position"] = one
    if not seen:
        return Finding(
            name=name, state="unknown", evidence="no background of white noise: single lines and columns can't be judged"
        )
    notches, bright, able = [], [], {}
    for where, (power, values) in seen.items():
        quieter, louder = _beside(power, central="line" in where)
        # Half the values count: neighbouring columns and coils are not quite independent.
        chance = chi2.cdf(values * _NOTCH, values) * power.size
        able[where] = chance < _UNLIKELY
        if chance < _UNLIKELY:
            # Between columns that signal leaks into, one without it is no notch: it has the noise of all.
            below = power < _BELOW_ALL * np.quantile(power, _LOW)
            notches += [(where, int(at), quieter[at]) for at in np.flatnonzero((quieter < _NOTCH) & below)]
        if chi2.sf(values * _LINE, values) * power.size < _UNLIKELY:
            bright += [(where, int(at), louder[at]) for at in np.flatnonzero(louder > _LINE)]
    left = ""
    if bright:
        where, at, ratio = max(bright, key=lambda one: one[2])
        left = f"{where} {at} is {ratio:.1f} times as loud as its neighbours: interference that was left, or signal that leaks"
    if notches:
        where, at, ratio = min(notches, key=lambda one: one[2])
        others = f", and so or nearly so have {len(notches) - 1} others" if len(notches) > 1 else ""
        return Finding(
            name=name,
            state="found",
            evidence=f"{where} {at} has {ratio:.2f} of its neighbours' noise{others}: cleaned{'; ' + left if left else ''}",
            value=float(ratio),
        )
    if left:
        return Finding(name=name, state="unknown", evidence=left)
    if blind := [where for where in _MUST_SEE if not able.get(where)]:
        return Finding(
            name=name, state="unknown", evidence=f"too little background to see whether one {blind[0]} has less noise than others"
        )
    return Finding(
        name=name, state="not_found", evidence="no line or column is quieter than its neighbours; a subtraction leaves no trace"
    )


def spectrum(samples: Samples, background: Background | None, axis: int) -> tuple[Real, int] | None:
    """Power of the noise at each position of the image along an axis, from the rows or columns without signal."""
    if background is None or background.masked:
        return None
    chosen = np.flatnonzero(background.rows if axis == -1 else background.columns)
    if chosen.size < 4:
        return None
    other = -2 if axis == -1 else -1
    part = np.moveaxis(np.take(samples.image, chosen, axis=other), axis, 0)
    power = (part.real**2 + part.imag**2).reshape(part.shape[0], -1)
    return power.mean(1), power.shape[1]


def is_white(axis: str, one: Profile) -> bool:
    """Whether the noise is as loud at the ends of an axis as nearer its centre."""
    return all(_FLAT < ratio < 1 / _FLAT for _, ratio, _ in _falls(axis, one))


def _falls(axis: str, one: Profile) -> list[tuple[str, float, float]]:
    """(which end, its noise over that of the middle, standard errors below 1) for both ends of an axis."""
    size = one.power.size
    place = (np.arange(size) - size // 2) / (size / 2)
    place = np.where(one.inside, place, np.nan)
    middle = (np.abs(place) > _MIDDLE[0]) & (np.abs(place) < _MIDDLE[1])
    found = []
    for end, outer in (("low", place < -_OUTER), ("high", place > _OUTER)):
        if not outer.any() or not middle.any():
            continue
        # Medians: a spike, or interference, is in single lines.
        reference = np.median(one.power[middle])
        if reference <= 0:
            continue
        ratio = float(np.median(one.power[outer]) / reference)
        error = one.error * np.sqrt(1 / outer.sum() + 1 / middle.sum())
        found.append((f"{end} {axis}", ratio, float((1 - ratio) / error)))
    return found


def _beside(power: Real, central: bool) -> tuple[Real, Real]:
    """Each value over the quieter, and over the louder, of the medians on its two sides; 1 near the ends.

    A slope has one side above it and one below. Next neighbours are left out: a notch may be two or three wide.

    Args:
        power: of each line or column.
        central: whether the middle is full of signal that leaks, and no line there can be called loud.
    """
    size = power.size
    quieter, louder = np.ones(size), np.ones(size)
    margin = max(_AROUND + 2, round(_ENDS * size))
    if size < 4 * margin:
        return quieter, louder
    medians = np.median(np.lib.stride_tricks.sliding_window_view(power, _AROUND), axis=1)
    at = np.arange(margin, size - margin)
    before, after = medians[at - _AROUND - 1], medians[at + 2]
    lower, upper = np.minimum(before, after), np.maximum(before, after)
    quieter[at] = np.where(lower > 0, power[at] / np.where(lower > 0, lower, 1), 1)
    louder[at] = np.where(upper > 0, power[at] / np.where(upper > 0, upper, 1), 1)
    if central:
        louder[np.abs(np.arange(size) - size // 2) < 0.15 * size] = 1
    return quieter, louder


def _ratio(image: Complex, inside: Bool) -> float:
    """Mean over patches, coils and slices of the median over the mean power."""
    rows, columns = inside.shape
    power = image.real**2 + image.imag**2
    power = power[..., : rows * _PATCH, : columns * _PATCH]
    patches = power.reshape(*power.shape[:2], rows, _PATCH, columns, _PATCH).transpose(2, 4, 0, 1, 3, 5)[inside]
    patches = patches.reshape(*patches.shape[:3], -1)
    mean = patches.mean(-1)
    known = mean > 0
    return float((np.median(patches[known], axis=-1) / mean[known]).mean()) if known.any() else _GAUSSIAN
