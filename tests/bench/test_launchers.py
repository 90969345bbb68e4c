"""Cells side by side in other processes give the rows of one after the other, bit for bit but for times."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from .running import BRAINS, SWEEP, halfscan, rows_of, runs

LAUNCHERS = {
    "joblib": ("joblib", ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]),
    "cores": ("joblib", ["hydra/launcher=cores", "threads=1"]),
    "cores in packs": ("joblib", ["hydra/launcher=cores", "pack=3"]),
    "cores in shares": ("joblib", ["hydra/launcher=cores", "threads=1", "shares=2"]),
    "submitit_local": ("submitit", ["hydra/launcher=submitit_local"]),
    "slurm": ("submitit", ["hydra/launcher=slurm"]),
    "slurm in packs": ("submitit", ["hydra/launcher=slurm", "pack=12"]),
    "ray": (
        "ray",
        ["hydra/launcher=ray_cluster", "hydra.launcher.ray.init.address=null", "hydra.launcher.ray.remote.num_cpus=1"],
    ),
}
MANY = ["model=zero_filled,sense", "sampling.acceleration=2,3,4", "mask_replicate=0,1,2,3"]
"""24 cells, where the real things are at work."""


def launcher(name: str) -> list[str]:
    package, words = LAUNCHERS[name]
    if importlib.util.find_spec(f"hydra_plugins.hydra_{package}_launcher") is None:
        pytest.skip(f"hydra-{package}-launcher is not installed")
    if name.startswith("slurm"):
        idle = shutil.which("sinfo") and subprocess.run(["sinfo", "-h", "-o", "%t"], capture_output=True, text=True).stdout
        if not idle or idle.split()[0] not in ("idle", "mix", "alloc"):
            pytest.skip("no Slurm answers here")
    return words


MARKS = {
    "joblib": pytest.mark.services,  # which is slow, not rare: `cores` is joblib, too
    "slurm": pytest.mark.trials,
    "slurm in packs": pytest.mark.services,
    "ray": pytest.mark.services,
}


@pytest.mark.parametrize("name", [pytest.param(name, marks=MARKS.get(name, ())) for name in LAUNCHERS])
def test_rows_do_not_depend_on_the_launcher(name: str, small: list[str], work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    basic, other = work / "basic", work / "other"
    words = launcher(name)
    cells = MANY if name in MARKS else SWEEP
    threads = [word for word in words if word.startswith("threads=")]
    for folder, own in ((basic, threads), (other, words)):
        folder.mkdir()
        shutil.copy(work / "mlflow.db", folder)
        monkeypatch.chdir(folder)
        with halfscan("run", *small, *cells, "qa=none", *own) as process:
            _, said = process.communicate(timeout=500)
        assert process.returncode == 0, said
    assert rows_of(other) == rows_of(basic)
    assert len(rows_of(basic)) == (24 if cells is MANY else 4)
    assert [status for _, status in runs(other / "mlflow.db")] == ["FINISHED"] * (len(rows_of(basic)) + 1)


def test_a_cell_that_fails_elsewhere_is_named_and_stops_no_other(small: list[str], fragile: list[str], work: Path) -> None:
    with halfscan("run", *fragile, *small, "qa=none", *launcher("joblib")) as process:
        _, said = process.communicate(timeout=300)
    assert process.returncode == 1, said
    assert "lost its nerve" in said
    assert len(rows_of(work)) == 1


@pytest.mark.trials
def test_a_training_that_slurm_preempts_goes_on(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slurm holds a job back for two minutes before it starts again."""
    words = ["run", *BRAINS, "trainer.steps=4000", "trainer.validate_every=1000", "trainer.checkpoint_every=4000", "threads=1"]
    preempted, calm = work / "preempted", work / "calm"
    for folder in (preempted, calm):
        folder.mkdir()
        shutil.copy(work / "mlflow.db", folder)
        monkeypatch.chdir(folder)
        own = launcher("slurm") if folder == preempted else []
        with halfscan(*words, *own) as process:
            if own:
                _preempt(folder)
            _, said = process.communicate(timeout=550)
        assert process.returncode == 0, said
        assert runs(folder / "mlflow.db") == [("cell", "FINISHED"), ("sweep", "FINISHED")]
    for ours, theirs in zip(rows_of(preempted), rows_of(calm), strict=True):
        # No meter's window spans both parts, and the row says so.
        assert "broken off and resumed" in str(ours.pop("reasons"))
        theirs.pop("reasons")
        assert ours == theirs
    records = [json.loads(next(folder.glob("outputs/images/*/training.json")).read_text()) for folder in (preempted, calm)]
    assert records[0]["history"] == records[1]["history"]
    assert records[0]["weights_sha256"] == records[1]["weights_sha256"]


def _preempt(folder: Path) -> None:
    """Warns the sweep's only job, as Slurm does before it takes a job's place, once its training is under way."""
    end = time.monotonic() + 120
    while not any("step 1000" in path.read_text() for path in folder.glob("outputs/sweeps/*/jobs/*/halfscan.log")):
        assert time.monotonic() < end, "no training began"
        time.sleep(0.2)
    jobs = subprocess.run(["squeue", "-h", "-o", "%i", "-n", "halfscan", "-t", "R"], capture_output=True, text=True, check=True)
    assert len(jobs.stdout.split()) == 1, jobs.stdout
    subprocess.run(["scancel", "--signal=USR2", *jobs.stdout.split()], check=True)
