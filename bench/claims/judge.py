"""A claim and the rows of a sweep → a verdict.

Supported: the time leg, every endpoint and every required tail hold. Refuted: an endpoint lies below its threshold with its whole
interval, or the reduction with its whole range. Not testable: something that is required is null. Otherwise inconclusive. And
nothing is supported that was not registered before its sweep, or that rests on k-space which no scanner measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from ..errors import HalfscanError
from ..quantity import Quantity
from ..rows import Row
from .paired import RESAMPLES, Effect, effects
from .pairing import ArmRows, Paired, check_arms, choose_arm, pair
from .power import power_t
from .seeds import SEEDS_NEEDED, crossed_error
from .several import climb, holm, union
from .tail import tail
from .types import (
    PATIENTS_NEEDED,
    Cap,
    ClaimSpec,
    Endpoint,
    EndpointResult,
    Evidence,
    Result,
    Step,
    TimeResult,
    Verdict,
    VerdictWord,
)


@dataclass(frozen=True, kw_only=True)
class Registration:
    """What the sweep's manifest knows of claims."""

    hashes: Mapping[str, str]
    """Claim id → SHA-256, as of the sweep's start."""
    started: str
    """UTC, ISO 8601."""
    known_before: int = 0
    """Cells of the sweep that had been reconstructed before it was started."""

    def of(self, claim: ClaimSpec) -> str | None:
        """When the claim was registered; None: it was not.

        Raises:
            HalfscanError: it was, and then changed.
        """
        known = self.hashes.get(claim.claim_id)
        if known is None:
            return None
        if known != claim.sha256:
            raise HalfscanError(
                f"claim {claim.claim_id} is not the one that this sweep was started with ({claim.sha256[:12]}, registered "
                f"{known[:12]}): a margin or another statement changed since; judge it on a new sweep, or under a new id"
            )
        return self.started


def judge(
    claims: Sequence[ClaimSpec],
    rows: Sequence[Row],
    registration: Registration,
    *,
    run_ids: Sequence[str] = (),
    resamples: int = RESAMPLES,
    others: int = 0,
) -> list[Verdict]:
    """Judges claims together: with several, each must hold after Holm's adjustment.

    Args:
        others: claims of the same sweep that are not judged now and share α all the same.

    Raises:
        HalfscanError: arms that can't be compared, NaN scores, or a claim that changed after it was registered.
    """
    together = sum(claim.untestable is None for claim in claims) + others
    single = [_judge_one(claim, rows, registration, tuple(run_ids), resamples, together) for claim in claims]
    p_values = [_weakest(verdict) for verdict in single]
    tested = [index for index, p_value in enumerate(p_values) if p_value is not None and not claims[index].ladder]
    # Ladders have spent their share already, whether they hold or not: they hand nothing on.
    others += sum(bool(claim.ladder) for claim in claims)
    family = [*(p_values[index] or 0.0 for index in tested), *[1.0] * others]
    adjusted = dict(zip(tested, holm(family), strict=False))
    for index, claim in enumerate(claims):
        if claim.ladder and (p_value := p_values[index]) is not None:
            adjusted[index] = min(1.0, together * p_value)
    return [
        _conclude(claim, _with_holm(verdict, adjusted.get(index)), adjusted.get(index), registration)
        for index, (claim, verdict) in enumerate(zip(claims, single, strict=True))
    ]


def _judge_one(
    claim: ClaimSpec,
    rows: Sequence[Row],
    registration: Registration,
    run_ids: tuple[str, ...],
    resamples: int,
    together: int = 1,
) -> Verdict:
    """All parts of a verdict but its word."""
    open_verdict = Verdict(
        claim_id=claim.claim_id,
        claim_text=claim.statement,
        claim_source=claim.source,
        claim_sha256=claim.sha256,
        registered_at=registration.of(claim),
        scope=claim.scope,
        run_ids=run_ids,
    )
    if claim.untestable is not None:
        return open_verdict
    if claim.ladder:
        # A ladder has no single p-value for Holm: it takes its even share of α.
        return _judge_ladder(replace(claim, alpha=claim.alpha / together), rows, open_verdict, resamples)
    reference, candidate = (choose_arm(rows, name, getattr(claim, name)) for name in ("reference", "candidate"))
    check_arms(reference, candidate)
    _check_seeds(claim, reference, candidate)
    return replace(
        open_verdict,
        evidence=candidate.first.evidence,
        reference_protocol=_describe(reference),
        candidate_protocol=_describe(candidate),
        ground_truth=_truth(candidate.first),
        time=_time_leg(claim, reference, candidate),
        endpoints=_endpoints(claim, reference, candidate, resamples),
        patients=len({row.patient for row in candidate.rows}),
        seeds=len(candidate.seeds),
        caveats=tuple(sorted({row.caveat for arm in (reference, candidate) for row in arm.rows if row.caveat})),
    )


