"""Real images, images without a noisy phase, and k-space that was completed from its own mirror image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .background import Background, Profile
from .findings import Crime, Finding, State
from .floor import Shape
from .samples import FAINT, Complex, Real, Samples, to_image, to_kspace

_REAL = 1e-5
"""Share of the image's energy outside one real line of the complex plane that rounding explains."""
_SEES, _EXTENT = 1e-4, 8
"""Share of the loudest coil's energy, and pixels it is spread over, below which a coil says nothing."""
_SMOOTH, _NOISY = 0.05, 0.6
"""Median bend of the phase from pixel to pixel [rad] in the dimmest pixels: none; that of noise is π/2, of filtered noise 1."""
_SMOOTH_OBJECT = 0.002
"""The same where the dimmest pixels may belong to the object, whose noise may be as low."""
_FLIPS = 0.02
"""Share of neighbouring pixels of opposite sign that a magnitude may have, by rounding."""
_DIM = 0.4
"""Share of the pixels, the dimmest, whose phase is looked at."""
_HALF_KNOWN = 0.1
"""Central share of the lines on either side that the phase is taken from: no partial Fourier scan has fewer."""
_EXCESS, _EXCESS_ERROR = 0.04, 0.25
"""How much more k-space may resemble its mirror image than signal allows: so much, and so much of the error of a line's noise
more; half of it is suspicious."""
_LINES = 56
"""In fewer lines the object's ringing is all over the image."""
_SIGNAL = 0.75
"""Where signal allows more than this, k-space has too little noise to tell by."""
_UNLIKE = 0.2
"""Sides that agree less than this were not made from one another, whatever signal allows."""


def judge_hermitian(samples: Samples) -> Finding:
    """Whether k(−k) is the conjugate of k(k), up to one phase and a shift of the centre by whole samples.

    Then the image z is real but for a linear phase, and the spectrum of z² has a peak as high as its energy.
    """
    if min(samples.kspace.shape[-2:]) < 4 or not samples.peak:
        return Finding(name="hermitian", state="unknown", evidence="too few samples to tell a real image from a complex one")
    outside, coils = _outside(samples.image[samples.few])
    if coils:
        return Finding(
            name="hermitian",
            state="found",
            evidence=f"k-space is its own conjugate mirror image in {_of(coils, samples)}: the image is real "
            f"({outside:.0e} of its energy is not)",
            value=outside,
        )
    return Finding(
        name="hermitian",
        state="not_found",
        evidence=f"the image is complex: {outside:.2g} of its energy is outside any real image, at the least in a coil",
        value=outside,
    )


def judge_magnitude(samples: Samples, background: Background | None) -> Finding:
    """Whether the image is a magnitude, bare or with a phase that has no noise."""
    name: Crime = "magnitude_derived"
    shortest = min(samples.kspace.shape[-2:])
    if shortest < 8 or not samples.peak:
        return Finding(name=name, state="unknown", evidence="too few samples to look at the phase of an image")
    bend, flips = _phase(samples)
    # A real image's sign is that of its linear phase, which a bend leaves out and a flip shows.
    if bend is None:
        return Finding(name=name, state="unknown", evidence="too few pixels hold anything: no phase to look at")
    masked = background is None or background.masked or not background.share
    smooth = bend < (_SMOOTH_OBJECT if masked else _SMOOTH)
    where = "the dimmest pixels that hold anything" if masked else "the background"
    if smooth and flips < _FLIPS:
        return Finding(
            name=name,
            state="found",
            evidence=f"the image is a magnitude: in {where} its phase bends by {bend:.1g} rad from pixel to pixel "
            "(noise: 1.57) and its sign never changes",
            value=bend,
        )
    if bend < _NOISY:
        why = f"its sign changes between {flips:.0%} of the pixels" if smooth else "noise that was smoothed looks like this too"
        return Finding(
            name=name,
            state="unknown",
            evidence=f"the phase bends by only {bend:.2g} rad in {where} (noise: 1.57), but {why}: real or free of noise",
            value=bend,
        )
    return Finding(
        name=name,
        state="not_found",
        evidence=f"the phase is that of noise in {where}: it bends by {bend:.2f} rad from pixel to pixel (noise: 1.57)",
        value=bend,
    )


