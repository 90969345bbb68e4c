"""Several trainings of one method: patients and training seeds are both random, and both widen the interval.

A mean over patients and seeds, judged as if the seeds were one network, says how these weights do, not how the method does.
Source: two-way crossed random effects (Scheffé, The Analysis of Variance, 1959, chapter 4), degrees of freedom of Satterthwaite
(Biometrics 2:110, 1946).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

SEEDS_NEEDED = 5


def crossed_error(values: npt.NDArray[np.floating]) -> tuple[float, float]:
    """Standard error of the grand mean over crossed patients and seeds, with its degrees of freedom.

    var = (MS_patient + max(MS_seed − MS_e, 0)) / (patients · seeds).

    Args:
        values: (patients, seeds), at least two of each.
    """
    patients, seeds = values.shape
    grand = values.mean()
    of_patients, of_seeds = values.mean(axis=1), values.mean(axis=0)
    left = values - of_patients[:, None] - of_seeds[None, :] + grand
    free = (patients - 1, seeds - 1, (patients - 1) * (seeds - 1))
    squares = (
        seeds * float(((of_patients - grand) ** 2).sum()) / free[0],
        patients * float(((of_seeds - grand) ** 2).sum()) / free[1],
        float((left**2).sum()) / free[2],
    )
    if squares[1] <= squares[2]:
        total, spread = squares[0], squares[0] ** 2 / free[0]
    else:
        total = squares[0] + squares[1] - squares[2]
        spread = sum(square**2 / freedom for square, freedom in zip(squares, free, strict=True))
    if total <= 0 or spread == 0:
        return 0.0, float(patients - 1)
    return math.sqrt(total / (patients * seeds)), total**2 / spread
