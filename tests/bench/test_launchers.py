"""Cells side by side in other processes give the rows of one after the other, bit for bit but for times."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from .running import SWEEP, halfscan, rows_of

LAUNCHERS = {"joblib": ["hydra.launcher.n_jobs=2"], "submitit_local": []}


def launcher(name: str) -> list[str]:
    pytest.importorskip(f"hydra_plugins.hydra_{name.partition('_')[0]}_launcher")
    return [f"hydra/launcher={name}", *LAUNCHERS[name]]


@pytest.mark.parametrize("name", LAUNCHERS)
def test_rows_do_not_depend_on_the_launcher(name: str, small: list[str], work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    basic, other = work / "basic", work / "other"
    for folder, words in ((basic, []), (other, launcher(name))):
        folder.mkdir()
        shutil.copy(work / "mlflow.db", folder)
        monkeypatch.chdir(folder)
        with halfscan("run", *small, *SWEEP, "qa=none", *words) as process:
            _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said
    assert rows_of(other) == rows_of(basic)
    assert len(rows_of(basic)) == 4


def test_a_cell_that_fails_elsewhere_is_named_and_stops_no_other(small: list[str], fragile: list[str], work: Path) -> None:
    with halfscan("run", *fragile, *small, "qa=none", *launcher("joblib")) as process:
        _, said = process.communicate(timeout=300)
    assert process.returncode == 1, said
    assert "lost its nerve" in said
    assert len(rows_of(work)) == 1
