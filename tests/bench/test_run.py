"""`halfscan run` from the command line to the store and back: what a sweep leaves behind, and how it resumes."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from halfscan.bench.cli import main

from .running import SWEEP, halfscan, rows_of, run, runs, table

pytestmark = pytest.mark.usefixtures("work")


def test_a_sweep_from_command_to_table(small: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*small, *SWEEP) == 0
    printed = capsys.readouterr().out
    for word in ("scan s", "vs full", "vs SENSE R=2", "SSIM", "PSNR", "NMSE", "ms/slice", "Energy: not measured ("):
        assert word in printed
    assert runs() == [("cell", "FINISHED")] * 4 + [("sweep", "FINISHED")]
    cells = table(capsys)
    assert [cell["swept"] for cell in cells] == [
        {"model": model, "sampling.acceleration": acceleration} for model in ("zero_filled", "sense") for acceleration in "23"
    ]
    for cell in cells:
        assert cell["provenance"] == "processed"
        assert cell["evidence"] == "simulated"
        assert cell["patients"] == cell["volumes"] == 2
        assert cell["energy"]["value"] is None
        assert cell["energy"]["reason"]
        assert cell["acceleration"]["achieved"] < cell["acceleration"]["nominal"]
        assert cell["scan_seconds"]["low"] <= cell["scan_seconds"]["value"] <= cell["scan_seconds"]["high"]
        ssim = cell["metrics"]["ssim@mvue"]
        assert ssim["ci95"][0] < ssim["mean"] < ssim["ci95"][1]
    assert cells[2]["metrics"]["nmse@mvue"]["mean"] < cells[0]["metrics"]["nmse@mvue"]["mean"]


def test_models_at_one_spec_share_the_mask(small: list[str], work: Path) -> None:
    assert run(*small, *SWEEP) == 0
    hashes: dict[float, set[tuple[str, ...]]] = {}
    for rows in rows_of(work):
        hashes.setdefault(rows["nominal_acceleration"][0], set()).add(tuple(rows["mask_hash"]))
    assert {acceleration: len(found) for acceleration, found in hashes.items()} == {2.0: 1, 3.0: 1}


def test_the_parent_holds_what_a_reviewer_needs(small: list[str], work: Path) -> None:
    assert run(*small) == 0
    artifacts = {"/".join(path.relative_to(work / "mlartifacts").parts[2:]) for path in (work / "mlartifacts").rglob("*.*")}
    assert artifacts == {"rows.parquet", "sweep.json", "config.json", "report.html", "pictures/pictures.json"}, (
        "no picture: nobody said the data may be shown"
    )
    with sqlite3.connect("mlflow.db") as connection:
        tags = dict(connection.execute("select key, value from tags").fetchall())
        inputs = connection.execute("select name, digest from datasets").fetchall()
    connection.close()
    assert "supports no claim on scan time" in tags["mlflow.note.content"]
    assert tags["halfscan.energy"].startswith("not measured: ")
    assert inputs == [("array", tags["halfscan.dataset_digest"][:36])]


def test_pictures_where_the_data_may_be_shown(work: Path) -> None:
    assert run("dataset=sample", "dataset.slices=1", "dataset.coils=2", "sampling.acs_lines=12") == 0
    assert len(list((work / "mlartifacts").rglob("picture.png"))) == 1


def test_the_same_command_runs_no_cell_again(small: list[str], work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*small, *SWEEP) == 0
    first = table(capsys)
    stamps = {path: path.stat().st_mtime_ns for path in work.rglob("rows.parquet") if "cells" in path.parts}
    images = {path: path.stat().st_mtime_ns for path in work.glob("outputs/images/*/record.json")}
    assert run(*small, *SWEEP) == 0
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert {path: path.stat().st_mtime_ns for path in work.glob("outputs/images/*/record.json")} == images
    assert table(capsys) == first
    assert runs() == [("cell", "FINISHED")] * 4 + [("sweep", "FINISHED")]


def test_another_protocol_rescores_the_saved_images(small: list[str], work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*small) == 0
    before = {path: path.stat().st_mtime_ns for path in work.glob("outputs/images/*/record.json")}
    assert run(*small, "protocol.tr_s=1.5") == 0
    assert {path: path.stat().st_mtime_ns for path in work.glob("outputs/images/*/record.json")} == before
    assert len(list(work.glob("outputs/sweeps/*"))) == 2


def test_a_grown_sweep_reuses_images_and_a_lost_store_gets_its_runs_again(small: list[str], work: Path) -> None:
    # In a process of its own: this one would keep its connection to the deleted file.
    process = halfscan("run", *small, "model=sense", "sampling.acceleration=2")
    process.communicate(timeout=120)
    assert process.returncode == 0
    (work / "mlflow.db").unlink()
    assert run(*small, "model=sense", "sampling.acceleration=2") == 0
    assert runs() == [("cell", "FINISHED"), ("sweep", "FINISHED")]
    assert len(list(work.glob("outputs/images/*"))) == 1


def test_fresh_folders_give_identical_rows(small: list[str], work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for name in ("a", "b"):
        (work / name).mkdir()
        monkeypatch.chdir(work / name)
        assert run(*small, *SWEEP) == 0
        found.append(rows_of(work / name))
    assert len(found[0]) == 4
    assert found[0] == found[1]


def test_sweeps_by_the_beginning_of_their_id(small: list[str], work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*small) == 0
    assert run(*small, "mask_replicate=1") == 0
    for folder in work.glob("outputs/sweeps/*"):
        assert len(table(capsys, folder.name[:6])) == 1
    assert main(["table", "zzz"]) == 2
    assert "no sweep zzz" in capsys.readouterr().err
    assert main(["table", "--profile", "calgary"]) == 2
    assert "was scored in fastmri, mvue" in capsys.readouterr().err


def test_an_empty_store_is_named(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["table", "--store", f"sqlite:///{work}/none.db"]) == 2
    assert "no store at" in capsys.readouterr().err
    assert not (work / "none.db").exists()
    assert main(["finish", "/nope"]) == 2
    assert "no sweep at /nope" in capsys.readouterr().err
    assert main(["table"]) == 2
    assert "start one with `halfscan run`" in capsys.readouterr().err
    assert main(["finish"]) == 2
    assert "no sweep" in capsys.readouterr().err


def test_the_environment_names_the_store(small: list[str], work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{work}/team.db")
    assert run(*small) == 0
    assert runs(work / "team.db") == [("cell", "FINISHED"), ("sweep", "FINISHED")]
    assert runs() == []


def test_doctor_names_what_is_broken(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    assert "torch" in capsys.readouterr().out
    (work / "garbage.db").write_text("this is no database")
    for store in ("sqlite:////proc/x.db", f"sqlite:///{work}/garbage.db"):
        assert main(["doctor", "--store", store]) == 1
    assert "MLFLOW_TRACKING_URI" in " ".join(capsys.readouterr().out.split())
