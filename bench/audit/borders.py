"""Zero padding and one-sided k-space: what the empty border says."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .background import Background, Profile
from .findings import Crime, Finding
from .floor import Shape
from .samples import Border, Samples
from .symmetry import fill_evidence

_SHARE = 0.02
"""Share of the lines that a border must have to be called padding, or a side to be called missing."""


def judge_padding(samples: Samples) -> Finding:
    """Whether a border of zeros, or of far less than noise, surrounds the samples on both sides."""
    name: Crime = "zero_padded"
    ky, kx = samples.ky, samples.kx
    share = {"ky": ky.padding / ky.size, "kx": kx.padding / kx.size}
    said = [_padding(axis, one) for axis, one in (("ky", ky), ("kx", kx)) if share[axis] >= _SHARE and one.padding > 1]
    value = max(share.values())
    if said:
        # Lines that count as not acquired are in no mask and no count: padding that everyone knows of.
        known = share["ky"] >= _SHARE and _counted(samples) < _SHARE
        note = " (ky: known, and not counted as acquired)" if known else ""
        return Finding(
            name=name,
            state="found",
            evidence=f"k-space is zero-padded along {' and '.join(said)}{note}",
            value=value,
            accounted=known and share["kx"] < _SHARE,
        )
    few = [f"{border.empty} of {border.size} along {axis}" for axis, border in (("ky", ky), ("kx", kx)) if border.empty]
    return Finding(
        name=name,
        state="not_found",
        evidence=f"no border on both sides: {'no line is empty' if not few else 'empty lines ' + ' and '.join(few)}",
        value=value,
    )


def judge_partial_fourier(
    samples: Samples, background: Background | None, profiles: Mapping[str, Profile | None], shape: Shape | None
) -> Finding:
    """Whether one side of k-space is missing, or was made from the other.

    Args:
        samples: what is judged.
        background: of the image.
        profiles: noise along ky and kx.
        shape: of the background's noise, None where unknown.
    """
    crime: Crime = "partial_fourier"
    for axis, border in (("ky", samples.ky), ("kx", samples.kx)):
        before, after = border.sides
        if border.one_sided >= max(2, _SHARE * border.size):
            sampled = (before + after + 1) / (2 * max(before, after) + 1)
            side = "below" if before < after else "above"
            # No mask leaves out a part of the readout: an asymmetric echo is the same for every method.
            known = axis == "kx" or _counted(samples) < _SHARE
            note = " and the rest is not counted as acquired" if known and axis == "ky" else ""
            return Finding(
                name=crime,
                state="found",
                evidence=f"{border.one_sided} lines {side} the centre of {axis} are empty that the other side has: "
                f"{sampled:.0%} of k-space was sampled{note}",
                value=sampled,
                accounted=known,
            )
    judged = [fill_evidence(samples, background, profiles[name], shape, axis) for name, axis in (("ky", -2), ("kx", -1))]
    # Nobody leaves out part of the readout to save time: where neither is found, ky speaks.
    state, evidence, value = next((one for one in judged if one[0] == "found"), judged[0])
    return Finding(name=crime, state=state, evidence=evidence, value=value)


def _counted(samples: Samples) -> float:
    """Share of the lines in the border along ky that count as acquired although they hold nothing."""
    ky = samples.ky
    empty = np.zeros(ky.size, dtype=bool)
    empty[: ky.low] = True
    empty[ky.size - ky.high :] = True
    return float((empty & samples.counted).sum() / ky.size)


def _padding(axis: str, border: Border) -> str:
    extra = "" if not border.one_sided else f", and {border.one_sided} more on one side"
    even = "on either side" if border.low == border.high else f"before and {border.high} after"
    level = "zeros" if border.level_db == -np.inf else f"{border.level_db:.0f} dB below the lines inside"
    return f"{axis} ({border.low} lines {even} of {border.size}, {level}{extra})"
