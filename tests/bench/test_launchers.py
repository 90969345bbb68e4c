"""Cells side by side in other processes give the rows of one after the other, bit for bit but for times."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch

from halfscan.bench.cli import main
from hydra_plugins import halfscan_sweeper

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
    "a gpu": ("joblib", ["hydra/launcher=gpus", "hydra.launcher.n_jobs=3", "device=cuda", "energy=none"]),
    "a gpu in packs": ("joblib", ["hydra/launcher=gpus", "hydra.launcher.n_jobs=2", "pack=6", "device=cuda", "energy=none"]),
    "a gpu in shares": ("joblib", ["hydra/launcher=gpus", "hydra.launcher.n_jobs=2", "shares=2", "device=cuda", "energy=none"]),
}
MANY = ["model=zero_filled,sense", "sampling.acceleration=2,3,4", "mask_replicate=0,1,2,3"]
"""24 cells, where the real things are at work."""


def launcher(name: str) -> list[str]:
    package, words = LAUNCHERS[name]
    if importlib.util.find_spec(f"hydra_plugins.hydra_{package}_launcher") is None:
        pytest.skip(f"hydra-{package}-launcher is not installed")
    if "device=cuda" in words and not torch.cuda.is_available():
        pytest.skip("torch sees no GPU on this machine")
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
    "a gpu": pytest.mark.services,
    "a gpu in packs": pytest.mark.services,
    "a gpu in shares": pytest.mark.services,
}


@pytest.mark.parametrize("name", [pytest.param(name, marks=MARKS.get(name, ())) for name in LAUNCHERS])
def test_rows_do_not_depend_on_the_launcher(name: str, small: list[str], work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    basic, other = work / "basic", work / "other"
    words = launcher(name)
    cells = MANY if name in MARKS else SWEEP
    same = [word for word in words if word.startswith(("threads=", "device=", "energy="))]
    for folder, own in ((basic, same), (other, words)):
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


def test_a_queue_that_is_away_is_one_line(small: list[str], work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    launcher("submitit_local")
    monkeypatch.setenv("PATH", str(work))
    with halfscan("run", *small, "qa=none", "hydra/launcher=slurm") as process:
        out, said = process.communicate(timeout=120)
    assert process.returncode == 2, said
    assert "Traceback" not in out + said
    assert "halfscan: SlurmLauncher can't run the sweep's jobs: " in said


COUNTING = '''
import time
from pathlib import Path
from torch.utils._python_dispatch import _get_current_dispatch_mode
from halfscan.models.zero_filled import ZeroFilled

class Counting(ZeroFilled):
    """Notes that it was asked, and takes its time."""
    def __call__(self, data):
        if _get_current_dispatch_mode() is None:
            with Path("asked").open("a") as file:
                file.write("x")
            time.sleep(8)
        return super().__call__(data)
'''


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_jobs_whose_launcher_ends(
    number: signal.Signals, small: list[str], work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Killed, they outlive it, and the same command waits for them; stopped, it gives them some time first."""
    (work / "counting.py").write_text(COUNTING)
    (work / "conf" / "model").mkdir(parents=True)
    (work / "conf" / "model" / "counting.yaml").write_text("_target_: counting.Counting\ncombination: mvue\n")
    words = ["run", "--config-dir", "conf", *small, "model=counting", "qa=none"]
    with halfscan(*words, *launcher("submitit_local"), PYTHONPATH=str(work)) as process:
        end = time.monotonic() + 120
        while not (work / "asked").exists():
            assert time.monotonic() < end, "no job began"
            time.sleep(0.1)
        process.send_signal(number)
        process.wait(timeout=120)  # not for its pipes, which its jobs hold
    stopped = number == signal.SIGTERM
    assert process.returncode == (130 if stopped else -number)
    if stopped:
        assert runs() == [("cell", "FINISHED"), ("sweep", "FINISHED")], "there was time enough"
    else:
        assert main(["finish"]) == 1
        assert "a job still does it" in capsys.readouterr().err
        assert runs() == [("cell", "RUNNING"), ("sweep", "FAILED")]
    with halfscan(*words, PYTHONPATH=str(work)) as process:
        out, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert ("another process does it" in out) is not stopped
    assert len((work / "asked").read_text()) == 2, "volumes, each of them once"
    assert len(rows_of(work)) == 1
    (status,) = work.glob("outputs/sweeps/*/cells/*/status.json")
    assert json.loads(status.read_text())["seconds"] > 16, "of the job: what it finished is not done again from its images"
    assert runs() == [("cell", "FINISHED"), ("sweep", "FINISHED")]


