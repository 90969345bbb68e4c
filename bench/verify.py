"""Claims of a sweep, judged from the tracking store alone, and their verdicts put back beside the sweep."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .claims.judge import Registration, judge
from .claims.types import ClaimSpec, Endpoint, Verdict
from .errors import HalfscanError
from .forest import forest_plot
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
    chosen = list(claims) or [_restored(stated) for stated in store.read_claims(parent)]
    if not chosen:
        raise HalfscanError(f"sweep {manifest.sweep_id} carries no claim: name one, such as claim=half_time")
    registration = Registration(hashes=manifest.claims, started=manifest.created_at, known_before=manifest.known_before)
    all_rows = [row for entry in manifest.cells for row in rows.get(entry.key, [])]
    runs = {key: run_id for key, (run_id, _) in store.children(parent).items()}
    run_ids = [runs[entry.key] for entry in manifest.cells if entry.key in rows]
    verdicts = judge(chosen, all_rows, registration, run_ids=run_ids)
    for verdict in verdicts:
        _log(store, parent, verdict)
    return verdicts


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
    """One object a verdict, with its words."""
    content = [{**asdict(verdict), "words": verdict.words, "time": _time(verdict)} for verdict in verdicts]
    return json.dumps(content[0] if single else content, indent=2)


def _time(verdict: Verdict) -> dict[str, Any] | None:
    return None if verdict.time is None else {**asdict(verdict.time), "result": verdict.time.result}
