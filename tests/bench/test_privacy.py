"""Nothing that names a patient reaches the store."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from halfscan.bench.cli import main
from halfscan.bench.privacy import redact, redact_overrides

from ..conftest import phantom
from .running import run

pytestmark = pytest.mark.usefixtures("work")


def _fails_naming(path: Path) -> Callable[..., Any]:
    def fail(*_: Any) -> Any:
        raise OSError(f"{path} is gone")

    return fail


def test_nothing_in_the_store_names_a_patient(
    write_kspace: Callable[..., Path], work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stated = {"axes": ["slice", "coil", "ky", "kx"], "patient": "Doe^John", "provenance": "measured"}
    path = write_kspace("DOE_JOHN", stated, phantom(slices=1, coils=2)[2].numpy())
    overrides = [f"dataset.path={path}", "sampling.acs_lines=10", "maps.calibration=10", "sampling.acceleration=2,3"]
    assert run("dataset=array", *overrides) == 0
    assert main(["table"]) == 0
    narrow = write_kspace("DOE_JANE", {"axes": ["slice", "coil", "ky", "kx"]}, phantom(slices=1, coils=2)[2].numpy())
    path = narrow.with_name("DOE_CHANGING.npz")
    shutil.copy(narrow, path)
    shutil.copy(narrow.with_suffix(".json"), path.with_suffix(".json"))
    monkeypatch.setattr("halfscan.bench.job.measure", _fails_naming(path))
    assert run("dataset=array", f"dataset.path={path}", "sampling.acs_lines=10", "maps.calibration=10") == 1
    for file in (work / "mlflow.db", *(work / "mlartifacts").rglob("*")):
        if file.is_file():
            assert b"DOE_" not in file.read_bytes().upper(), file
    for file in work.rglob("rows.parquet"):
        assert b"DOE_" not in file.read_bytes().upper()


def test_the_page_names_no_path(write_kspace: Callable[..., Path], work: Path) -> None:
    paths = [write_kspace(name, kspace=phantom(slices=1, coils=2)[2].numpy()) for name in ("DOE_JOHN", "DOE_JANE")]
    swept = "dataset.path=" + ",".join(map(str, paths))
    assert run("dataset=array", swept, "sampling.acs_lines=10", "maps.calibration=10") == 0
    for file in (work / "mlflow.db", *(work / "mlartifacts").rglob("*")):
        assert file.is_dir() or b"DOE_" not in file.read_bytes().upper(), file


def test_the_name_of_a_weights_file_stays_here(brains: list[str], work: Path) -> None:
    assert run(*brains) == 0
    folder = work / "DOE_JANE"
    shutil.copytree(next(work.glob("outputs/weights/*")), folder)
    assert run(*brains, f"model.weights={folder}/weights.safetensors", "sampling.acceleration=2,4") == 0
    for file in (work / "mlflow.db", *(work / "mlartifacts").rglob("*")):
        assert file.is_dir() or b"DOE_" not in file.read_bytes().upper(), file


def test_a_path_is_one_whatever_its_setting_is_called() -> None:
    """A network from somebody's own YAML names its files as it likes."""
    config = {"model": {"checkpoint": "/data/DOE_JANE/a.ckpt", "parts": "7/8", "name": "net"}, "root": "C:\\DOE_JANE"}
    found = redact(config)
    assert "DOE_JANE" not in str(found)
    assert (found["model"]["parts"], found["model"]["name"]) == ("7/8", "net")
    assert "DOE_JANE" not in redact_overrides(["model.checkpoint=../DOE_JANE/a.ckpt"])[0]
