"""The samples an audit looks at: a few central slices without the empty border, and what surrounded them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..acquisition import Acquisition

Real: TypeAlias = npt.NDArray[np.floating[Any]]
Complex: TypeAlias = npt.NDArray[np.complexfloating[Any, Any]]
Bool: TypeAlias = npt.NDArray[np.bool_]

SLICES = 8
"""At most this many, from the middle of the volume."""
COILS = 8
"""At most this many, spread over all."""
SAMPLES = 1 << 19
"""Stop adding slices at this many samples: a volume of large slices is judged by fewer of them."""
_FEW = 4
FAINT = 1e-5
"""Amplitude over the peak below which no receiver has a noise floor: rounding, or nothing."""
_STEP = 0.05
"""Amplitude of a border over that of the lines inside it: 26 dB below their noise is not noise."""
_INSIDE = 4
"""Lines behind a border that it is compared with."""


@dataclass(frozen=True, kw_only=True)
class Border:
    """The lines along one axis that hold nothing, or far less than noise, at either end."""

    size: int
    low: int
    """Empty lines before the first that holds samples."""
    high: int
    """Empty lines after the last one."""
    level_db: float
    """Loudest of them over the lines just inside [dB]; −inf for exact zeros, 0 without a border."""

    @property
    def empty(self) -> int:
        return self.low + self.high

    @property
    def sides(self) -> tuple[int, int]:
        """Lines with samples before and after the centre of k-space."""
        return max(self.size // 2 - self.low, 0), max(self.size - self.high - self.size // 2 - 1, 0)

    @property
    def one_sided(self) -> int:
        """Lines that one side has and the other lacks, beyond the one that an even number has anyway."""
        before, after = self.sides
        return max(after - before, before - after - (1 - self.size % 2), 0)

    @property
    def padding(self) -> int:
        """Empty lines in pairs, one on either side: what remains of them is one-sided."""
        return 2 * min(self.low, self.high) + int(self.low != self.high and not self.one_sided)

    @property
    def kept(self) -> slice:
        """What remains when as many lines are cut off on either side: the centre stays at half the length."""
        centre = self.size // 2
        half = max(centre - self.low, self.size - self.high - centre)
        return slice(max(centre - half, 0), min(centre + half, self.size))

    @property
    def inside(self) -> Bool:
        """(kept lines,) True where they hold samples."""
        lines = np.arange(self.kept.start, self.kept.stop)
        return (lines >= self.low) & (lines < self.size - self.high)


@dataclass(frozen=True, kw_only=True, eq=False)
class Samples:
    """(slice, coil, ky, kx) k-space without the empty border that surrounds it, and its image."""

    kspace: Complex
    ky: Border
    kx: Border
    shape: tuple[int, int]
    """(ky, kx) with the border."""
    counted: Bool
    """(ky,) of the whole k-space: lines that count as acquired."""

    @cached_property
    def image(self) -> Complex:
        return to_image(self.kspace, (-2, -1))

    @cached_property
    def peak(self) -> float:
        """Of the image's magnitude."""
        return float(np.abs(self.image).max(initial=0))

    @cached_property
    def holes(self) -> float:
        """Share of samples that are exactly zero in every coil although their line holds others, or lies among filled ones."""
        filled = (self.kspace != 0).any((0, 1))
        rows, columns = filled.any(1), filled.any(0)
        if not rows.any():
            return 1.0
        first, last = np.flatnonzero(rows)[[0, -1]]
        left, right = np.flatnonzero(columns)[[0, -1]]
        return float(1 - filled[first : last + 1, left : right + 1].mean())

    @property
    def few(self) -> tuple[slice, slice]:
        """Up to four slices and four coils, for what more of them would only slow down."""
        return slice(None, None, -(-self.slices // _FEW)), slice(None, None, -(-self.coils // _FEW))

    @property
    def slices(self) -> int:
        return self.kspace.shape[0]

    @property
    def coils(self) -> int:
        return self.kspace.shape[1]


def take_samples(acquisition: Acquisition) -> Samples:
    """The central slices of a volume, without border."""
    kspace = acquisition.kspace
    coils = min(COILS, kspace.size("coil"))
    plane = coils * kspace.size("ky") * kspace.size("kx")
    count = max(1, min(SLICES, acquisition.slices, SAMPLES // max(plane, 1)))
    first = (acquisition.slices - count) // 2
    stack = kspace.read_stack(first, first + count)
    # Powers of 1e-20 or 1e20 would leave single precision; nothing here depends on the scale.
    loudest = max(float(np.abs(part).max(initial=0)) for part in (stack.real, stack.imag))
    stack = stack / max(loudest, float(np.finfo(np.float32).tiny))
    power = (stack.real**2 + stack.imag**2).mean((0, 1), dtype=np.float64)
    ky, kx = _border(power.mean(1)), _border(power.mean(0))
    chosen = np.linspace(0, stack.shape[1] - 1, coils).round().astype(int)
    return Samples(
        kspace=np.ascontiguousarray(stack[:, chosen, ky.kept, kx.kept]),
        ky=ky,
        kx=kx,
        shape=power.shape,
        counted=acquisition.acquired,
    )


def _border(power: Real) -> Border:
    """Of the mean power of each line."""
    size = power.size
    low, high = _empty(power), _empty(power[::-1])
    if low + high >= size:
        return Border(size=size, low=0, high=0, level_db=0.0)
    inside = np.concatenate([power[low : low + _INSIDE], power[size - high - _INSIDE : size - high] if high else power[:0]])
    border = np.concatenate([power[:low], power[size - high :]])
    loudest, level = border.max(initial=0), np.median(inside)
    decibel = 10 * np.log10(loudest / level) if loudest > 0 and level > 0 else -np.inf
    return Border(size=size, low=low, high=high, level_db=float(decibel) if border.size else 0.0)


def _empty(power: Real) -> int:
    """Lines from the start that hold less than noise: zeros, or a sudden step up behind them."""
    zeros = int(np.argmax(power > 0)) if power.any() else power.size
    last = power.size // 2 - _INSIDE
    if last <= zeros + 1:
        return zeros
    counts = np.arange(zeros + 1, last)
    behind = np.median(np.lib.stride_tricks.sliding_window_view(power, _INSIDE), axis=1)[counts]
    # A step from one line to the next: signal that fades, and a filter, fall by degrees.
    quiet = np.maximum.accumulate(power)[counts - 1] < _STEP**2 * behind
    steps = counts[quiet & (power[counts - 1] < (2 * _STEP) ** 2 * power[counts])]
    return int(steps[-1]) if steps.size else zeros


def to_image(kspace: Complex, axes: tuple[int, ...]) -> Complex:
    """Centred, unitary inverse FFT along some axes."""
    return np.fft.fftshift(np.fft.ifftn(np.fft.ifftshift(kspace, axes=axes), axes=axes, norm="ortho"), axes=axes)


def to_kspace(image: Complex, axes: tuple[int, ...]) -> Complex:
    """Centred, unitary FFT along some axes."""
    return np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(image, axes=axes), axes=axes, norm="ortho"), axes=axes)