def test_jobs_that_do_not_end_in_time_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(halfscan_sweeper, "_GRACE_S", 0.3)
    told: list[str] = []

    class Job:
        def __init__(self, job_id: str) -> None:
            self.job_id = job_id

        def done(self) -> bool:
            return False

        def cancel(self, check: bool) -> None:
            told.append(f"end {self.job_id}")

    class Local(Job):
        pass

    monkeypatch.setattr(os, "kill", lambda pid, number: told.append(f"{signal.Signals(number).name} {pid}"))
    halfscan_sweeper._stop([Local("1"), Job("2_0"), Local("3")], Local)
    assert told == ["SIGTERM 1", "end 2_0", "SIGTERM 3", "end 1", "end 3"]


def test_a_launcher_that_is_stopped_stops_its_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    submitit = pytest.importorskip("submitit")
    monkeypatch.setattr(halfscan_sweeper, "_GRACE_S", 0.5)
    jobs = []

    def stopped() -> None:
        with halfscan_sweeper._patient():
            jobs.append(submitit.LocalExecutor(tmp_path).submit(time.sleep, 300))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    end = time.monotonic() + 20
    while not jobs[0].done():
        assert time.monotonic() < end, "it goes on"
        time.sleep(0.1)


def test_a_job_whose_end_can_not_be_read_stops_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    submitit = pytest.importorskip("submitit")

    def unreadable(job: object) -> list[object]:
        raise UnicodeDecodeError("utf-8", b"\xe2", 0, 1, "cut in a sign")

    with monkeypatch.context() as patch:
        patch.setattr(submitit.Job, "results", unreadable)
        with halfscan_sweeper._patient():
            job = submitit.LocalExecutor(tmp_path).submit(time.sleep, 3)
            assert job.results() == [None]
            assert not job.done()
    assert job.results() == [None], "it went on to its end"


def test_a_pack_finds_configurations_where_its_first_cell_did(small: list[str], work: Path) -> None:
    (work / "conf" / "model").mkdir(parents=True)
    (work / "conf" / "model" / "mine.yaml").write_text("_target_: halfscan.models.zero_filled.ZeroFilled\n")
    words = ["run", *small, f"hydra.searchpath=[file://{work}/conf]", "model=mine", "sampling.acceleration=2,3", "qa=none"]
    with halfscan(*words, "pack=2") as process:
        _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert len(rows_of(work)) == 2


TRAINING = ["run", *BRAINS, "trainer.steps=4000", "trainer.validate_every=1000", "trainer.checkpoint_every=4000", "threads=1"]


@pytest.mark.trials
def test_a_training_that_slurm_preempts_goes_on(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slurm holds a job back for two minutes before it starts again."""
    preempted, calm = _folders(work)
    for folder, own in ((preempted, launcher("slurm")), (calm, [])):
        monkeypatch.chdir(folder)
        with halfscan(*TRAINING, *own) as process:
            if own:
                _await_step_1000(folder)
                command = ["squeue", "-h", "-o", "%i", "-n", "halfscan", "-t", "R"]
                jobs = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
                assert len(jobs) == 1, jobs
                subprocess.run(["scancel", "--signal=USR2", *jobs], check=True)
            _, said = process.communicate(timeout=550)
        assert process.returncode == 0, said
    _same_but_for_reasons(preempted, calm)
    assert all("broken off and resumed" in str(rows["reasons"]) for rows in rows_of(preempted)), "no meter spans both parts"


@pytest.mark.services
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU on this machine")
def test_a_training_that_stops_on_a_gpu_goes_on(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped, calm = _folders(work)
    for folder, codes in ((stopped, (130, 0)), (calm, (0,))):
        monkeypatch.chdir(folder)
        for code in codes:
            with halfscan(*TRAINING, "device=cuda", "energy=none") as process:
                if code:
                    _await_step_1000(folder)
                    process.send_signal(signal.SIGTERM)
                _, said = process.communicate(timeout=300)
            assert process.returncode == code, said
    _same_but_for_reasons(stopped, calm)


def _folders(work: Path) -> tuple[Path, Path]:
    """Two with a store each."""
    folders = work / "stopped", work / "calm"
    for folder in folders:
        folder.mkdir()
        shutil.copy(work / "mlflow.db", folder)
    return folders


def _await_step_1000(folder: Path) -> None:
    end = time.monotonic() + 120
    while not any("step 1000" in path.read_text() for path in folder.glob("outputs/sweeps/*/jobs/*/halfscan.log")):
        assert time.monotonic() < end, "no training began"
        time.sleep(0.2)


def _same_but_for_reasons(stopped: Path, calm: Path) -> None:
    """Rows, weights and history."""
    for folder in (stopped, calm):
        assert runs(folder / "mlflow.db") == [("cell", "FINISHED"), ("sweep", "FINISHED")]
    for ours, theirs in zip(rows_of(stopped), rows_of(calm), strict=True):
        assert {**ours, "reasons": None} == {**theirs, "reasons": None}
    records = [json.loads(next(folder.glob("outputs/images/*/training.json")).read_text()) for folder in (stopped, calm)]
    assert records[0]["history"] == records[1]["history"]
    assert records[0]["weights_sha256"] == records[1]["weights_sha256"]
