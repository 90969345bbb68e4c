"""Lines that parallel imaging filled in: every R-th line is measured, and those between have another noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .background import Background, Profile
from .findings import Crime, Finding
from .samples import FAINT, Bool, Real, Samples, to_image

STEPS = (2, 3, 4, 5, 6, 8)
"""Accelerations that are looked for."""
_CENTRE = 0.25
"""Lines nearer the centre, over half their number, may be calibration lines."""
_FEWEST = 32
"""Lines outside of it that a pattern takes to be seen."""
_CHANCE = 1e-7
"""Of a pattern as clear as this in noise alone."""
_CLEAR, _FAINT_PATTERN = 0.75, 0.9
"""Noise power of the quieter lines over the louder: surely filled below the first, perhaps below the second."""
_SEEN = 0.4
"""Depth of the faintest pattern that must show before its absence means anything: filled lines have a half, or less."""
_DETREND = 12
"""Lines over which a slow change is taken off."""
_QUIETEST = 0.25
"""Share of the image's columns, the quietest, that speak where none is free of signal."""
_EIGEN_BLOCKS = 48
"""Blocks of pixels whose coils are compared."""
_ONE_IMAGE = 0.03
"""Eigenvalue of the coils over a larger one: below, they are one image times smooth maps; noise of their own makes it 0.3."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Pattern:
    """Noise that repeats along ky."""

    step: int
    offset: int
    """First line of the class that differs from all others, within the samples."""
    ratio: float
    """Noise power of the quietest class over that of the loudest."""
    chance: float
    """How often noise alone shows a pattern as clear."""
    background: bool
    """Whether it was seen where there is no signal."""

    @property
    def sure(self) -> bool:
        """Whether noise alone would never show it."""
        return self.chance < _CHANCE

    def filled(self, size: int) -> Bool:
        """(ky,) True for the lines that were made from the others, calibration lines not known."""
        return np.arange(size) % self.step != self.offset


def find_pattern(samples: Samples, along_ky: Profile | None) -> Pattern | None:
    """The clearest repetition of the noise along ky; None where there are too few lines."""
    clean = along_ky is not None and along_ky.values >= 8
    power = along_ky.power if along_ky is not None and clean else _quiet_columns(samples)
    if power is None:
        return None
    size = power.size
    distance = np.abs(np.arange(size) - size // 2) / (size / 2)
    usable = (distance >= _CENTRE) & samples.ky.inside & (power > 0)
    if usable.sum() < _FEWEST:
        return None
    level = np.log(np.where(power > 0, power, 1))
    patterns = [_pattern(level, usable, step, clean) for step in STEPS if usable.sum() >= 8 * step]
    return min(patterns, key=lambda one: one.chance, default=None)


def judge_filled(samples: Samples, background: Background | None, along_ky: Profile | None, pattern: Pattern | None) -> Finding:
    """Whether lines were filled in by GRAPPA, ARC or SENSE, or the coils made from one image."""
    name: Crime = "parallel_imaging_filled"
    rank = _rank(samples, background)
    if rank is not None and rank < _ONE_IMAGE:
        return Finding(
            name=name,
            state="found",
            evidence=f"all coils hold one image: in the dimmest blocks of pixels their own noise is {rank:.0e} of what "
            "they share (of coils that were measured: about 0.4): filled by SENSE, or made from a combined image",
            value=rank,
        )
    if pattern is None:
        return Finding(name=name, state="unknown", evidence=f"fewer than {_FEWEST} lines outside the centre: no pattern can show")
    place = "in the background" if pattern.background else "in the quietest columns"
    louder = f"{1 / pattern.ratio:.2f} times the noise of the others" if pattern.ratio > 0 else "noise and no other"
    numbers = f"one line in {pattern.step} has {louder} {place} (chance {_power_of_ten(pattern.chance)})"
    if pattern.sure and pattern.ratio < _CLEAR:
        return Finding(
            name=name,
            state="found",
            evidence=f"{numbers}: the lines between were filled in, R = {pattern.step}",
            value=float(pattern.step),
        )
    if pattern.sure and pattern.ratio < _FAINT_PATTERN:
        return Finding(
            name=name,
            state="unknown",
            evidence=f"{numbers}: filled in, or shots of unlike strength",
            value=float(pattern.step),
        )
    if samples.coils == 1:
        return Finding(
            name=name,
            state="unknown",
            evidence="one coil: lines may have been filled in before coils were combined, and no pattern of the noise shows it",
        )
    if not pattern.background:
        return Finding(
            name=name,
            state="unknown",
            evidence="no column of the image is background: signal covers whatever pattern the noise may have",
        )
    assert along_ky is not None
    smallest = 8 * along_ky.error / np.sqrt(along_ky.power.size / 8)
    if smallest > _SEEN:
        return Finding(
            name=name, state="unknown", evidence=f"too little noise seen: patterns under {smallest:.0%} would not show"
        )
    return Finding(
        name=name,
        state="not_found",
        evidence=f"no pattern of R = {STEPS[0]} to {STEPS[-1]} in the noise along ky: the clearest, R = {pattern.step}, is "
        f"{1 - pattern.ratio:.1%} deep",
        value=pattern.ratio,
    )


def _quiet_columns(samples: Samples) -> Real | None:
    """(ky,) power in the columns that hold least outside the centre, relative to each column's own."""
    height, width = samples.kspace.shape[-2:]
    if height < _FEWEST or not samples.peak:
        return None
    lines = to_image(samples.kspace, (-1,))
    power = lines.real**2 + lines.imag**2
    outer = (np.abs(np.arange(height) - height // 2) >= _CENTRE * height / 2) & samples.ky.inside
    level = power[:, :, outer].mean(2)
    level = np.where(level > (FAINT * samples.peak) ** 2, level, np.inf)
    total = (1 / level).mean((0, 1))
    chosen = np.argsort(-total, kind="stable")[: max(1, round(_QUIETEST * width))]
    return (power[..., chosen] / level[:, :, None, chosen]).mean((0, 1, 3))


def _pattern(level: Real, usable: Bool, step: int, background: bool) -> Pattern:
    """By an analysis of variance of the log power over the lines' remainders; outliers are clipped."""
    from scipy.stats import f as f_distribution

    lines = np.flatnonzero(usable)
    flat = level[lines] - _slow(level, usable, step)[lines]
    spread = 1.4826 * np.median(np.abs(flat - np.median(flat)))
    flat = np.clip(flat, np.median(flat) - 6 * spread, np.median(flat) + 6 * spread)
    group = lines % step
    count = np.bincount(group, minlength=step)
    mean = np.bincount(group, flat, minlength=step) / np.maximum(count, 1)
    between = (count * (mean - flat.mean()) ** 2).sum() / (step - 1)
    within = max(((flat - mean[group]) ** 2).sum() / (lines.size - step), 1e-12)
    chance = float(f_distribution.sf(between / within, step - 1, lines.size - step)) * len(STEPS)
    # The measured line is the one that differs from the others, louder or quieter.
    offset = int(np.argmax(np.abs(mean - np.median(mean)))) if step > 2 else int(np.argmax(mean))
    return Pattern(
        step=step, offset=offset, ratio=float(np.exp(mean.min() - mean.max())), chance=min(chance, 1.0), background=background
    )


def _slow(level: Real, usable: Bool, step: int) -> Real:
    """Mean over whole periods around each line, of usable ones."""
    window = np.ones(step * max(1, round(_DETREND / step)))
    total = np.convolve(np.where(usable, level, 0), window, "same")
    return total / np.maximum(np.convolve(usable.astype(float), window, "same"), 1)


def _rank(samples: Samples, background: Background | None) -> float | None:
    """Median over the dimmest blocks that hold anything of one of the coils' eigenvalues over a larger one.

    The fourth over the second: signal has one, two where maps change fast. Two or three coils have the second over the first,
    which signal lowers, and need a background without any.
    """
    if background is None:
        return None
    alive = background.weights > 0
    coils = int(alive.sum())
    if coils < 2 or (coils < 4 and not background.share):
        return None
    rows, columns = background.blocks.shape
    image = samples.image[:, alive, : 4 * rows, : 4 * columns]
    shape = (samples.slices, coils, rows, 4, columns, 4)
    blocks = image.reshape(shape).transpose(2, 4, 0, 1, 3, 5).reshape(-1, coils, 16)
    energy = (blocks.real**2 + blocks.imag**2).mean((1, 2))
    holds = np.flatnonzero(energy > (FAINT * samples.peak) ** 2)
    if holds.size < 8:
        return None
    order = holds[np.argsort(energy[holds], kind="stable")][: max(8, holds.size // 4)]
    chosen = blocks[order[:: max(1, order.size // _EIGEN_BLOCKS)]].astype(np.complex128)
    chosen *= np.sqrt(background.weights[alive])[:, None]
    values = np.linalg.eigvalsh(chosen @ chosen.conj().swapaxes(-1, -2))
    smaller, larger = (-4, -2) if coils >= 4 else (-2, -1)
    return float(np.median(values[:, smaller] / np.maximum(values[:, larger], 1e-300)))


def _power_of_ten(chance: float) -> str:
    return f"1e{int(np.log10(max(chance, 1e-99)))}" if chance < 0.01 else f"{chance:.2f}"
