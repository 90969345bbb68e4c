"""What MLflow's own table shows of a cell: its settings as parameters, its means and intervals as metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from .claims.aggregate import patient_means, summarise
from .rows import Row

_COLUMNS = (
    "acceleration",
    "scan_s",
    "full_s",
    "clinical_s",
    "reduction_full",
    "reduction_clinical",
    "recon_s_per_slice",
)
_ENERGY = ("energy_j", "energy_net_j", "flops")


def parameters(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings → dotted names."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat |= parameters(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def metrics(rows: Sequence[Row]) -> dict[str, float]:
    """Means over patients, with the 95 % intervals of the scores, and what the cell takes. What is null is left out.

    MLflow allows no @ in a metric's name; a slash makes its pages group metrics, here by profile.
    """
    found: dict[str, float] = {}
    for column in (*_COLUMNS, *_ENERGY):
        if any(getattr(row, column) is None for row in rows):
            continue
        means = patient_means((row.patient, getattr(row, column)) for row in rows)
        found[f"{'energy' if column in _ENERGY else 'scan'}/{column}"] = sum(means.values()) / len(means)
    if "energy/energy_j" in found:
        each = patient_means((row.patient, (row.energy_j or 0.0) / row.slices) for row in rows)
        found["energy/j_per_slice"] = sum(each.values()) / len(each)
    if "scan/scan_s" in found:
        found["scan/minutes"] = found["scan/scan_s"] / 60
    for name in rows[0].metrics:
        metric, _, profile = name.partition("@")
        values = [(row.patient, row.metrics[name]) for row in rows]
        if any(value is None or not math.isfinite(value) for _, value in values):
            continue
        mean = summarise(values, "1")
        ends = {metric: mean.value, f"{metric}_low": mean.low, f"{metric}_high": mean.high}
        found |= {f"{profile}/{key}": value for key, value in ends.items() if value is not None}
    return found
