"""Kills without a word, of launchers, their workers, the tracking server and its database, at random moments: after a last start
every cell is there once, none is lost, and nothing is left running."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from .running import halfscan, rows_of
from .servers import Postgres, Server, needs_postgres, postgres, server

pytestmark = pytest.mark.usefixtures("work")

SLOW = '''
import time
from halfscan.models.zero_filled import ZeroFilled

class Slow(ZeroFilled):
    """Takes long enough to be killed."""
    def __call__(self, data):
        time.sleep(0.4)
        return super().__call__(data)
'''
CELLS = ["model=slow", "sampling.acceleration=2,3", "mask_replicate=0,1,2", "qa=none"]


def kill(target: str, process: subprocess.Popen[str], store: Server, database: Postgres) -> None:
    if target == "server":
        store.kill()
    elif target == "database":
        database.kill()
    elif target == "worker":
        children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
        if children:
            os.kill(int(children[-1]), signal.SIGKILL)
    elif process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


def chaos(work: Path, small: list[str], kills: int, seed: int) -> Counter[str]:
    """So many kills, a restart after each, and a last start that ends well; returns what was killed."""
    (work / "slow.py").write_text(SLOW)
    (work / "conf" / "model").mkdir(parents=True)
    (work / "conf" / "model" / "slow.yaml").write_text("_target_: slow.Slow\ncombination: mvue\n")
    rng = random.Random(seed)
    killed: Counter[str] = Counter()
    with postgres() as database, server(work / "server", database.uri) as store:
        environment = {"PYTHONPATH": str(work), "MLFLOW_TRACKING_URI": store.uri, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}

        def start(folder: str, launcher: list[str]) -> subprocess.Popen[str]:
            words = ["run", "--config-dir", "conf", *small, *CELLS, f"out={folder}", *launcher]
            return halfscan(*words, new_session=True, **environment)

        for _ in range(kills):
            launcher = rng.choice([[], ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]])
            target = rng.choice(["launcher", "server", "database", *(["worker"] if launcher else [])])
            with start("chaos", launcher) as process:
                end = time.monotonic() + rng.uniform(5, 13)
                while time.monotonic() < end and process.poll() is None:
                    time.sleep(0.05)
                kill(target, process, store, database)
                killed[target] += 1
                process.communicate(timeout=200)
            # What joblib's pool leaves behind when its launcher is killed.
            subprocess.run(["pkill", "-KILL", "-g", str(process.pid)], check=False)
            if target == "database":
                database.start()
            if store.process is None:
                store.start()
        for folder, experiment in (("chaos", "halfscan"), ("calm", "calm")):
            with start(folder, [f"tracking.experiment={experiment}"] if experiment == "calm" else []) as process:
                _, said = process.communicate(timeout=300)
            assert process.returncode == 0, said
        found = _statuses(store)
    assert found == {"halfscan": ["FINISHED"] * 7, "calm": ["FINISHED"] * 7}
    chaotic, calm = (sorted((work / folder).glob("sweeps/*/cells/*/rows.parquet")) for folder in ("chaos", "calm"))
    assert [path.parent.name for path in chaotic] == [path.parent.name for path in calm]
    assert rows_of(work, "chaos") == rows_of(work, "calm")
    return killed


def _statuses(store: Server) -> dict[str, list[str]]:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(store.uri)
    return {
        name: [run.info.status for run in client.search_runs([client.get_experiment_by_name(name).experiment_id])]  # type: ignore[union-attr]
        for name in ("halfscan", "calm")
    }


@pytest.mark.services
@needs_postgres
def test_five_kills(small: list[str], work: Path) -> None:
    killed = chaos(work, small, 5, seed=1)
    assert set(killed) == {"launcher", "worker", "server", "database"}


@pytest.mark.trials
@needs_postgres
@pytest.mark.parametrize("seed", range(2, 10))
def test_forty_kills(seed: int, small: list[str], work: Path) -> None:
    chaos(work, small, 5, seed)
