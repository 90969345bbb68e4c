"""Stores that tests of the page share: MLflow takes seconds to make one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from .sweeps import CLAIMS, SWEPT, Sweep, closed_sweep, rich_rows, working_in


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Path:
    """A working directory with a store, for all sweeps of a module."""
    folder = tmp_path_factory.mktemp("shelf")
    shutil.copy(empty_store, folder / "mlflow.db")
    return folder


@pytest.fixture
def here(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, as the working directory."""
    monkeypatch.chdir(shelf)
    return shelf


@pytest.fixture(scope="session")
def rich(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Sweep:
    """Closed once: the tests read its store, and do not change it. Its outputs are deleted."""
    folder = tmp_path_factory.mktemp("rich")
    shutil.copy(empty_store, folder / "mlflow.db")
    with working_in(folder):
        sweep = closed_sweep(rich_rows(), CLAIMS, folder, swept=SWEPT, pictures=True, sweep_id="rich")
    shutil.rmtree(folder / "outputs")
    return sweep
