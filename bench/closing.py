"""How a sweep ends: its rows to the parent run, its claims judged, its pictures drawn, its page written, its note in words."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from .books import Books
from .claims.types import Verdict
from .errors import HalfscanError, StoreError, one_line
from .files import whole_file
from .manifest import SweepManifest
from .report.differences import headline
from .report.gather import SweepRecord, read_record, stored_claims
from .report.notes import cell_note, roles, run_name, sweep_note, verdict_metrics
from .report.page import report_page
from .report.pictures import Ranking, log_pictures, rank_by_score, read_pictures
from .sweep import CLOSING, Outcome, exclusive, finish_sweep
from .tracking import Store
from .verify import verify_sweep, withdraw

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
        HalfscanError: the store fails, or another process runs or closes the sweep.
    """
    store, parent = Store(manifest.tracking_uri, manifest.experiment), manifest.parent_run
    with exclusive(manifest.folder):
        (manifest.folder / CLOSING).touch()
        outcome = finish_sweep(manifest)
        verdicts = _judge(store, parent)
        record = read_record(store, parent)
        # The local manifest: only here do the cells' folders lie.
        log_pictures(store, manifest, record.cells, _ranking(record))
        record = replace(record, pictures=read_pictures(store, parent))
        page = write_report(record, manifest.folder / REPORT)
        _publish(store, record, page)
        (manifest.folder / CLOSING).unlink()
    return Closed(outcome=outcome, record=record, verdicts=verdicts, page=page)


def _judge(store: Store, parent: str) -> list[Verdict]:
    """All claims that the sweep was started with, and those that were judged later: the rows may be others now.

    One whose arm is missing takes no other with it. A verdict that its rows no longer give is withdrawn.
    """
    claims = stored_claims(store, parent)
    if not claims:
        return []
    try:
        return verify_sweep(store, parent, claims)
    except StoreError:
        # No word of the judge: nothing is withdrawn for it.
        raise
    except HalfscanError:
        found = []
        for claim in claims:
            try:
                found += verify_sweep(store, parent, [claim])
            except StoreError:
                raise
            except HalfscanError as error:
                if claim.claim_id in store.verdict_tags(parent):
                    withdraw(store, parent, claim.claim_id, one_line(error))
        return found


def _ranking(record: SweepRecord) -> Ranking | None:
    """By the first claim's paired differences, its arms' pictures first; without a claim by score."""
    found = headline(record.judged)
    if found is None:
        return rank_by_score(record.cells)
    one, differences = found
    others = [other for other in record.judged if other is not one]
    return Ranking(
        words=f"the paired difference of {differences.endpoint.metric} in claim {one.claim.claim_id}",
        metric=differences.endpoint.metric,
        values={case.patient: case.difference for case in differences.cases},
        ratio=differences.endpoint.scale == "log_ratio",
        first=tuple(cell.entry.key for judged in (one, *others) for arm in judged.cells for cell in arm),
    )


def write_report(record: SweepRecord, path: Path, books: Books | None = None) -> Path:
    """Writes a sweep's page; it appears whole or not at all.

    Args:
        record: the sweep.
        path: of the page.
        books: what its ledger of energy is kept with; None: the defaults of the configuration.
    """
    page = report_page(record, books or Books.composed())
    with whole_file(path) as draft:
        draft.write_text(page, encoding="utf-8")
    return path


def refresh(store: Store, parent: str) -> None:
    """Page, note and metrics as the store's verdicts are now: a claim was judged later."""
    record = read_record(store, parent)
    with tempfile.TemporaryDirectory() as folder:
        _publish(store, record, write_report(record, Path(folder) / REPORT))


def _publish(store: Store, record: SweepRecord, page: Path) -> None:
    """Gives the store the page, and makes MLflow's own pages say the same."""
    parent = record.manifest.parent_run
    store.log_file(parent, page)
    store.describe_sweep(parent, name=run_name(record), note=sweep_note(record), metrics=verdict_metrics(record))
    played = roles(record)
    for cell in record.cells:
        run = record.runs.get(cell.entry.key)
        if run is not None:
            mine = played.get(cell.entry.key, [])
            store.describe_cell(run, cell_note(cell, mine), ", ".join(mine))
