"""From volumes to patients to a mean with its confidence interval. Slices and volumes are never samples: patients are."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

from ..quantity import Quantity


def patient_means(values: Iterable[tuple[str, float]]) -> dict[str, float]:
    """(patient, value of one volume) pairs → one mean a patient, in a fixed order."""
    grouped: defaultdict[str, list[float]] = defaultdict(list)
    for patient, value in values:
        grouped[patient].append(value)
    return {patient: math.fsum(grouped[patient]) / len(grouped[patient]) for patient in sorted(grouped)}


def mean_interval(patients: Sequence[float], unit: str, level: float = 0.95) -> Quantity:
    """Mean over patients with Student's t interval.

    Returns:
        The mean; with one patient its interval is None and says so; without any the value is None.
    """
    n = len(patients)
    if n == 0:
        return Quantity.unmeasured(unit, "no patient has a value")
    mean = math.fsum(patients) / n
    if n == 1:
        return Quantity(value=mean, unit=unit, method="measured", reason="one patient: no confidence interval")
    from scipy import stats

    variance = math.fsum((value - mean) ** 2 for value in patients) / (n - 1)
    half = float(stats.t.ppf(0.5 + level / 2, n - 1)) * math.sqrt(variance / n)
    return Quantity(value=mean, unit=unit, method="measured", low=mean - half, high=mean + half)


def summarise(values: Sequence[tuple[str, float | None]], unit: str, reason: str | None = None) -> Quantity:
    """Mean and interval of one metric over the patients of a cell.

    Args:
        values: (patient, value or None) a volume.
        unit: of the values.
        reason: why one is missing. One missing value makes the mean None: a mean over the cases that happened to work
            is not the mean.
    """
    missing = [patient for patient, value in values if value is None]
    if missing:
        why = f"{len(missing)} of {len(values)} volumes have no value: {reason or 'no reason recorded'}"
        return Quantity.unmeasured(unit, why)
    per_patient = patient_means((patient, value) for patient, value in values if value is not None)
    return mean_interval(list(per_patient.values()), unit)
