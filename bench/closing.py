"""How a sweep ends: its rows to the parent run, its claims judged, its pictures drawn, its page written, its note in words."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from .claims.types import Verdict
from .errors import HalfscanError
from .files import whole_file
from .manifest import SweepManifest
from .report.differences import headline
from .report.gather import Judged, SweepRecord, read_record
from .report.notes import cell_note, roles, run_name, trade_off_note, verdict_metrics
from .report.page import report_page
from .report.pictures import Ranking, log_pictures, rank_by_score, read_pictures
from .sweep import Outcome, finish_sweep
from .tracking import Store
from .verify import carried_claims, verify_sweep

REPORT = "report.html"
"""Of the parent run's artifacts."""


@dataclass(frozen=True, kw_only=True)
class Closed:
    """A sweep at its end."""

    outcome: Outcome
    record: SweepRecord
    verdicts: Sequence[Verdict]
    page: Path


def close_sweep(manifest: SweepManifest) -> Closed:
    """Closes a sweep, whatever became of its cells.

    Raises:
        HalfscanError: the store fails, or another process runs the sweep.
    """
    outcome = finish_sweep(manifest)
    store = Store(manifest.tracking_uri, manifest.experiment)
    verdicts = _judge(store, manifest.parent_run) if manifest.claims else []
    record = read_record(store, manifest.parent_run)
    # The local manifest: only here do the cells' folders lie.
    log_pictures(store, manifest, record.cells, _ranking(record))
    record = replace(record, pictures=read_pictures(store, manifest.parent_run))
    page = write_report(record, manifest.folder / REPORT)
    store.log_file(manifest.parent_run, page)
    _annotate(store, record)
    return Closed(outcome=outcome, record=record, verdicts=verdicts, page=page)


def _judge(store: Store, parent: str) -> list[Verdict]:
    """All claims that the sweep was started with. One whose arm is missing takes no other with it; the page says why."""
    try:
        return verify_sweep(store, parent)
    except HalfscanError:
        found = []
        for claim in carried_claims(store, parent):
            try:
                found += verify_sweep(store, parent, [claim])
            except HalfscanError:
                continue
        return found


def _ranking(record: SweepRecord) -> Ranking | None:
    """By the first claim's paired differences, its arms' pictures first; without a claim by score."""
    found = headline(record.judged)
    if found is None:
        return rank_by_score(record.cells)
    one, differences = found
    return Ranking(
        words=f"the paired difference of {differences.endpoint.metric} in claim {one.claim.claim_id}",
        metric=differences.endpoint.metric,
        values={case.patient: case.difference for case in differences.cases},
        first=tuple(cell.entry.key for judged in (one, *_others(record.judged, one)) for arm in judged.cells for cell in arm),
    )


def _others(judged: Sequence[Judged], one: Judged) -> list[Judged]:
    return [other for other in judged if other is not one]


def write_report(record: SweepRecord, path: Path) -> Path:
    """Writes a sweep's page; it appears whole or not at all."""
    with whole_file(path) as draft:
        draft.write_text(report_page(record), encoding="utf-8")
    return path


def log_report(store: Store, parent: str) -> None:
    """Gives the parent run the page as it is now, from the store alone: a claim was judged later."""
    with tempfile.TemporaryDirectory() as folder:
        store.log_file(parent, write_report(read_record(store, parent), Path(folder) / REPORT))


def _annotate(store: Store, record: SweepRecord) -> None:
    """Makes MLflow's own pages readable."""
    parent = record.manifest.parent_run
    store.describe_sweep(parent, name=run_name(record), note=trade_off_note(record), metrics=verdict_metrics(record))
    played = roles(record)
    for cell in record.cells:
        run = record.runs.get(cell.entry.key)
        if run is None:
            continue
        mine = played.get(cell.entry.key, [])
        store.describe_cell(run, cell_note(cell, mine), ", ".join(mine))
