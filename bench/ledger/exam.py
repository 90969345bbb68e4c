"""What a cell's rows say of one exam: seconds saved, and what reconstruction and training took."""

from __future__ import annotations

from collections.abc import Sequence

from ..energy.record import worst
from ..quantity import Quantity
from ..rows import CellRows
from .ledger import Exam


def exam_of(rows: CellRows, against: str) -> Exam:
    """What a cell's scans change in an exam, in the mean of its volumes."""
    return Exam(
        seconds_saved=_saved(rows, against),
        reconstruction=_mean(rows, "energy_j", "energy_low_j", "energy_high_j"),
        baseline=Quantity.unmeasured("J", "not stated"),
        training=_mean(rows, "training_j"),
    )


def _saved(rows: CellRows, against: str) -> Quantity:
    """Seconds of the reference less those of the candidate; the range is that of the reduction."""
    reference = rows.values(f"{against}_s")
    ends = [rows.values(f"reduction_{against}{end}") for end in ("", "_low", "_high")]
    if any(None in values for values in (reference, *ends)):
        reason = next(
            (said[f"{against}_s"] for said in rows.texts("reasons") if f"{against}_s" in said),
            "nobody knows the reference's seconds",
        )
        return Quantity.unmeasured("s", reason)
    value, low, high = (sum(share * whole for share, whole in zip(end, reference, strict=True)) / len(rows) for end in ends)
    return Quantity(value=value, unit="s", method="modelled", low=min(low, high, value), high=max(low, high, value))


def _mean(rows: CellRows, column: str, *ends: str) -> Quantity:
    values = rows.values(column)
    if None in values:
        reasons = [said[column] for said in rows.texts("reasons") if column in said]
        return Quantity.unmeasured("J", next(iter(reasons), "no reason recorded"))
    part = "training" if column == "training_j" else "total"
    # Rows of before said nothing of how a training was counted: nobody's word but a counter's was taken for it.
    method = worst(said.get(part, {}).get("method", "measured_counter") for said in rows.texts("energy"))
    low, high = (_known_mean(rows.values(end)) for end in ends) if ends else (None, None)
    return Quantity(
        value=sum(values) / len(values), unit="J", method=method, low=low, high=high, reason="the mean of all volumes"
    )


def _known_mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None
