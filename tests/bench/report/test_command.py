"""`halfscan report`: the store's page again from the store alone, or one line that says why not, and nothing half-written."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from halfscan.bench.cli import main
from halfscan.bench.closing import close_sweep
from halfscan.bench.report import page as page_module

from ..claims.test_judge import CANDIDATE, QUALITY, arm
from .reading import kept
from .sweeps import Sweep, planted_sweep


@pytest.fixture
def at_rich(rich: Sweep, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sweep]:
    """In the folder of a store whose sweep's outputs are gone; it is left as it was found."""
    monkeypatch.chdir(rich.work)
    before = _files(rich.work)
    yield rich
    for path in _files(rich.work) - before:
        path.unlink()


def _files(folder: Path) -> set[Path]:
    # Not the database's own, which come and go.
    return {path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("mlflow.db")}


def _refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert main(["report", *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("halfscan: ")
    assert captured.err.count("\n") == 1
    return captured.err


@pytest.mark.parametrize("words", [[], ["rich"], ["ri"], ["rich", "--experiment", "halfscan"]])
def test_the_page_is_that_of_the_store_byte_for_byte(
    words: list[str], at_rich: Sweep, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not (at_rich.work / "outputs").exists()
    assert main(["report", *words]) == 0
    assert capsys.readouterr().out == "Page: halfscan-rich.html\n"
    assert Path("halfscan-rich.html").read_bytes() == (at_rich.kept.folder / "report.html").read_bytes()


def test_options_and_settings_of_the_ledger_in_any_order(at_rich: Sweep) -> None:
    assert main(["report", "rich", "--out", "late.html", "grid=de"]) == 0
    assert main(["report", "grid=de", "rich", "--out", "early.html"]) == 0
    assert "DE 381 g/kWh" in Path("late.html").read_text("utf-8")
    assert Path("late.html").read_bytes() == Path("early.html").read_bytes()


def test_the_store_may_lie_elsewhere(at_rich: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report", "--store", at_rich.store.uri, "--out", "page.html"]) == 0
    assert Path("page.html").read_bytes() == (at_rich.kept.folder / "report.html").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_folders_that_are_missing_are_made(at_rich: Sweep, tmp_path: Path) -> None:
    out = tmp_path / "a" / "b" / "page.html"
    assert main(["report", "--out", str(out)]) == 0
    assert out.read_bytes() == (at_rich.kept.folder / "report.html").read_bytes()
    assert [path.name for path in out.parent.iterdir()] == ["page.html"], "no draft stays behind"


def test_an_older_page_is_replaced(at_rich: Sweep, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    out.write_text("of yesterday")
    assert main(["report", "--out", str(out)]) == 0
    assert out.read_bytes() == (at_rich.kept.folder / "report.html").read_bytes()


def test_a_page_that_can_not_be_made_leaves_the_older_one(
    at_rich: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong while it is written."""
    out = tmp_path / "page.html"
    out.write_text("of yesterday")

    def fails(_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(page_module, "methods", fails)
    assert main(["report", "--out", str(out)]) == 130
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    assert out.read_text() == "of yesterday"


@pytest.mark.parametrize("words", [["zzz"], ["zzz", "--out", "page.html"], ["' or '1'='1"]])
def test_an_unknown_sweep_is_named(words: list[str], at_rich: Sweep, capsys: pytest.CaptureFixture[str]) -> None:
    before = _files(at_rich.work)
    assert f"no sweep {words[0]} in sqlite:" in (said := _refused(capsys, *words))
    assert "which holds rich" in said
    assert _files(at_rich.work) == before


def test_an_out_that_is_a_folder_or_can_not_be_written(
    at_rich: Sweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("no folder")
    assert f"--out {tmp_path} is a folder: name the HTML file" in _refused(capsys, "--out", str(tmp_path))
    assert "is a folder" in _refused(capsys, "--out", ".")
    assert "Not a directory" in _refused(capsys, "--out", str(tmp_path / "file" / "page.html"))
    # Not even root writes there.
    assert "--out /proc/here/page.html can't be written (/proc: " in _refused(capsys, "--out", "/proc/here/page.html")
    assert "can't be written" in _refused(capsys, "--out", "/proc/page.html")
    for length in (240, 300):
        assert "can't be written (File name too long)" in _refused(capsys, "--out", str(tmp_path / ("x" * length)))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "no folder"


def test_a_sweep_that_is_not_finished_has_no_page(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, manifest = planted_sweep({"sense": arm([0.9] * 3)}, [], here, sweep_id="open")
    before = _files(here)
    assert "sweep open is not finished: run `halfscan finish open`" in _refused(capsys, "open")
    assert _files(here) == before
    planted_sweep({"sense": arm([0.9] * 3)}, [], here, sweep_id="opposite")
    assert "2 sweeps begin with op: " in _refused(capsys, "op")
    close_sweep(manifest)
    assert main(["report", "open"]) == 0


def test_where_no_store_is_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert f"no store at {tmp_path}/mlflow.db" in _refused(capsys)
    assert list(tmp_path.iterdir()) == []


def test_a_store_whose_rows_are_damaged_is_refused_in_one_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, manifest = planted_sweep({"sense": arm([0.9] * 3)}, [], here, sweep_id="torn")
    close_sweep(manifest)
    rows = here / "mlartifacts" / manifest.parent_run / "artifacts" / "rows.parquet"
    rows.write_bytes(rows.read_bytes()[:-9])
    _refused(capsys, "torn")
    assert not Path("halfscan-torn.html").exists()
    shutil.rmtree(rows.parent)
    assert "sweep torn is not finished" in _refused(capsys, "torn")


def test_a_disk_that_is_full_leaves_nothing_half_written(
    at_rich: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert "can't be written (No space left on device)" in _refused(capsys, "--out", str(tmp_path / "page.html"))
    assert list(tmp_path.iterdir()) == []


def test_a_verdict_that_is_damaged_is_named_and_judging_it_again_mends_it(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = {"sense": arm([0.9, 0.8, 0.7]), "unet": arm([0.9, 0.8, 0.71], CANDIDATE)}
    _, manifest = planted_sweep(rows, [QUALITY], here, sweep_id="worn")
    close_sweep(manifest)
    found = kept(here, manifest.parent_run)
    path = found.folder / "verdicts" / "half_time" / "verdict.json"
    whole, page = path.read_text("utf-8"), found.page.html
    for damaged in (
        whole.replace('"schema_version": 1', '"schema_version": 7'),
        whole.replace('"threshold"', '"bound"'),
        whole[:100],
        "",
    ):
        path.write_text(damaged, "utf-8")
        assert main(["report", "worn", "--out", "worn.html"]) == 0
        said = "Claim half_time was registered and is not judged: its verdict in the store is damaged: judge it again"
        assert said in Path("worn.html").read_text("utf-8")
    assert main(["verify", "worn"]) == 0
    assert (path.read_text("utf-8"), found.page.html) == (whole, page)
