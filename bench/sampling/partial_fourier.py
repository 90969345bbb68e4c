"""Partial Fourier: one side of k-space is left out, the rest sampled every R-th line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..acquisition import BoolArray
from ..errors import HalfscanError
from .equispaced import Equispaced


@dataclass(frozen=True, kw_only=True)
class PartialFourier(Equispaced):
    """The first `fraction` of the lines, at every R-th line outside the centre; which side is left out is fixed.

    Raises:
        HalfscanError: a fraction that does not reach over the centre of k-space.
    """

    fraction: float = 0.75
    """Of the lines along ky, such as 6/8."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.5 < self.fraction <= 1:
            raise HalfscanError(f"sampling.fraction={self.fraction} must be above 0.5 and at most 1")

    @property
    def nominal(self) -> float:
        return float(self.acceleration / self.fraction)

    def lines(self, n: int, acs_lines: int, rng: np.random.RandomState) -> BoolArray:
        reach = round(n * self.fraction)
        if (n - acs_lines + 1) // 2 + acs_lines > reach:
            raise HalfscanError(
                f"sampling.fraction={self.fraction:g} keeps {reach} of {n} lines, which cut through the {acs_lines} ACS lines: "
                "raise the fraction or lower sampling.acs_lines"
            )
        return super().lines(n, acs_lines, rng) & (np.arange(n) < reach)
