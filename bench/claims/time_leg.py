"""The time leg of a claim: the reduction of scan seconds, with the range of what their model assumes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..quantity import Quantity
from ..rows import Row
from .pairing import ArmRows
from .types import ClaimSpec, Evidence, TimeResult


def time_leg(claim: ClaimSpec, reference: ArmRows, candidate: ArmRows) -> TimeResult:
    """The reduction with its range over the timing assumptions; of recorded seconds over all pairs and their rounding. Without
    seconds of every volume there is none."""
    ours, theirs = reference.volumes(reference.seeds[0]), candidate.volumes(candidate.seeds[0])
    pairs = [(ours[key], theirs[key]) for key in sorted(ours)]
    contrasts = {row.contrast or "" for _, row in pairs}
    by_contrast = {
        contrast: _reduction(claim, [one for one in pairs if (one[1].contrast or "") == contrast]) for contrast in contrasts
    }
    return TimeResult(
        reference_s=_mean([_baseline(claim, *one) for one in pairs]),
        candidate_s=_mean([row.scan_s for _, row in pairs]),
        reduction=_reduction(claim, pairs),
        target=claim.time_target,
        baseline=claim.time_baseline,
        by_contrast={
            contrast: quantity.value for contrast, quantity in sorted(by_contrast.items()) if quantity.value is not None
        },
    )


def _baseline(claim: ClaimSpec, reference: Row, candidate: Row) -> float | None:
    return {"reference": reference.scan_s, "full": candidate.full_s, "clinical": candidate.clinical_s}[claim.time_baseline]


def _reduction(claim: ClaimSpec, pairs: Sequence[tuple[Row, Row]]) -> Quantity:
    recorded = pairs[0][0].evidence == Evidence.PROSPECTIVE
    method = "measured" if recorded else "modelled"
    if claim.time_baseline != "reference":
        name = f"reduction_{claim.time_baseline}"
        value, low, high = (_mean([getattr(row, f"{name}{end}") for _, row in pairs]) for end in ("", "_low", "_high"))
        if value is None:
            return Quantity.unmeasured("1", f"no scan of the {claim.time_baseline} baseline: claim against the reference")
        return Quantity(value=value, unit="1", method=method, low=low, high=high)
    if missing := sum(None in (ours.scan_s, theirs.scan_s) for ours, theirs in pairs):
        why = next((row.reasons["scan_s"] for pair in pairs for row in pair if "scan_s" in row.reasons), "not recorded")
        return Quantity.unmeasured("1", f"{missing} of {len(pairs)} pairs lack seconds: {why}")

    if recorded:
        # Each is rounded by itself, and where one patient had no shorter scan the claim does not hold of all.
        each = [
            1 - getattr(theirs, two) / getattr(ours, one)
            for ours, theirs in pairs
            for one, two in (("scan_low_s", "scan_high_s"), ("scan_high_s", "scan_low_s"))
        ]
        return Quantity(value=_shorter(pairs, "scan_s"), unit="1", method=method, low=min(each), high=max(each))
    # What a model assumes holds of both arms at once.
    found = [_shorter(pairs, end) for end in ("scan_s", "scan_low_s", "scan_high_s")]
    return Quantity(value=found[0], unit="1", method=method, low=min(found), high=max(found))


def _shorter(pairs: Sequence[tuple[Row, Row]], column: str) -> float:
    """Of all seconds together."""
    ours, theirs = (math.fsum(getattr(pair[arm], column) for pair in pairs) for arm in range(2))
    return 1 - theirs / ours


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if len(known) == len(values) else None