def _check_seeds(claim: ClaimSpec, reference: ArmRows, candidate: ArmRows) -> None:
    for arm in (reference, candidate):
        if claim.scope == "checkpoint" and len(arm.seeds) > 1:
            raise HalfscanError(
                f"claim {claim.claim_id}: one checkpoint is its scope; the {arm.name} arm has {len(arm.seeds)} training seeds: "
                f"name one ({arm.name}.train_seed), or claim scope=method"
            )


def _describe(arm: ArmRows) -> str:
    row = arm.first
    return (
        f"{row.model}, {row.sampling} R={row.nominal_acceleration:g} (achieved {row.acceleration:.2f}), protocol {row.protocol}"
    )


def _truth(row: Row) -> str:
    return f"{row.truth_source}{', sharing its noise with the sampled lines' if row.truth_shares_noise else ''}"


# Time ----------------------------------------------------------------------------------------------------------------


def _time_leg(claim: ClaimSpec, reference: ArmRows, candidate: ArmRows) -> TimeResult:
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


# Quality -------------------------------------------------------------------------------------------------------------


def _endpoints(claim: ClaimSpec, reference: ArmRows, candidate: ArmRows, resamples: int) -> tuple[EndpointResult, ...]:
    paired = {endpoint.metric: pair(reference, candidate, endpoint) for endpoint in claim.endpoints}
    tested = [endpoint for endpoint in claim.endpoints if isinstance(paired[endpoint.metric], Paired)]
    judged = dict(zip((endpoint.metric for endpoint in tested), _effects(claim, tested, paired, resamples), strict=True))
    results = []
    for endpoint in claim.endpoints:
        values = paired[endpoint.metric]
        if isinstance(values, str):
            results.append(_unmeasured(endpoint, values))
        elif len(values.patients) < 2:
            results.append(_unmeasured(endpoint, "one patient: no confidence interval"))
        else:
            results.append(_result(claim, endpoint, values, judged[endpoint.metric]))
    return tuple(results)


def _effects(claim: ClaimSpec, endpoints: Sequence[Endpoint], paired: Mapping[str, Paired | str], resamples: int) -> list[Effect]:
    """All endpoints' effects over the same resampled patients."""
    values = [one for endpoint in endpoints if isinstance(one := paired[endpoint.metric], Paired)]
    if not values or len(values[0].patients) < 2:
        return [_NO_EFFECT] * len(values)
    errors = None
    if claim.scope == "method" and values[0].values.shape[1] > 1:
        errors = [crossed_error(one.values) for one in values]
    return effects(
        np.stack([one.by_patient for one in values], axis=1),
        [-endpoint.threshold for endpoint in endpoints],
        resamples=resamples,
        standard_errors=errors,
    )


_NO_EFFECT = Effect(
    patients=0,
    mean=0.0,
    standard_error=0.0,
    t_interval=(0.0, 0.0),
    bootstrap_interval=(0.0, 0.0),
    p_noninferior=1.0,
    p_superior=1.0,
)


def _unmeasured(endpoint: Endpoint, reason: str) -> EndpointResult:
    return EndpointResult(
        metric=endpoint.metric,
        scale=endpoint.scale,
        effect=Quantity.unmeasured("1", reason),
        threshold=endpoint.threshold,
        margin=endpoint.margin,
        at_least=endpoint.at_least,
        margin_rationale=endpoint.margin_rationale,
        result="not_testable",
    )


