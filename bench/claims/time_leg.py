"""The time leg of a claim: the reduction of scan seconds, with the range of what their model assumes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..quantity import Quantity
from ..rows import Row
from .pairing import ArmRows
from .types import ClaimSpec, TimeResult


def time_leg(claim: ClaimSpec, reference: ArmRows, candidate: ArmRows) -> TimeResult:
    """The reduction with its range over the timing assumptions; seconds have no spread over patients."""
    ours, theirs = reference.volumes(reference.seeds[0]), candidate.volumes(candidate.seeds[0])
    pairs = [(ours[key], theirs[key]) for key in sorted(ours)]
    contrasts = {row.contrast or "" for _, row in pairs}
    by_contrast = {
        contrast: _reduction(claim, [one for one in pairs if (one[1].contrast or "") == contrast]) for contrast in contrasts
    }
    found = _reduction(claim, pairs)
    return TimeResult(
        reference_s=_mean([_baseline(claim, *one) for one in pairs]),
        candidate_s=_mean([row.scan_s for _, row in pairs]),
        reduction=found,
        target=claim.time_target,
        baseline=claim.time_baseline,
        by_contrast={contrast: quantity.value or 0.0 for contrast, quantity in sorted(by_contrast.items())},
    )


def _baseline(claim: ClaimSpec, reference: Row, candidate: Row) -> float:
    return {"reference": reference.scan_s, "full": candidate.full_s, "clinical": candidate.clinical_s}[claim.time_baseline]


def _reduction(claim: ClaimSpec, pairs: Sequence[tuple[Row, Row]]) -> Quantity:
    if claim.time_baseline == "reference":
        ends = [
            1 - _mean([getattr(theirs, end) for _, theirs in pairs]) / _mean([getattr(ours, end) for ours, _ in pairs])
            for end in ("scan_s", "scan_low_s", "scan_high_s")
        ]
        return Quantity(value=ends[0], unit="1", method="modelled", low=min(ends), high=max(ends))
    name = f"reduction_{claim.time_baseline}"
    value, low, high = (_mean([getattr(row, f"{name}{end}") for _, row in pairs]) for end in ("", "_low", "_high"))
    return Quantity(value=value, unit="1", method="modelled", low=low, high=high)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
