"""Zero padding: which lines of k-space are data, and what remains where the others are cut off."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..bench.acquisition import BoolArray, KSpace
from ..bench.errors import HalfscanError
from .source import part_of
from .survey import Survey


@dataclass(frozen=True, kw_only=True, eq=False)
class Stripped:
    """k-space without the padding on both sides of it."""

    kspace: KSpace
    acquired: BoolArray
    """(ky,) of `kspace`; what is padded on one side alone (partial Fourier) remains, and is not acquired."""
    lines: tuple[int, int]
    """(start, stop) of `kspace` within the lines of the file."""


def acquired_lines(file: Path, found: Survey, stated: slice) -> BoolArray:
    """(ky,) the lines that hold data and that the header, too, calls acquired.

    Raises:
        HalfscanError: no line is left, or one between them is empty.
    """
    acquired = found.acquired(str(file))
    inside = np.zeros_like(acquired)
    inside[stated] = True
    if not (acquired & inside).any():
        raise HalfscanError(f"{file}: the lines that its header calls acquired are empty")
    return acquired & inside


def strip(kspace: KSpace, acquired: BoolArray) -> Stripped:
    """Cuts off the lines beyond the acquired ones, as many on either side: the centre of k-space stays where it was."""
    size = acquired.size
    lines = np.flatnonzero(acquired)
    centre = size // 2
    # An even number of lines has one more below its centre than above it.
    half = max(centre - int(lines[0]), int(lines[-1]) - centre + 1)
    start, stop = max(centre - half, 0), min(centre + half, size)
    return Stripped(kspace=part_of(kspace, "ky", start, stop), acquired=acquired[start:stop], lines=(start, stop))