def _result(claim: ClaimSpec, endpoint: Endpoint, paired: Paired, effect: Effect) -> EndpointResult:
    low, high = effect.interval
    found = None
    if endpoint.tail_threshold is not None:
        found = tail(endpoint.metric, paired.by_patient, endpoint.tail_threshold, endpoint.tail_required, claim.alpha)
    spread = effect.standard_error * math.sqrt(effect.patients)
    return EndpointResult(
        metric=endpoint.metric,
        scale=endpoint.scale,
        effect=Quantity(value=effect.mean, unit="1", method="measured", low=low, high=high),
        threshold=endpoint.threshold,
        margin=endpoint.margin,
        at_least=endpoint.at_least,
        margin_rationale=endpoint.margin_rationale,
        result=_word(claim, endpoint, effect),
        p_threshold=effect.p_noninferior,
        p_superior=effect.p_superior,
        equivalent=None if endpoint.margin is None else low > endpoint.threshold and high < -endpoint.threshold,
        t_interval=effect.t_interval,
        bootstrap_interval=effect.bootstrap_interval,
        patients=effect.patients,
        volumes=paired.volumes,
        seeds=paired.values.shape[1],
        power=None if endpoint.margin is None else power_t(-endpoint.threshold, spread, effect.patients, claim.alpha),
        tail=None if found is None else {**asdict(found), "passed": found.passed},
    )


def _word(claim: ClaimSpec, endpoint: Endpoint, effect: Effect) -> Result:
    low, high = effect.interval
    holds = low > endpoint.threshold and effect.p_noninferior <= claim.alpha
    if endpoint.at_least is not None:
        return "met" if holds else "not_met" if high < endpoint.threshold else "inconclusive"
    if holds:
        # Fixed sequence: superiority is looked at only after non-inferiority, and costs no α.
        return "superior" if low > 0 and effect.p_superior <= claim.alpha else "noninferior"
    return "inferior" if high < endpoint.threshold else "inconclusive"


# The word ------------------------------------------------------------------------------------------------------------


def _weakest(verdict: Verdict) -> float | None:
    """p of the whole claim: all endpoints are required, so the weakest decides."""
    p_values = [one.p_threshold for one in verdict.endpoints if one.p_threshold is not None]
    return union(p_values) if p_values else None


def _with_holm(verdict: Verdict, p_value: float | None) -> Verdict:
    return replace(verdict, endpoints=tuple(replace(one, p_holm=p_value) for one in verdict.endpoints))


def _conclude(claim: ClaimSpec, verdict: Verdict, p_holm: float | None, registration: Registration) -> Verdict:
    word, reasons = _uncapped(claim, verdict, p_holm)
    cap, why = _cap(verdict, registration)
    if claim.untestable is not None:
        return replace(verdict, verdict="not_testable", uncapped="not_testable", reasons=tuple(reasons))
    if cap != "none":
        reasons = [*reasons, *why]
    capped: VerdictWord = "inconclusive" if cap != "none" and word == "supported" else word
    return replace(verdict, verdict=capped, uncapped=word, cap=cap, reasons=tuple(reasons))


def _cap(verdict: Verdict, registration: Registration) -> tuple[Cap, list[str]]:
    why = []
    if verdict.registered_at is None:
        why.append("exploratory: the sweep was not started with this claim, so it can't support it")
    elif registration.known_before:
        why.append(
            f"exploratory: {registration.known_before} cells had been reconstructed before the sweep was started with this "
            "claim, so it was not stated in ignorance of them"
        )
    if verdict.evidence == Evidence.SIMULATED:
        return "demonstration", [*why, "demonstration: k-space that no scanner measured as it is supports no claim"]
    return ("exploratory" if why else "none"), why


