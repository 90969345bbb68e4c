"""Evenly spread lines that reach R with the centre counted in: fastMRI's `EquispacedMaskFractionFunc`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..acquisition import BoolArray
from .pattern import LineSampling, outer_share


@dataclass(frozen=True, kw_only=True)
class EquispacedFraction(LineSampling):
    """Lines at a (fractional, rounded) spacing that makes n/R in all, the ACS included.

    Source: same definition and draws as `fastmri.data.subsample.EquispacedMaskFractionFunc`, whose rounded spacing is
    not truly even (fastMRI issue 54).
    """

    def lines(self, n: int, acs_lines: int, rng: np.random.RandomState) -> BoolArray:
        if acs_lines == n:
            return np.ones(n, dtype=bool)
        outer_share(n, acs_lines, self.acceleration)  # refuses what can't be achieved
        # fastMRI's own expression: algebraically (n - acs) / (n/R - acs), but rounding must agree to the last bit.
        spacing = (self.acceleration * (acs_lines - n)) / (acs_lines * self.acceleration - n)
        offset = rng.randint(0, round(spacing))
        kept = np.zeros(n, dtype=bool)
        kept[np.around(np.arange(offset, n - 1, spacing)).astype(int)] = True
        return kept
