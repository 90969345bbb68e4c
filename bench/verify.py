"""Claims of a sweep, judged from the tracking store alone, and their verdicts put back beside the sweep."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .claims.judge import judge
from .claims.types import ClaimSpec, Endpoint, EndpointResult, TimeResult, Verdict
from .claims.word import Registration
from .errors import HalfscanError
from .forest import forest_plot
from .rows import CORE_COLUMNS, CellRows, Row
from .tracking import Store
from .verdict_page import verdict_page


def verify_sweep(store: Store, parent: str, claims: Sequence[ClaimSpec] = ()) -> list[Verdict]:
    """Judges claims over a sweep's rows and logs their verdicts to its parent run.

    Args:
        claims: default: those that the sweep was started with.

    Raises:
        HalfscanError: no claim, arms that can't be compared, or a claim that changed since it was registered.
    """
    manifest, rows = store.read_sweep(parent)
    carried = carried_claims(store, parent)
    chosen = list(claims) or carried
    if not chosen:
        raise HalfscanError(f"sweep {manifest.sweep_id} carries no claim: name one, such as claim=half_time")
    registration = Registration(hashes=manifest.claims, started=manifest.created_at, known_before=manifest.known_before)
    all_rows = _rows_for([*chosen, *carried], [rows[entry.key] for entry in manifest.cells if entry.key in rows])
    runs = {key: run_id for key, (run_id, _) in store.children(parent).items()}
    run_ids = [runs[entry.key] for entry in manifest.cells if entry.key in rows]
    registered = {claim.claim_id for claim in carried}
    # Those that the sweep does not carry are judged apart: being exploratory, they cost the others nothing.
    late = [claim for claim in chosen if claim.claim_id not in registered]
    verdicts = judge(late, all_rows, registration, run_ids=run_ids) if late else []
    chosen = [claim for claim in chosen if claim.claim_id in registered]
    verdicts = [*_with_the_sweep_s(chosen, carried, all_rows, registration, run_ids), *verdicts]
    for verdict in verdicts:
        _log(store, parent, verdict)
    return verdicts


def _rows_for(claims: Sequence[ClaimSpec], cells: Sequence[CellRows]) -> list[Row]:
    """All rows of the cells that an arm may lie in, and of the others one each, so that a refusal can say what there is."""
    selectors = [selector for claim in claims for selector in (claim.reference, _without_ladder(claim))]
    found = []
    for cell in cells:
        needed = any(all(_holds(cell, column, value) for column, value in selector.items()) for selector in selectors)
        found += cell.rows() if needed else [cell.first]
    return found


def _without_ladder(claim: ClaimSpec) -> dict[str, Any]:
    """The candidate's columns but the one that a ladder's steps set."""
    return {key: value for key, value in claim.candidate.items() if not claim.ladder or key != "nominal_acceleration"}


def _holds(cell: CellRows, column: str, value: Any) -> bool:
    # A column that rows don't have is refused by the judge, by name.
    return column not in CORE_COLUMNS or value in cell.table.column(column).unique().to_pylist()


def _with_the_sweep_s(
    chosen: Sequence[ClaimSpec],
    carried: Sequence[ClaimSpec],
    rows: Sequence[Row],
    registration: Registration,
    run_ids: Sequence[str],
) -> list[Verdict]:
    """Judges registered claims beside all others of their sweep: a verdict must not hang on how it is asked for."""
    if not chosen:
        return []
    named = {claim.claim_id for claim in chosen}
    others = [claim for claim in carried if claim.untestable is None and claim.claim_id not in named]
    try:
        return judge([*chosen, *others], rows, registration, run_ids=run_ids)[: len(chosen)]
    except HalfscanError:
        # One of the others may lack an arm; it shares α all the same.
        return judge(chosen, rows, registration, run_ids=run_ids, others=len(others))


def carried_claims(store: Store, parent: str) -> list[ClaimSpec]:
    """The claims that a sweep was started with."""
    return [_restored(stated) for stated in store.read_claims(parent)]


def _restored(stated: dict[str, Any]) -> ClaimSpec:
    """A claim as the sweep's start wrote it."""
    try:
        return ClaimSpec(**{**stated, "endpoints": tuple(Endpoint(**endpoint) for endpoint in stated["endpoints"])})
    except (TypeError, KeyError) as error:
        raise HalfscanError(f"a claim of the sweep can't be read by this halfscan ({error})") from error


def _log(store: Store, parent: str, verdict: Verdict) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (
            ("verdict.json", to_json([verdict], single=True)),
            ("verdict.html", verdict_page(verdict)),
            ("forest.svg", forest_plot(verdict.endpoints)),
        ):
            (Path(folder) / name).write_text(text, encoding="utf-8")
        store.log_verdict(parent, verdict.claim_id, Path(folder), verdict.words)


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
        "ground_truth": None if verdict.ground_truth is None else "single",
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


def _time(time: TimeResult) -> dict[str, Any]:
    return {
        "reference_s": time.reference_s,
        "candidate_s": time.candidate_s,
        "reduction": time.reduction.value,
        "range": [time.reduction.low, time.reduction.high],
        "ci95": None,
        "ci95_reason": "seconds are deterministic given mask and protocol; the range is that of the timing assumptions",
        "target": time.target,
        "basis": f"modelled, against {time.baseline}",
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
