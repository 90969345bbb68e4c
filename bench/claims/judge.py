"""A claim and the rows of a sweep → a verdict.

Supported: the time leg, every endpoint and every required tail hold. Refuted: an endpoint lies below its threshold with its whole
interval, or the reduction with its whole range. Not testable: something that is required is null. Otherwise inconclusive. And
nothing is supported that was not registered before its sweep, or that rests on k-space which no scanner measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..errors import HalfscanError
from ..quantity import Quantity
from ..rows import Row
from .paired import RESAMPLES
from .pairing import ArmRows, check_arms, choose_arm
from .quality_leg import quality_leg
from .several import climb, holm, union
from .time_leg import time_leg
from .types import ClaimSpec, Step, Verdict
from .word import Registration, conclude, uncapped


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
        conclude(claim, _with_holm(verdict, adjusted.get(index)), adjusted.get(index), registration)
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
        time=time_leg(claim, reference, candidate),
        endpoints=quality_leg(claim, reference, candidate, resamples),
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
    return f"{row.model}, {row.scan_in_words}" + ("" if row.sampling is None else f", protocol {row.protocol}")


def _truth(row: Row) -> str:
    if row.truth_source is None:
        return "none: its scores need no truth"
    return f"{row.truth_source}{', sharing its noise with the sampled lines' if row.truth_shares_noise else ''}"


def _weakest(verdict: Verdict) -> float | None:
    """p of the whole claim: all endpoints are required, so the weakest decides."""
    p_values = [one.p_threshold for one in verdict.endpoints if one.p_threshold is not None]
    return union(p_values) if p_values else None


def _with_holm(verdict: Verdict, p_value: float | None) -> Verdict:
    return replace(verdict, endpoints=tuple(replace(one, p_holm=p_value) for one in verdict.endpoints))


def _judge_ladder(claim: ClaimSpec, rows: Sequence[Row], verdict: Verdict, resamples: int) -> Verdict:
    """Fixed-sequence testing from the smallest acceleration up, stopping at the first failure."""
    steps, judged = [], []
    for acceleration in sorted(claim.ladder):
        step = at_step(claim, acceleration)
        one = _judge_one(step, rows, Registration(hashes={}, started=""), verdict.run_ids, resamples)
        word, reasons = uncapped(step, one, None)
        judged.append(one)
        assert one.time is not None
        assert one.time.candidate_s is not None, "rows that name an acceleration have modelled seconds"
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
    return replace(
        judged[max(reached - 1, 0)],
        claim_sha256=verdict.claim_sha256,
        registered_at=verdict.registered_at,
        ladder=tuple(steps),
        largest_reduction=_largest(steps, reached),
    )


def _largest(steps: Sequence[Step], reached: int) -> Quantity:
    """The reduction at the last step that holds; a scan that is no shorter than the reference's is none."""
    if not reached:
        return Quantity.unmeasured("1", "; ".join(steps[0].reasons) or "the first step is not supported")
    found = steps[reached - 1].reduction
    if found.value is None or found.value <= 0:
        return Quantity.unmeasured("1", "the last step that holds is no shorter than the reference's scan")
    return found


def at_step(claim: ClaimSpec, acceleration: float) -> ClaimSpec:
    """A ladder's claim at one acceleration."""
    return replace(claim, ladder=(), candidate={**claim.candidate, "nominal_acceleration": acceleration})


def shown_step(claim: ClaimSpec, verdict: Verdict) -> ClaimSpec:
    """The claim whose endpoints a verdict shows: of a ladder its last step that holds, else its first."""
    if not verdict.ladder:
        return claim
    reached = climb([step.result == "supported" for step in verdict.ladder])
    return at_step(claim, verdict.ladder[max(reached - 1, 0)].acceleration)
