"""Running Halfscan in tests: commands, what they left in the store and on disk, and small settings for them."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from halfscan.bench.cli import main
from halfscan.bench.rows import without_times

SWEEP = ["model=zero_filled,sense", "sampling.acceleration=2,3"]

BRAINS = [
    "dataset=digital_brains",
    *(f"dataset.{name}" for name in ("train=2", "validation=1", "test=2", "slices=1", "matrix=32", "coils=2")),
    *("sampling.acs_lines=12", "maps.calibration=12", "maps.kernel=4", "model=unet_fresh", "model.features=2"),
    *("trainer.steps=1", "trainer.accelerations=[2,4]", "protocol.echo_train_length=4"),
]

OUTSIDE = '''
import os, signal
from pathlib import Path
from torch.utils._python_dispatch import _get_current_dispatch_mode
from halfscan.models.zero_filled import ZeroFilled

class Fragile(ZeroFilled):
    """Fails or dies once, in the cell that is undersampled most."""
    def __call__(self, data):
        mark = Path("mark")
        counted = _get_current_dispatch_mode() is not None  # what fails then is done again uncounted
        if data.mask.float().mean() < 0.55 and not mark.exists() and not counted:
            mark.touch()
            if os.environ.get("FRAGILE") == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise RuntimeError("lost its\\nnerve")
        return super().__call__(data)
'''


def run(*words: str) -> int:
    return main(["run", *words])


def table(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert main(["table", "--json", *words]) == 0
    return json.loads(capsys.readouterr().out)


def runs(store: Path = Path("mlflow.db")) -> list[tuple[str, str]]:
    """(kind, status) of all runs in the store."""
    with sqlite3.connect(store) as connection:
        query = "select t.value, r.status from runs r join tags t on t.run_uuid = r.run_uuid where t.key = 'halfscan.kind'"
        found = sorted(connection.execute(query).fetchall())
    connection.close()
    return found


def rows_of(folder: Path, out: str = "outputs") -> list[dict[str, list[Any]]]:
    return [without_times(pq.read_table(path)) for path in sorted(folder.glob(f"{out}/sweeps/*/cells/*/rows.parquet"))]


def halfscan(*words: str, new_session: bool = False, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "import sys; from halfscan.bench.cli import main; sys.exit(main())", *words]
    return subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=new_session,
    )
