"""Lines kept independently at random: fastMRI's `RandomMaskFunc`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..acquisition import BoolArray
from .pattern import LineSampling, outer_share


@dataclass(frozen=True, kw_only=True)
class Random(LineSampling):
    """Each line outside the centre is kept with the probability that makes n/R lines in all expected.

    Source: Zbontar et al., fastMRI, arXiv:1811.08839; same definition and draws as `fastmri.data.subsample.RandomMaskFunc`.
    """

    def lines(self, n: int, acs_lines: int, rng: np.random.RandomState) -> BoolArray:
        if acs_lines == n:
            return np.ones(n, dtype=bool)
        probability = outer_share(n, acs_lines, self.acceleration) / (n - acs_lines)
        return np.asarray(rng.uniform(size=n) < probability)
