"""Failing and killed cells, damaged caches, moved folders, odd names."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from halfscan.bench.cli import main

from ..conftest import phantom
from .running import OUTSIDE, halfscan, rows_of, run, runs, table

pytestmark = pytest.mark.usefixtures("work")


def test_a_failing_cell_stops_no_other_and_is_named(
    small: list[str], fragile: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(*fragile, *small) == 1
    errors = capfd.readouterr().err
    assert "sampling.acceleration=3" in errors
    assert "RuntimeError: lost its nerve" in errors
    assert runs() == [("cell", "FAILED"), ("cell", "FINISHED"), ("sweep", "FAILED")]
    assert run(*fragile, *small) == 0
    assert runs() == [("cell", "FINISHED"), ("cell", "FINISHED"), ("sweep", "FINISHED")]


def test_a_killed_cell_is_done_again_by_the_same_command(
    small: list[str], fragile: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    process = halfscan("run", *fragile, *small, FRAGILE="kill")
    process.communicate(timeout=120)
    assert process.returncode < 0
    assert ("cell", "RUNNING") in runs()
    assert main(["finish"]) == 1
    assert "its process was killed" in capsys.readouterr().err
    assert runs() == [("cell", "FINISHED"), ("cell", "KILLED"), ("sweep", "FAILED")]
    assert run(*fragile, *small) == 0
    assert runs() == [("cell", "FINISHED"), ("cell", "FINISHED"), ("sweep", "FINISHED")]
    assert len(table(capsys)) == 2


def test_sigterm_ends_a_sweep_as_an_interruption_does(small: list[str], fragile: list[str], work: Path) -> None:
    """In its second cell: the first one stays, nothing is left running, and the same command goes on."""
    (work / "outside.py").write_text(
        OUTSIDE.replace('raise RuntimeError("lost its\\nnerve")', "time.sleep(60)").replace("import os,", "import time, os,")
    )
    process = halfscan("run", *fragile, *small, "qa=none")
    end = time.monotonic() + 100
    while not (work / "mark").exists() and time.monotonic() < end:
        time.sleep(0.1)
    process.terminate()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "the same command goes on where it stopped" in said
    assert runs() == [("cell", "FINISHED"), ("cell", "KILLED"), ("sweep", "FAILED")]
    with halfscan("run", *fragile, *small, "qa=none") as process:  # this process may have read the model's source before
        _, said = process.communicate(timeout=100)
    assert process.returncode == 0, said
    assert runs() == [("cell", "FINISHED"), ("cell", "FINISHED"), ("sweep", "FINISHED")]


def test_two_processes_at_once_on_a_fresh_store(small: list[str], work: Path) -> None:
    (work / "mlflow.db").unlink()
    started = [halfscan("run", *small, f"sampling.acceleration={acceleration}") for acceleration in (2, 3)]
    for process in started:
        _, errors = process.communicate(timeout=180)
        assert process.returncode == 0, errors
    assert runs() == [("cell", "FINISHED")] * 2 + [("sweep", "FINISHED")] * 2


def test_a_data_set_that_another_process_logs_at_the_same_moment(
    small: list[str], work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both insert it, and the store lets one of them: the other finds it on its next try."""
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    log_inputs, tries = MlflowClient.log_inputs, []

    def losing_once(*arguments: object, **named: object) -> None:
        tries.append(arguments)
        if len(tries) == 1:
            raise MlflowException("UNIQUE constraint failed: datasets.name")
        log_inputs(*arguments, **named)

    monkeypatch.setattr(MlflowClient, "log_inputs", losing_once)
    assert run(*small) == 0
    assert len(tries) == 2


def test_a_damaged_cache_is_made_again(small: list[str], work: Path) -> None:
    assert run(*small) == 0
    first = rows_of(work)
    for name in ("status.json", "rows.parquet"):
        next(work.glob(f"outputs/sweeps/*/cells/*/{name}")).write_bytes(b"")
        assert run(*small) == 0
        assert rows_of(work) == first
    image = next(work.glob("outputs/images/*/00000.npy"))
    for damage in (lambda: image.write_bytes(image.read_bytes()[:-9]), image.unlink):
        damage()
        assert run(*small, "metrics=fastmri") == 0
        shutil.rmtree(next(work.glob("outputs/sweeps")))
    assert runs().count(("sweep", "FINISHED")) == 2


def test_what_a_sidecar_says_now_is_what_the_rows_say(small: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*small) == 0
    folder = Path(small[1].removeprefix("dataset.path="))
    for name in ("one", "two"):
        stated = {"axes": ["slice", "coil", "ky", "kx"], "provenance": "measured", "patient": "the same"}
        (folder / f"{name}.json").write_text(json.dumps(stated))
    assert run(*small) == 0
    (cell,) = table(capsys)
    assert (cell["provenance"], cell["patients"], cell["volumes"]) == ("measured", 1, 2)


def test_an_output_folder_may_be_moved(small: list[str], work: Path) -> None:
    assert run(*small) == 0
    (work / "outputs").rename(work / "moved")
    assert main(["finish", "--out", "moved"]) == 0
    assert runs() == [("cell", "FINISHED"), ("sweep", "FINISHED")]


@pytest.mark.parametrize("name", ["it's", "a, b", "x=y", "[b] (c) {d}", "50% $HOME"])
def test_odd_folder_names_do(name: str, small: list[str], work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (work / name).mkdir()
    monkeypatch.chdir(work / name)
    assert run(*small, f"tracking.uri=sqlite:///{work}/mlflow.db") == 0
    assert runs(work / "mlflow.db") == [("cell", "FINISHED"), ("sweep", "FINISHED")]


def test_a_file_in_the_place_of_the_sweeps(small: list[str], work: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (work / "outputs").mkdir()
    (work / "outputs" / "sweeps").touch()
    assert run(*small) == 2
    assert "can't be written" in capfd.readouterr().err
    assert runs() == []


@pytest.mark.parametrize("model", ["zero_filled", "sense"])
def test_full_sampling_without_a_centre(model: str, small: list[str]) -> None:
    assert run(*small, f"model={model}", "sampling.acceleration=1", "sampling.acs_lines=0") == 0


@pytest.mark.parametrize("axes", [["ky", "kx"], ["slice", "ky", "kx"], ["coil", "ky", "kx"]])
def test_data_without_a_coil_or_slice_axis(axes: list[str], write_kspace: Callable[..., Path]) -> None:
    kspace = phantom(slices=2, coils=2)[2].numpy()
    part = kspace[tuple(slice(None) if axis in axes else 0 for axis in ("slice", "coil", "ky", "kx"))]
    path = write_kspace("part", {"axes": axes}, part)
    assert run("dataset=array", f"dataset.path={path}", "model=sense", "sampling.acs_lines=16") == 0
