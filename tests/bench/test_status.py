"""How far a sweep is: counts, causes, processes that died, and the time that is left."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from halfscan.bench.cli import main
from halfscan.bench.manifest import Entry, Status, SweepManifest
from halfscan.bench.status_command import in_words, seconds_left
from halfscan.bench.sweep import exclusive

NAMES = ("a", "b", "c", "d", "e", "f")


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SweepManifest:
    """Six cells: two finished, two that run, one that failed, one that waits."""
    monkeypatch.chdir(tmp_path)
    manifest = SweepManifest(
        sweep_id="seen",
        parent_run="",
        tracking_uri="none",
        experiment="halfscan",
        out=str(tmp_path / "outputs"),
        swept=("model",),
        cells=tuple(Entry(key=f"seen-{name}", digest=name, overrides=(f"model={name}",)) for name in NAMES),
        claims={},
        known_before=0,
        created_at="2026-01-01T00:00:00+00:00",
    )
    manifest.write()
    for entry, state in zip(manifest.cells, ("finished", "finished", "running", "running", "failed"), strict=False):
        seconds, reason = (30.0 if state == "finished" else None), ("it lost its nerve" if state == "failed" else None)
        manifest.set_status(entry, Status(state=state, seconds=seconds, reason=reason))  # type: ignore[arg-type]
    return manifest


def test_a_sweep_that_runs(sweep: SweepManifest, capsys: pytest.CaptureFixture[str]) -> None:
    with exclusive(sweep.folder):
        assert main(["status"]) == 1, "a cell failed"
    shown = capsys.readouterr().out
    assert "Sweep seen: 6 cells: 1 waiting, 2 running, 2 finished, 1 failed." in shown
    # One waits and two are half done, two at once.
    assert "Time left: about 30 s" in shown
    assert "failed: model=e: it lost its nerve" in shown
    assert "running since 20" in shown


def test_cells_of_a_process_that_died_are_lost(sweep: SweepManifest, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "seen", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["counts"] == {"finished": 2, "lost": 2, "failed": 1, "waiting": 1}
    assert found["held"] is False
    assert found["seconds_left"] is None, "nothing runs"
    main(["status", "seen"])
    assert "lost: model=c: its process is gone" in capsys.readouterr().out
    # A queue's jobs go on without the process that launched them.
    with FileLock(str(sweep.cell_lock(sweep.cells[2]))):
        main(["status", "seen", "--json"])
        assert json.loads(capsys.readouterr().out)["counts"] == {
            "finished": 2,
            "running": 1,
            "lost": 1,
            "failed": 1,
            "waiting": 1,
        }


def test_a_sweep_that_went_well_is_0(sweep: SweepManifest) -> None:
    for entry in sweep.cells:
        sweep.set_status(entry, Status(state="finished", seconds=1.0))
    assert main(["status"]) == 0


def test_looking_does_not_keep_a_sweep_from_starting(sweep: SweepManifest) -> None:
    main(["status"])
    with exclusive(sweep.folder):
        main(["status"])
    with exclusive(sweep.folder):
        pass


def test_statuses_of_older_sweeps_are_read(sweep: SweepManifest) -> None:
    folder = sweep.cell_folder(sweep.cells[0])
    (folder / "status.json").write_text(json.dumps({"state": "finished", "reason": None}), "utf-8")
    assert sweep.status(sweep.cells[0]) == Status(state="finished")


def test_time_left_is_unknown_before_a_cell_has_finished() -> None:
    one = Entry(key="k", digest="d", overrides=())
    assert seconds_left({one: ("running", Status(state="running"))}) is None
    two = replace(one, key="l")
    done = Status(state="finished", seconds=10.0)
    assert seconds_left({one: ("running", Status(state="running")), two: ("finished", done)}) == 5


def test_durations_in_words() -> None:
    assert [in_words(one) for one in (12, 600, 9000)] == ["12 s", "10 min", "2.5 h"]


def test_an_unknown_sweep_is_named(sweep: SweepManifest, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "nope"]) == 2
    assert "no sweep nope" in capsys.readouterr().err
