"""Random lines, denser towards the centre of k-space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..acquisition import BoolArray
from ..errors import HalfscanError
from .pattern import LineSampling, outer_share


@dataclass(frozen=True, kw_only=True)
class VariableDensity(LineSampling):
    """Exactly n/R lines, the ACS included; those outside it are drawn with a probability ∝ (1 − |k|/k_max)^power.

    Source: Lustig et al., Magn Reson Med 58:1182 (2007). Deviation: a fixed number of lines, drawn without replacement.

    Raises:
        HalfscanError: a negative power.
    """

    power: float = 2.0
    """0 is uniform density; larger is denser at the centre."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.power <= 50:
            raise HalfscanError(f"sampling.power={self.power} must lie between 0 and 50")

    def lines(self, n: int, acs_lines: int, rng: np.random.RandomState) -> BoolArray:
        if acs_lines == n:
            return np.ones(n, dtype=bool)
        count = round(outer_share(n, acs_lines, self.acceleration))
        distance = np.abs(np.arange(n) - n // 2) / (n // 2 + 1)
        outer = np.ones(n, dtype=bool)
        start = (n - acs_lines + 1) // 2
        outer[start : start + acs_lines] = False
        weights = np.where(outer, (1 - distance) ** self.power, 0.0)
        kept = np.zeros(n, dtype=bool)
        kept[rng.choice(n, size=count, replace=False, p=weights / weights.sum())] = True
        return kept
