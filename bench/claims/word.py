"""From the legs of a claim to its word: what the numbers alone say, and the cap that may lie on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..errors import HalfscanError
from .seeds import SEEDS_NEEDED
from .types import PATIENTS_NEEDED, Cap, ClaimSpec, EndpointResult, Evidence, TimeResult, Verdict, VerdictWord


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


def conclude(claim: ClaimSpec, verdict: Verdict, p_holm: float | None, registration: Registration) -> Verdict:
    """The verdict with its word, its cap, and the reasons for both."""
    word, reasons = uncapped(claim, verdict, p_holm)
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
            f"exploratory: {registration.known_before} cells had been reconstructed or measured before the sweep was started "
            "with this claim, so it was not stated in ignorance of them"
        )
    if verdict.evidence == Evidence.SIMULATED:
        return "demonstration", [*why, "demonstration: k-space that no scanner measured as it is supports no claim"]
    return ("exploratory" if why else "none"), why


def uncapped(claim: ClaimSpec, verdict: Verdict, p_holm: float | None) -> tuple[VerdictWord, list[str]]:
    """The verdict that the numbers alone give, and why."""
    if claim.untestable is not None:
        return "not_testable", [claim.untestable]
    null = [f"{one.metric}: {one.effect.reason}" for one in verdict.endpoints if one.result == "not_testable"]
    failed = [_said(one, claim.alpha) for one in verdict.endpoints if one.result in ("inferior", "not_met")]
    open_ends = [_said(one, claim.alpha) for one in verdict.endpoints if one.result == "inconclusive"]
    open_ends += [_tail_said(one) for one in verdict.endpoints if one.tail is not None and one.tail["passed"] is False]
    if verdict.time is not None and verdict.time.target is not None:
        said = _time_said(verdict.time)
        {"not_testable": null, "not_met": failed, "inconclusive": open_ends}.get(verdict.time.result, []).append(said)
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


def _said(one: EndpointResult, alpha: float) -> str:
    effect = one.effect
    if one.result == "inconclusive" and effect.low is not None and effect.low > one.threshold:
        # The interval is a 95 % one throughout; a claim among several is tested at less.
        chance = f"p = {one.p_threshold:.3g} of lying at or below {one.threshold:.4g}"
        return f"{one.metric}: {chance}, above this claim's α of {alpha:.3g}"
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
    value = time.reduction.value
    if value is None:
        return f"scan time: {time.reduction.reason}"
    return f"scan time: {value:.1%} shorter than {time.baseline} (range {low:.1%} to {high:.1%}), and {target:.1%} is claimed"


def _ladder_word(verdict: Verdict) -> tuple[VerdictWord, list[str]]:
    first, last = verdict.ladder[0], verdict.ladder[-1]
    if first.result != "supported":
        return first.result, list(first.reasons)
    beyond = [] if last.result == "supported" else [f"R={last.acceleration:g}: {reason}" for reason in last.reasons]
    if verdict.largest_reduction is None or verdict.largest_reduction.value is None:
        return "inconclusive", ["quality holds only where the scan is no shorter than the reference's", *beyond]
    return "supported", beyond
