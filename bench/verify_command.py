"""What `halfscan verify` and `halfscan plan` do: judge claims over a sweep, and say how many patients they need."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .claims.pairing import check_arms, choose_arm, pair
from .claims.power import Gate, joint_power, patients_needed, power_t
from .claims.record import to_json
from .claims.types import PATIENTS_NEEDED, ClaimSpec
from .closing import refresh
from .configuration import build_claims, compose_run, to_plain
from .errors import HalfscanError
from .rows import Row
from .tracking import Store, tracking_uri
from .verdict_page import in_words
from .verify import verify_sweep


def run_verify(options: argparse.Namespace) -> int:
    """Judges claims over a sweep.

    Returns:
        0: they were judged, whatever the verdict.
    """
    overrides, sweep = _split(options.words)
    store = Store(tracking_uri(options.store), options.experiment)
    parent = store.parent_of(sweep)
    verdicts = verify_sweep(store, parent, _claims(overrides) if overrides else ())
    refresh(store, parent)
    if options.json:
        print(to_json(verdicts))
        return 0
    for index, verdict in enumerate(verdicts):
        print("\n" * bool(index) + "\n".join(in_words(verdict)))
    return 0


def run_plan(options: argparse.Namespace) -> int:
    """Says how many patients a claim needs for a power.

    Returns:
        0, or 1 where no number of patients reaches it.
    """
    overrides, sweep = _split(options.words)
    if not overrides:
        raise HalfscanError("plan needs a claim: halfscan plan claim=half_time --sd ssim@mvue=0.01 --sd psnr@mvue=0.8")
    if not 0 < options.power < 1 or not 0 <= options.correlation < 1:
        raise HalfscanError(
            f"--power {options.power} must lie between 0 and 1, --correlation {options.correlation} from 0 to below 1"
        )
    stated = dict(_stated(word) for word in options.sd)
    rows: Sequence[Row] = ()
    if sweep or not stated:
        store = Store(tracking_uri(options.store), options.experiment)
        rows = [row for found in store.read_sweep(store.parent_of(sweep))[1].values() for row in found.rows()]
    plans = [_plan(claim, rows, stated, options) for claim in _claims(overrides)]
    if options.json:
        print(json.dumps(plans, indent=2))
    else:
        for plan in plans:
            print("\n".join(_plan_in_words(plan)))
    return 0 if all(plan["patients"] is not None for plan in plans) else 1


def _split(words: Sequence[str]) -> tuple[list[str], str | None]:
    """Overrides, and the sweep that they are about."""
    overrides = [word for word in words if "=" in word]
    names = [word for word in words if "=" not in word]
    if len(names) > 1:
        raise HalfscanError(f"{' and '.join(names)}: name one sweep")
    return overrides, names[0] if names else None


def _claims(overrides: Sequence[str]) -> tuple[ClaimSpec, ...]:
    claims = build_claims(to_plain(compose_run(overrides, ["claims"]))["claims"])
    if not claims:
        raise HalfscanError(f"{' '.join(overrides)} names no claim: claim=half_time")
    return claims


def _stated(word: str) -> tuple[str, float]:
    metric, _, value = word.rpartition("=")
    try:
        spread = float(value)
    except ValueError:
        spread = math.nan
    if not metric or not math.isfinite(spread) or spread < 0:
        raise HalfscanError(
            f"--sd {word}: write METRIC@PROFILE=NUMBER, the standard deviation of the patients' paired differences"
        )
    return metric, spread


def _plan(claim: ClaimSpec, rows: Sequence[Row], stated: Mapping[str, float], options: argparse.Namespace) -> dict[str, Any]:
    if claim.untestable is not None:
        raise HalfscanError(f"claim {claim.claim_id} can't be tested: {claim.untestable}")
    gates = []
    sources = {}
    for endpoint in claim.endpoints:
        # Planned for a candidate that equals the reference, or does just half more than is claimed of it.
        effect = 0.0 if endpoint.at_least is None else 1.5 * endpoint.threshold
        spread, sources[endpoint.metric] = _spread(claim, endpoint.metric, rows, stated)
        gates.append(
            Gate(
                metric=endpoint.metric,
                distance=effect - endpoint.threshold,
                spread=spread,
                effect=effect,
                tail_margin=endpoint.tail_threshold,
                tail_required=endpoint.tail_required,
            )
        )
    found = patients_needed(gates, options.power, options.correlation, claim.alpha) if gates else PATIENTS_NEEDED
    needed = None if found is None else max(found, PATIENTS_NEEDED)
    return {
        "claim": claim.claim_id,
        "power": options.power,
        "correlation": options.correlation,
        "patients": needed,
        "endpoints": [
            {
                "metric": gate.metric,
                "sd": gate.spread,
                "sd_from": sources[gate.metric],
                "assumed_effect": gate.effect,
                "power_alone": None if not needed else power_t(gate.distance, gate.spread, needed, claim.alpha),
            }
            for gate in gates
        ],
        "joint_power": None if not needed or not gates else joint_power(gates, needed, options.correlation, claim.alpha),
    }


def _spread(claim: ClaimSpec, metric: str, rows: Sequence[Row], stated: Mapping[str, float]) -> tuple[float, str]:
    """Standard deviation of the patients' differences, stated or from a pilot sweep."""
    if metric in stated:
        return stated[metric], "stated"
    if not rows:
        raise HalfscanError(f"plan needs the spread of {metric}: --sd {metric}=NUMBER, or a pilot sweep")
    if claim.ladder:
        raise HalfscanError(f"claim {claim.claim_id} is a ladder: state its spreads (--sd {metric}=NUMBER)")
    reference, candidate = (choose_arm(rows, name, getattr(claim, name)) for name in ("reference", "candidate"))
    check_arms(reference, candidate)
    endpoint = next(one for one in claim.endpoints if one.metric == metric)
    found = pair(reference, candidate, endpoint)
    if isinstance(found, str):
        raise HalfscanError(f"plan needs the spread of {metric}: {found}; state it with --sd {metric}=NUMBER")
    if len(found.patients) < 2:
        raise HalfscanError(f"plan needs the spread of {metric}, and one patient has none: --sd {metric}=NUMBER")
    return float(np.std(found.by_patient, ddof=1)), f"{len(found.patients)} patients of the pilot"


def _plan_in_words(plan: Mapping[str, Any]) -> list[str]:
    lines = [f"Claim {plan['claim']}, joint power {plan['power']:.0%} at correlation {plan['correlation']:g} between endpoints:"]
    for one in plan["endpoints"]:
        alone = "" if one["power_alone"] is None else f", alone {one['power_alone']:.0%}"
        lines.append(
            f"  {one['metric']}: SD {one['sd']:.4g} ({one['sd_from']}), true effect {one['assumed_effect']:.4g} assumed{alone}"
        )
    if plan["patients"] is None:
        return [*lines, "no number of patients up to 5000 reaches it: the margins are too narrow for this spread"]
    if plan["joint_power"] is None:
        return [*lines, f"no endpoint; {plan['patients']} patients, below which nothing is concluded"]
    return [*lines, f"{plan['patients']} patients (joint power {plan['joint_power']:.0%}), all tails included"]
