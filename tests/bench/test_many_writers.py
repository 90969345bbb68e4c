"""Eight processes that log cells at once: to sqlite, and through a server to PostgreSQL; every cell is there, whole and once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .servers import needs_postgres, postgres, server

pytestmark = pytest.mark.usefixtures("work")

WORKERS, CELLS = 8, 6
PROGRAM = """
import sys
from dataclasses import replace
from pathlib import Path
from halfscan.bench.manifest import Entry, SweepManifest
from halfscan.bench.tracking import Store
from tests.bench.test_rows import ROW

uri, parent, worker, cells = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
store = Store(uri, "halfscan")
manifest = SweepManifest(sweep_id="many", parent_run=parent, tracking_uri=uri, experiment="halfscan", out="out", swept=(),
                         cells=(), claims={}, known_before=0, created_at="now")
for index in range(cells):
    entry = Entry(key=f"{worker}-{index}", digest="d", overrides=())
    run = store.start_cell(manifest, entry, "cell")
    row = replace(ROW, patient=f"p{worker}", metrics={"ssim@mvue": worker + index / 10}, reasons={})
    store.log_cell(run, config={"model": {"name": "x"}, "number": index}, rows=[row], manifest_digest="m", training=None,
                   picture=None, tags={"a": "b"})
    store.end(run.run_id, "FINISHED")
"""


def check(uri: str) -> None:
    from halfscan.bench.tracking import Store

    store = Store(uri, "halfscan")
    parent = store.start_sweep("many")
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", f"import sys; sys.path.append({str(root)!r})\n" + PROGRAM]
    started = [
        subprocess.Popen([*command, uri, parent, str(worker), str(CELLS)], stderr=subprocess.PIPE, text=True)
        for worker in range(WORKERS)
    ]
    for process in started:
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said
        assert "locked" not in said
    children = store.describe_children(parent)
    assert len(children) == WORKERS * CELLS
    assert {child.status for child in children.values()} == {"FINISHED"}
    runs = store.client.search_runs([store.experiment_id], "tags.`halfscan.kind` = 'cell'")
    assert len(runs) == WORKERS * CELLS, "once each"
    for run in runs:
        worker, index = map(int, run.data.tags["halfscan.key"].split("-"))
        assert run.data.metrics["mvue/ssim"] == worker + index / 10
        assert run.data.params["number"] == str(index)
        assert {item.path for item in store.client.list_artifacts(run.info.run_id)} >= {"rows.parquet", "config.json"}


def test_sqlite(work: Path) -> None:
    check(f"sqlite:///{work}/mlflow.db")


@pytest.mark.services
@needs_postgres
def test_postgresql(work: Path) -> None:
    with postgres() as database, server(work / "server", database.uri) as store:
        check(store.uri)
