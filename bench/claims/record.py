"""A verdict as `verdict.json` keeps it, and back: everything that was not tested is null."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ..errors import HalfscanError
from ..quantity import Quantity
from .tail import Tail
from .types import EndpointResult, Step, TimeResult, Verdict


def to_json(verdicts: Sequence[Verdict], single: bool = False) -> str:
    """One object a verdict, in the schema of docs/claims.md."""
    content = [as_record(verdict) for verdict in verdicts]
    return json.dumps(content[0] if single else content, indent=2)


def as_record(verdict: Verdict) -> dict[str, Any]:
    """A verdict for programs; everything that was not tested is null."""
    return {
        "schema_version": verdict.schema_version,
        "claim_id": verdict.claim_id,
        "claim_text": verdict.claim_text,
        "claim_source": verdict.claim_source,
        "claim_sha256": verdict.claim_sha256,
        "registered_at": verdict.registered_at,
        "scope": verdict.scope,
        "evidence": verdict.evidence,
        "reference_protocol": verdict.reference_protocol,
        "candidate_protocol": verdict.candidate_protocol,
        "patients": verdict.patients,
        "seeds": verdict.seeds,
        "ground_truth": _ground_truth(verdict.ground_truth),
        "truth": verdict.ground_truth,
        "time": None if verdict.time is None else _time(verdict.time),
        "endpoints": [_endpoint(one) for one in verdict.endpoints],
        "tail": [one.tail for one in verdict.endpoints if one.tail is not None],
        "qa_gates": [_gate(one) for one in verdict.endpoints if one.metric.endswith("@qa")],
        "ladder": [asdict(step) for step in verdict.ladder],
        "largest_reduction": None if verdict.largest_reduction is None else verdict.largest_reduction.as_dict(),
        "verdict": verdict.verdict,
        "uncapped": verdict.uncapped,
        "cap": verdict.cap,
        "words": verdict.words,
        "reasons": list(verdict.reasons),
        "caveats": list(verdict.caveats),
        "energy": {"value": None, "unit": "J", "reason": "no claim on energy is judged here"},
        "run_ids": list(verdict.run_ids),
    }


def _ground_truth(truth: str | None) -> str | None:
    if truth is None or truth.startswith("none"):
        return None
    return "repeat_average" if truth.startswith("repeat_average") else "single"


def _time(time: TimeResult) -> dict[str, Any]:
    reduction = time.reduction
    origin = "as the scanner recorded them" if time.recorded else "deterministic given mask and protocol"
    return {
        "reference_s": time.reference_s,
        "candidate_s": time.candidate_s,
        "reduction": reduction.value,
        "reason": reduction.reason,
        "range": [reduction.low, reduction.high],
        "ci95": None,
        "ci95_reason": f"seconds are {origin}; the range is that of {time.uncertain}",
        "target": time.target,
        "baseline": time.baseline,
        "basis": f"{'recorded by the scanner' if time.recorded else 'modelled'}, against {time.baseline}",
        "by_contrast": time.by_contrast,
        "result": time.result,
        "pass": None if time.target is None else _passed(time.result),
    }


def _endpoint(one: EndpointResult) -> dict[str, Any]:
    metric, _, profile = one.metric.partition("@")
    interval = None if one.effect.low is None else [one.effect.low, one.effect.high]
    return {
        "metric": metric,
        "profile": profile,
        "scale": one.scale,
        "effect": one.effect.value,
        "ci95": interval,
        "ci95_student": one.t_interval,
        "ci95_bootstrap": one.bootstrap_interval,
        "reason": one.effect.reason,
        "threshold": one.threshold,
        "margin": one.margin,
        "at_least": one.at_least,
        "margin_rationale": one.margin_rationale,
        "p_noninferior": one.p_threshold,
        "p_superior": one.p_superior,
        "p_holm": one.p_holm,
        "equivalent": one.equivalent,
        "n_patients": one.patients,
        "n_volumes": one.volumes,
        "n_seeds": one.seeds,
        "power_at_margin": one.power,
        "result": one.result,
    }


def _gate(one: EndpointResult) -> dict[str, Any]:
    return {"test": one.metric, "value": one.effect.value, "limit": one.threshold, "pass": _passed(one.result)}


def _passed(result: str) -> bool | None:
    """None where it could not be decided."""
    if result in ("inconclusive", "not_testable"):
        return None
    return result in ("superior", "noninferior", "met")


def from_record(record: Mapping[str, Any]) -> Verdict:
    """The inverse of `as_record`.

    Raises:
        HalfscanError: another schema, or a damaged file.
    """
    try:
        if record["schema_version"] != Verdict.schema_version:
            raise HalfscanError(f"a verdict has schema version {record['schema_version']}: judge it again with `halfscan verify`")
        tails = {tail["metric"]: _tail_back(tail) for tail in record["tail"]}
        return Verdict(
            **{name: record[name] for name in _SAME},
            reasons=tuple(record["reasons"]),
            caveats=tuple(record["caveats"]),
            run_ids=tuple(record["run_ids"]),
            ground_truth=record["truth"],
            time=None if record["time"] is None else _time_back(record["time"]),
            endpoints=tuple(_endpoint_back(one, tails) for one in record["endpoints"]),
            ladder=tuple(
                Step(**{**step, "reduction": Quantity(**step["reduction"]), "reasons": tuple(step["reasons"])})
                for step in record["ladder"]
            ),
            largest_reduction=None if record["largest_reduction"] is None else Quantity(**record["largest_reduction"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise HalfscanError(f"a verdict in the store is damaged ({error!r}): judge it again with `halfscan verify`") from error


_SAME = (
    "schema_version",
    "claim_id",
    "claim_text",
    "claim_source",
    "claim_sha256",
    "registered_at",
    "scope",
    "evidence",
    "reference_protocol",
    "candidate_protocol",
    "patients",
    "seeds",
    "verdict",
    "uncapped",
    "cap",
)


def _time_back(time: Mapping[str, Any]) -> TimeResult:
    low, high = time["range"]
    known = "measured" if str(time["basis"]).startswith("recorded") else "modelled"
    method = "unavailable" if time["reduction"] is None else known
    return TimeResult(
        reference_s=time["reference_s"],
        candidate_s=time["candidate_s"],
        reduction=Quantity(value=time["reduction"], unit="1", method=method, low=low, high=high, reason=time.get("reason")),
        target=time["target"],
        baseline=time["baseline"],
        by_contrast=dict(time["by_contrast"]),
    )


def _tail_back(tail: Mapping[str, Any]) -> dict[str, Any]:
    found = Tail(**{name: value for name, value in tail.items() if name != "passed"})
    return {**asdict(found), "passed": found.passed}


def _endpoint_back(one: Mapping[str, Any], tails: Mapping[str, Any]) -> EndpointResult:
    low, high = one["ci95"] or (None, None)
    method = "unavailable" if one["effect"] is None else "measured"
    metric = f"{one['metric']}@{one['profile']}"
    return EndpointResult(
        metric=metric,
        effect=Quantity(value=one["effect"], unit="1", method=method, low=low, high=high, reason=one["reason"]),
        t_interval=_pair(one["ci95_student"]),
        bootstrap_interval=_pair(one["ci95_bootstrap"]),
        p_threshold=one["p_noninferior"],
        patients=one["n_patients"],
        volumes=one["n_volumes"],
        seeds=one["n_seeds"],
        power=one["power_at_margin"],
        tail=tails.get(metric),
        **{name: one[name] for name in ("scale", "threshold", "margin", "at_least", "margin_rationale", "result")},
        **{name: one[name] for name in ("p_superior", "p_holm", "equivalent")},
    )


def _pair(interval: Sequence[float] | None) -> tuple[float, float] | None:
    if interval is None:
        return None
    low, high = interval
    return low, high