def _uncapped(claim: ClaimSpec, verdict: Verdict, p_holm: float | None) -> tuple[VerdictWord, list[str]]:
    """The verdict that the numbers alone give, and why."""
    if claim.untestable is not None:
        return "not_testable", [claim.untestable]
    null = [f"{one.metric}: {one.effect.reason}" for one in verdict.endpoints if one.result == "not_testable"]
    failed = [_said(one) for one in verdict.endpoints if one.result in ("inferior", "not_met")]
    open_ends = [_said(one) for one in verdict.endpoints if one.result == "inconclusive"]
    open_ends += [_tail_said(one) for one in verdict.endpoints if one.tail is not None and one.tail["passed"] is False]
    if verdict.time is not None and verdict.time.target is not None:
        said = _time_said(verdict.time)
        failed += [said] if verdict.time.result == "not_met" else []
        open_ends += [said] if verdict.time.result == "inconclusive" else []
    if p_holm is not None and p_holm > claim.alpha and not failed and not open_ends:
        open_ends.append(f"p = {p_holm:.3g} after Holm's adjustment for the claims judged together, above {claim.alpha:g}")
    if claim.ladder:
        return _ladder_word(verdict)
    if verdict.patients < PATIENTS_NEEDED:
        few = f"{verdict.patients} patients: below {PATIENTS_NEEDED} nothing is concluded"
        return "inconclusive", [few, *failed, *null, *open_ends]
    if claim.scope == "method" and verdict.seeds < SEEDS_NEEDED:
        few = f"{verdict.seeds} training seeds: a claim on the method needs {SEEDS_NEEDED}"
        return "inconclusive", [few, *failed, *null, *open_ends]
    if failed:
        return "refuted", [*failed, *null]
    if null:
        return "not_testable", [*null, *open_ends]
    return ("inconclusive", open_ends) if open_ends else ("supported", [])


def _said(one: EndpointResult) -> str:
    effect = one.effect
    interval = f"{effect.value:.4g}, interval {effect.low:.4g} to {effect.high:.4g}"
    kind = "log ratio" if one.scale == "log_ratio" else "difference"
    bound = {
        "inferior": "lies wholly below",
        "not_met": "lies wholly below",
        "inconclusive": "does not lie above",
    }.get(one.result, "lies above")
    return f"{one.metric}: {kind} {interval} {bound} {one.threshold:.4g}"


def _tail_said(one: EndpointResult) -> str:
    found = one.tail or {}
    return (
        f"{one.metric}: {found['failed']} of {found['patients']} patients lie beyond {found['margin']:.4g}, so at least "
        f"{found['lower_bound']:.1%} do not, and {found['required']:.1%} are required"
    )


def _time_said(time: TimeResult) -> str:
    low, high, target = time.reduction.low, time.reduction.high, time.target or 0.0
    value = time.reduction.value or 0.0
    return f"scan time: {value:.1%} shorter than {time.baseline} (range {low:.1%} to {high:.1%}), and {target:.1%} is claimed"


# The largest supported reduction -------------------------------------------------------------------------------------


def _judge_ladder(claim: ClaimSpec, rows: Sequence[Row], verdict: Verdict, resamples: int) -> Verdict:
    """Fixed-sequence testing from the smallest acceleration up, stopping at the first failure."""
    steps, judged = [], []
    for acceleration in sorted(claim.ladder):
        step = replace(claim, ladder=(), candidate={**claim.candidate, "nominal_acceleration": acceleration})
        one = _judge_one(step, rows, Registration(hashes={}, started=""), verdict.run_ids, resamples)
        word, reasons = _uncapped(step, one, None)
        judged.append(one)
        assert one.time is not None
        steps.append(
            Step(
                acceleration=acceleration,
                reduction=one.time.reduction,
                seconds=one.time.candidate_s,
                result=word,
                reasons=tuple(reasons),
            )
        )
        if word != "supported":
            break
    reached = climb([step.result == "supported" for step in steps])
    shown = judged[max(reached - 1, 0)]
    return replace(
        shown,
        claim_sha256=verdict.claim_sha256,
        registered_at=verdict.registered_at,
        ladder=tuple(steps),
        largest_reduction=steps[reached - 1].reduction
        if reached
        else Quantity.unmeasured("1", "; ".join(steps[0].reasons) or "the first step is not supported"),
    )


def _ladder_word(verdict: Verdict) -> tuple[VerdictWord, list[str]]:
    first = verdict.ladder[0]
    if first.result == "supported":
        last = verdict.ladder[-1]
        return "supported", [] if last.result == "supported" else [
            f"R={last.acceleration:g}: {reason}" for reason in last.reasons
        ]
    return first.result, list(first.reasons)
