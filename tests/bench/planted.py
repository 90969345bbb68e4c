"""Sweeps of which the truth is known: rows made by hand, as `halfscan run` leaves them in the store and on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from halfscan.bench.claims.types import ClaimSpec
from halfscan.bench.files import whole_file, write_json
from halfscan.bench.manifest import Entry, Status, SweepManifest
from halfscan.bench.pictures import VIEWS
from halfscan.bench.rows import CellRows, Row, to_table, write_rows
from halfscan.bench.tracking import CLAIMS, ROWS, Store, tracking_uri

from .claims.test_judge import STARTED

TAGS = {"halfscan.versions": "halfscan=0.1.0 torch=2.13.0", "halfscan.device": "cpu (x86_64), 2 threads"}


def plant(
    rows: Mapping[str, Sequence[Row]],
    claims: Sequence[ClaimSpec],
    work: Path,
    *,
    known_before: int = 0,
    failed: Sequence[str] = (),
    pictures: bool = False,
    sweep_id: str = "planted",
) -> tuple[Store, SweepManifest]:
    """A sweep whose cells have all ended, and that was not closed yet.

    Args:
        rows: name of a cell, which is its model's as well → its rows.
        claims: that the sweep was started with.
        work: working directory; the store lies in it.
        known_before: cells that had been reconstructed before.
        failed: names of cells that have no rows.
        pictures: whether the volumes may be shown; then they are discs that get worse from cell to cell.
        sweep_id: of several sweeps in one store.
    """
    store = Store(tracking_uri(), "halfscan")
    names = [*rows, *failed]
    manifest = SweepManifest(
        sweep_id=sweep_id,
        parent_run=store.start_sweep(sweep_id),
        tracking_uri=store.uri,
        experiment=store.experiment,
        out=str(work / "outputs"),
        swept=("model",),
        cells=tuple(Entry(key=f"{sweep_id}-{name}", digest=name, overrides=(f"model={name}",)) for name in names),
        claims={claim.claim_id: claim.sha256 for claim in claims},
        known_before=known_before,
        created_at=STARTED,
    )
    manifest.write()
    if claims:
        write_json(manifest.folder / CLAIMS, [asdict(claim) for claim in claims])
        store.log_file(manifest.parent_run, manifest.folder / CLAIMS)
    for number, (name, entry) in enumerate(zip(names, manifest.cells, strict=True)):
        run = store.start_cell(manifest, entry, name)
        if name in failed:
            manifest.set_status(entry, Status(state="failed", reason="it lost its nerve"))
            store.end(run.run_id, "FAILED")
            continue
        settings: dict[str, Any] = {"config": {}, "manifest_digest": "0" * 64, "training": None, "picture": None, "tags": TAGS}
        store.log_cell(run, rows=rows[name], **settings)
        write_rows(rows[name], manifest.cell_folder(entry) / ROWS)
        if pictures:
            _write_views(len(rows[name]), number, manifest.cell_folder(entry) / VIEWS)
        manifest.set_status(entry, Status(state="finished"))
        store.end(run.run_id, "FINISHED")
    return store, manifest


def planted(rows: Mapping[str, Sequence[Row]], claims: Sequence[ClaimSpec], work: Path, known_before: int = 0) -> Store:
    """A finished sweep without its verdicts, pictures and page."""
    store, manifest = plant(rows, claims, work, known_before=known_before)
    cells = {entry.key: CellRows(to_table(rows[entry.digest])) for entry in manifest.cells}
    store.finish_sweep(manifest, cells, True)
    return store


def _write_views(volumes: int, number: int, path: Path) -> None:
    """Discs of 48 × 40, blurred by noise that grows with the cell's number; a mask of every other line."""
    y, x = np.mgrid[-1:1:48j, -1:1:40j]
    arrays: dict[str, Any] = {}
    for index in range(volumes):
        truth = (np.hypot(y, x) < 0.5 + 0.3 * index / max(volumes, 1)).astype(np.float16)
        noise = np.random.default_rng(index).standard_normal(truth.shape)
        arrays[f"truth_{index}"] = truth
        arrays[f"image_{index}"] = np.abs(truth + 0.03 * (number + 1) * noise).astype(np.float16)
        arrays[f"mask_{index}"] = np.arange(48) % (number + 2) == 0
    with whole_file(path) as draft, draft.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
