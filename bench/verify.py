"""Claims of a sweep, judged from the tracking store alone, and their verdicts put back beside the sweep."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import Any

from .claims.judge import judge
from .claims.record import to_json
from .claims.types import ClaimSpec, Endpoint, Verdict
from .claims.word import Registration
from .errors import HalfscanError
from .forest import forest_plot
from .rows import CellRows, Row
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
    registered = set(manifest.claims)
    # Claims that the manifest registers and whose statements the store has lost share α all the same.
    lost = registered - {claim.claim_id for claim in (*carried, *chosen)}
    # Those that the sweep does not carry are judged apart: being exploratory, they cost the others nothing.
    late = [claim for claim in chosen if claim.claim_id not in registered]
    verdicts = judge(late, all_rows, registration, run_ids=run_ids) if late else []
    chosen = [claim for claim in chosen if claim.claim_id in registered]
    verdicts = [*_with_the_sweep_s(chosen, carried, all_rows, registration, run_ids, len(lost)), *verdicts]
    stated = {claim.claim_id: claim for claim in (*chosen, *late)}
    for verdict in verdicts:
        _log(store, parent, stated[verdict.claim_id], verdict)
    return verdicts


def _rows_for(claims: Sequence[ClaimSpec], cells: Sequence[CellRows]) -> list[Row]:
    """All rows of the cells that an arm may lie in, and of the others one each, so that a refusal can say what there is."""
    selectors = [selector for claim in claims for selector in (claim.reference, _without_ladder(claim))]
    found = []
    for cell in cells:
        found += cell.rows() if any(cell.may_hold(selector) for selector in selectors) else [cell.first]
    return found


def _without_ladder(claim: ClaimSpec) -> dict[str, Any]:
    """The candidate's columns but the one that a ladder's steps set."""
    return {key: value for key, value in claim.candidate.items() if not claim.ladder or key != "nominal_acceleration"}


def _with_the_sweep_s(
    chosen: Sequence[ClaimSpec],
    carried: Sequence[ClaimSpec],
    rows: Sequence[Row],
    registration: Registration,
    run_ids: Sequence[str],
    lost: int,
) -> list[Verdict]:
    """Judges registered claims beside all others of their sweep: a verdict must not hang on how it is asked for."""
    if not chosen:
        return []
    named = {claim.claim_id for claim in chosen}
    others = [claim for claim in carried if claim.untestable is None and claim.claim_id not in named]
    try:
        return judge([*chosen, *others], rows, registration, run_ids=run_ids, others=lost)[: len(chosen)]
    except HalfscanError:
        # One of the others may lack an arm; it shares α all the same.
        return judge(chosen, rows, registration, run_ids=run_ids, others=len(others) + lost)


def carried_claims(store: Store, parent: str) -> list[ClaimSpec]:
    """The claims that a sweep was started with."""
    return [restored(stated) for stated in store.read_claims(parent)]


def restored(stated: dict[str, Any]) -> ClaimSpec:
    """A claim as the store keeps it.

    Raises:
        HalfscanError: it can't be read by this halfscan.
    """
    try:
        return ClaimSpec(**{**stated, "endpoints": tuple(Endpoint(**endpoint) for endpoint in stated["endpoints"])})
    except (TypeError, KeyError) as error:
        raise HalfscanError(f"a claim of the sweep can't be read by this halfscan ({error})") from error


def withdraw(store: Store, parent: str, claim_id: str, reason: str) -> None:
    """Replaces a claim's verdict by the reason why there is none any longer: the sweep was closed again with other rows."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (
            ("verdict.json", json.dumps({"withdrawn": reason})),
            ("verdict.html", f"<!doctype html><html lang=en><title>withdrawn</title><p>Withdrawn: {escape(reason)}</p></html>"),
            ("forest.svg", forest_plot(())),
        ):
            (Path(folder) / name).write_text(text, encoding="utf-8")
        store.log_verdict(parent, claim_id, Path(folder), f"withdrawn: {reason}")


def _log(store: Store, parent: str, claim: ClaimSpec, verdict: Verdict) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (
            ("claim.json", json.dumps(asdict(claim), indent=1)),
            ("verdict.json", to_json([verdict], single=True)),
            ("verdict.html", verdict_page(verdict)),
            ("forest.svg", forest_plot(verdict.endpoints)),
        ):
            (Path(folder) / name).write_text(text, encoding="utf-8")
        store.log_verdict(parent, verdict.claim_id, Path(folder), verdict.words)
