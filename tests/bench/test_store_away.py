"""A tracking server that goes away in the middle of a sweep: nothing is lost, and `halfscan sync` brings it in once."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path

import pytest

from halfscan.bench import closing
from halfscan.bench.cli import main
from halfscan.bench.errors import StoreError
from halfscan.bench.tracking import Store

from .running import SWEEP, halfscan, rows_of, runs
from .servers import server

pytestmark = pytest.mark.usefixtures("work")

KILLER = '''
import os, signal
from pathlib import Path
from halfscan.models.zero_filled import ZeroFilled

class Killer(ZeroFilled):
    """Takes the server with it, once."""
    def __call__(self, data):
        mark = Path("mark")
        if not mark.exists():
            mark.touch()
            os.killpg(int(os.environ["SERVER"]), signal.SIGKILL)
        return super().__call__(data)
'''


def test_a_closing_that_broke_off_is_done_again(
    small: list[str], work: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise StoreError("it went away")

    with monkeypatch.context() as patch:
        patch.setattr(closing, "write_report", away)
        assert main(["run", *small, "qa=none"]) == 2
        assert main(["run", *small, "qa=none", "sampling.acceleration=3"]) == 2
    # Neither one that the store has lost, nor one that nobody can read, keeps another from its store.
    first, second = sorted(work.glob("outputs/sweeps/*/sweep.json"), key=lambda path: path.stat().st_mtime)
    store = Store(f"sqlite:///{work}/mlflow.db", "halfscan")
    store.client.delete_run(json.loads(first.read_text())["parent_run"])
    other = work / "outputs" / "sweeps" / "other" / "sweep.json"
    other.parent.mkdir()
    other.write_text('{"schema_version": 99}')
    assert main(["sync"]) == 2
    assert "its store is away" not in capsys.readouterr().err
    assert [path.parent for path in work.glob("outputs/sweeps/*/report.html")] == [second.parent]
    store.client.restore_run(json.loads(first.read_text())["parent_run"])
    assert main(["sync"]) == 0
    assert len(list(work.glob("outputs/sweeps/*/report.html"))) == 2
    capsys.readouterr()
    assert main(["sync"]) == 0
    assert "Nothing waits" in capsys.readouterr().out


def test_a_lost_answer_leaves_one_parent(work: Path) -> None:
    """The request is made again, with the same time, and the store has two runs of one sweep."""
    store = Store(f"sqlite:///{work}/mlflow.db", "halfscan")
    tags = {"halfscan.kind": "sweep", "halfscan.sweep": "s"}
    twins = [store.client.create_run(store.experiment_id, start_time=5, tags=tags).info.run_id for _ in range(3)]
    elsewhere = store.client.create_run(store.experiment_id, start_time=9, tags=tags).info.run_id
    cell = {"halfscan.kind": "cell", "halfscan.key": "k", "mlflow.parentRunId": twins[1]}
    for status in ("FINISHED", "RUNNING"):
        run = store.client.create_run(store.experiment_id, tags=cell)
        store.end(run.info.run_id, status)
    assert store.find_sweep("s") == store.parent_of("s") == twins[1]
    assert store.children(twins[1])["k"][1] == "FINISHED"
    store.drop_doubles("s", twins[1])
    left = [run.info.run_id for run in store.client.search_runs([store.experiment_id], "tags.`halfscan.kind` = 'sweep'")]
    assert sorted(left) == sorted([twins[1], elsewhere])


def test_the_server_goes_away_and_comes_back(small: list[str], work: Path) -> None:
    (work / "killer.py").write_text(KILLER)
    (work / "conf" / "model").mkdir(parents=True)
    (work / "conf" / "model" / "killer.yaml").write_text("_target_: killer.Killer\ncombination: mvue\n")
    command = ["run", "--config-dir", "conf", *small, "model=killer,zero_filled", "sampling.acceleration=2,3", "qa=none"]
    with server(work / "server") as store:
        assert store.process is not None
        environment = {
            "PYTHONPATH": str(work),
            "MLFLOW_TRACKING_URI": store.uri,
            "SERVER": str(store.process.pid),
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        }
        with halfscan(*command, **environment) as process:
            _, said = process.communicate(timeout=400)
        assert process.returncode == 2, said
        assert "the rows of 4 of 4 cells are safe" in said
        assert "`halfscan sync` brings in what it lacks" in said
        assert len(rows_of(work)) == 4
        with halfscan("status", **environment) as process:
            out, _ = process.communicate(timeout=100)
        assert process.returncode == 1
        assert "4 kept" in out
        with halfscan("sync", **environment) as process:
            _, said = process.communicate(timeout=200)
        assert process.returncode == 2, "it is still away"
        assert len(said.splitlines()[-1:]) == 1
        store.kill()
        store.start()
        with halfscan("sync", **environment) as process:
            _, said = process.communicate(timeout=200)
        assert process.returncode == 0, said
        with halfscan("sync", **environment) as process:
            out, said = process.communicate(timeout=200)
        assert (process.returncode, out) == (0, "Nothing waits for the store.\n"), said
        with halfscan("table", "--json", **environment) as process:
            out, said = process.communicate(timeout=200)
        assert len(json.loads(out)) == 4, said
    assert runs(work / "server" / "server.db") == [("cell", "FINISHED")] * 4 + [("sweep", "FINISHED")]
    with sqlite3.connect(work / "server" / "server.db") as database:
        names = {name for (name,) in database.execute("select name from runs") if not name.startswith("sweep")}
    database.close()
    assert names >= {f"{model} acceleration={r}" for model in ("Killer", "zero_filled") for r in (2, 3)}


def test_runs_that_stand_twice_are_one_again(small: list[str], work: Path) -> None:
    """As when a server took a request and its answer was lost."""
    with halfscan("run", *small, *SWEEP, "qa=none") as process:
        _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    with sqlite3.connect("mlflow.db") as store:
        for table in ("runs", "tags"):
            columns = [row[1] for row in store.execute(f"pragma table_info({table})")]
            changed = ["'b' || substr(run_uuid, 2)" if name == "run_uuid" else name for name in columns]
            if table == "runs":
                changed = ["'RUNNING'" if name == "status" else one for name, one in zip(columns, changed, strict=True)]
            store.execute(f"insert into {table} select {', '.join(changed)} from {table} where substr(run_uuid, 1, 1) <> 'b'")
    store.close()
    with halfscan("finish") as process:
        _, said = process.communicate(timeout=300)
    with sqlite3.connect("mlflow.db") as store:
        query = "select r.status from runs r join tags t on t.run_uuid = r.run_uuid where t.key = 'halfscan.kind' "
        query += "and t.value = 'cell' and r.lifecycle_stage = 'active'"
        assert store.execute(query).fetchall() == [("FINISHED",)] * 4, said
    store.close()
    assert os.listdir("outputs/sweeps")
