"""Every R-th line, as scanners do parallel imaging: fastMRI's `EquiSpacedMaskFunc`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..acquisition import BoolArray
from ..errors import HalfscanError
from .pattern import LineSampling


@dataclass(frozen=True, kw_only=True)
class Equispaced(LineSampling):
    """Every R-th line from a random offset; with integrated ACS the achieved acceleration is below R.

    Source: same definition and draws as `fastmri.data.subsample.EquiSpacedMaskFunc`.

    Raises:
        HalfscanError: an acceleration that is not a whole number.
    """

    def lines(self, n: int, acs_lines: int, rng: np.random.RandomState) -> BoolArray:
        step = round(self.acceleration)
        if step != self.acceleration:
            raise HalfscanError(
                f"sampling.acceleration={self.acceleration:g}: equispaced lines need a whole number; "
                "use sampling=equispaced_fraction"
            )
        kept = np.zeros(n, dtype=bool)
        kept[rng.randint(0, step) :: step] = True
        return kept
