"""Patients on whom a candidate fails badly: how many may there be, given how many were seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True)
class Tail:
    """Single patients against a margin of their own, wider than the mean's."""

    metric: str
    margin: float
    failed: int
    """Patients with d < −margin."""
    patients: int
    lower_bound: float
    """One-sided exact (Clopper-Pearson) bound on the share of patients that do not fail."""
    required: float | None
    """Share that the bound must reach; None: reported, not gating."""

    @property
    def passed(self) -> bool | None:
        return None if self.required is None else self.lower_bound >= self.required


def tail(
    metric: str, differences: npt.NDArray[np.floating], margin: float, required: float | None = None, alpha: float = 0.025
) -> Tail:
    """Counts the patients beyond a margin, and bounds their share.

    Args:
        differences: one a patient, higher is better.
        margin: above 0, on the differences' scale.
        required: share of patients that must not fail, at confidence 1 − alpha.
    """
    failed = int((differences < -margin).sum())
    return Tail(
        metric=metric,
        margin=margin,
        failed=failed,
        patients=differences.size,
        lower_bound=lower_share(differences.size - failed, differences.size, alpha),
        required=required,
    )


def lower_share(successes: int, patients: int, alpha: float = 0.025) -> float:
    """Exact one-sided lower bound on a share."""
    from scipy import stats

    if successes == 0:
        return 0.0
    return float(stats.beta.ppf(alpha, successes, patients - successes + 1))


def allowed_failures(patients: int, required: float, alpha: float = 0.025) -> int:
    """The most failing patients at which the bound still reaches `required`; −1 where even none is too few patients."""
    allowed = -1
    while allowed + 1 < patients and lower_share(patients - allowed - 1, patients, alpha) >= required:
        allowed += 1
    return allowed