@dataclass(frozen=True, kw_only=True)
class Mirror:
    """How the outer third of k-space agrees with its own mirror image along one axis, once the slow phase is taken off."""

    alike: float
    """Correlation with the conjugate mirror image [1]."""
    allowed: float
    """The most that signal alone can cause: noise on both sides has nothing in common [1]."""
    error: float
    """Standard error of the correlation [1]."""


def mirror(samples: Samples, background: Background, along: Profile | None, axis: int) -> Mirror | None:
    """Along ky (−2) or kx (−1), over the lines that both sides have; None where those, or the background, are too few.

    Args:
        samples: what is judged.
        background: of the image, which says how much of every column is noise.
        along: noise at each line along the axis; None: white.
        axis: of k-space.
    """
    border = samples.ky if axis == -2 else samples.kx
    kspace = np.swapaxes(samples.kspace[samples.few], -1, axis)
    size = kspace.shape[-1]
    known, half = min(border.sides), max(2, round(_HALF_KNOWN * size))
    if known < 4 * half or size < _LINES or not background.share:
        return None
    noise = background.column_noise
    if not (np.isfinite(noise).all() and background.weights[samples.few[1]].any()):
        return None
    if axis == -1:
        # Every row has the noise of all columns together.
        noise = np.full(samples.kspace.shape[-2], noise.mean())
    alive = background.weights[samples.few[1]] > 0
    level = np.maximum(noise / background.weights[samples.few[1]][alive, None], (FAINT * samples.peak) ** 2)
    columns = to_image(kspace[:, alive], (-2,))
    distance = np.abs(np.arange(size) - size // 2)
    window = np.where(distance < half, np.cos(np.pi / 2 * distance / half) ** 2, 0).astype(np.float32)
    slow = to_image(columns * window, (-1,))
    phase = slow / np.maximum(np.abs(slow), FAINT**2 * samples.peak)
    corrected = to_kspace(to_image(columns, (-1,)) * phase.conj(), (-1,))
    steps = np.arange(known - known // 3 + 1, known + 1)
    sides = size // 2 + steps, size // 2 - steps
    after, before = corrected[..., sides[0]], corrected[..., sides[1]]
    alike = (after * before).real.sum((0, 3))
    power = [(side.real**2 + side.imag**2).sum((0, 3)) for side in (after, before)]
    # Every column counts by its own noise, so that those the object fills do not outweigh the rest.
    white = np.ones(size) if along is None else along.power
    expected = [level * white[side].sum() * len(kspace) for side in sides]
    signal = [np.maximum(total - floor, 0) for total, floor in zip(power, expected, strict=True)]
    total = [(one / level).sum() for one in power]
    scale = float(np.sqrt(total[0] * total[1]))
    return Mirror(
        alike=float((alike / level).sum() / scale),
        allowed=float((np.sqrt(signal[0] * signal[1]) / level).sum() / scale),
        error=1 / float(np.sqrt(2 * after.size)),
    )


def fill_evidence(
    samples: Samples, background: Background | None, along: Profile | None, shape: Shape | None, axis: int
) -> tuple[State, str, float | None]:
    """Whether one side along an axis was made from the other: state, evidence, correlation.

    Args:
        samples: what is judged.
        background: of the image.
        along: noise at each line along the axis.
        shape: of the background's noise, None where unknown.
        axis: −2 for ky, −1 for kx.
    """
    name = "ky" if axis == -2 else "kx"
    if background is None or not background.share:
        return "unknown", "no part of the image is free of signal: no noise to tell a filled side of k-space by", None
    found = mirror(samples, background, along, axis)
    if shape is not None and shape.one_part and (found is None or found.alike > _UNLIKE):
        numbers = "" if found is None else f" and outer {name} and its conjugate mirror image correlate by {found.alike:.2f}"
        why = "a real part was taken after a correction of the phase"
        return "found", f"the background's noise has one part, not two{numbers}: {why}", None if found is None else found.alike
    if found is None:
        why = "no column of the image is free of signal, or too few lines are on both sides of its centre"
        return "unknown", f"{name} can't be compared with its mirror image: {why}", None
    numbers = f"outer {name} and its conjugate mirror image correlate by {found.alike:.2f}, and signal allows {found.allowed:.2f}"
    if found.alike < _UNLIKE:
        return "not_found", f"{numbers}: both sides have their own noise", found.alike
    excess = found.alike - found.allowed
    much = _EXCESS + _EXCESS_ERROR * (1 if along is None else along.error)
    if excess > max(much, 6 * found.error):
        if along is None:
            return "unknown", f"{numbers}, if the noise is white, which no background shows line by line", found.alike
        return "found", f"{numbers}: their noise is the same, one side was made from the other", found.alike
    if found.allowed > _SIGNAL:
        return "unknown", f"{numbers}: too little noise in it to tell", found.alike
    if excess > max(much / 2, 3 * found.error):
        return "unknown", f"{numbers}: a little too much", found.alike
    if shape is None or not shape.two_parts:
        return "unknown", f"{numbers}; the background's noise does not look like a receiver's", found.alike
    return "not_found", f"{numbers}: both sides have their own noise", found.alike


def _outside(image: Complex) -> tuple[float, int]:
    """Least share of a coil's energy that is not real, and how many coils have no more than rounding."""
    flat = image.reshape(-1, *image.shape[-2:])
    energy = (np.abs(flat) ** 2).sum((-2, -1))
    # A coil that sees next to nothing, or a point, is real by accident.
    extent = energy**2 / np.maximum((np.abs(flat) ** 4).sum((-2, -1)), np.finfo(np.float32).tiny)
    loud = (energy > _SEES * energy.max()) & (extent > _EXTENT)
    if not loud.any():
        return 1.0, 0
    flat, energy = flat[loud], energy[loud]
    peak = np.abs(np.fft.fft2(flat**2)).max((-2, -1))
    outside = np.clip(1 - peak / energy, 0, 1)
    coils = np.zeros(loud.size, dtype=bool)
    coils[np.flatnonzero(loud)[outside < _REAL]] = True
    return float(outside.min()), int(coils.reshape(image.shape[:2]).any(0).sum())


def _phase(samples: Samples) -> tuple[float | None, float]:
    """Median bend of the phase [rad] in the dimmest pixels that hold anything, and the share of neighbours of opposite sign."""
    image = samples.image[samples.few]
    left, middle, right = image[..., :-2], image[..., 1:-1], image[..., 2:]
    power = middle.real**2 + middle.imag**2
    holds = power > (FAINT * samples.peak) ** 2
    if holds.sum() < 64:
        return None, 0.0
    # A quantile of all would be several times slower and say the same.
    thinned = power[holds][:: max(1, int(holds.sum()) // 20000)]
    dim = holds & (power < np.quantile(thinned, _DIM))
    step = left[dim] * middle[dim].conj()
    bend = step * (right[dim] * middle[dim].conj())
    return float(np.median(np.abs(np.angle(bend)))), float((_turned(step) < 0).mean())


def _turned(step: Complex) -> Real:
    """Real part of the steps between neighbours, turned by their mean direction."""
    direction = step.sum()
    return (step * (direction.conj() / max(abs(direction), 1e-30))).real


def _of(count: int, samples: Samples) -> str:
    looked = len(range(samples.coils)[samples.few[1]])
    return "its coil" if looked == 1 else f"{count} of {looked} coils"
