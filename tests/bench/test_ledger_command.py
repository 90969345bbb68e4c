"""`halfscan ledger`: from a sweep's rows to kWh an exam, null where a term is, and the site's own logs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from halfscan.bench.cli import main

from .ledger.test_power_log import LATER, day_of_exams, minutes, nightly, written
from .running import run

pytestmark = pytest.mark.usefixtures("work")

WALL = ["energy=wall", "energy.kwh=0.1", "energy.seconds=1200", "energy.volumes=600"]


def found(capsys: pytest.CaptureFixture[str], *words: str) -> dict:
    capsys.readouterr()
    assert main(["ledger", "--json", *words]) == 0
    return json.loads(capsys.readouterr().out)


def scenarios(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict]:
    """Of the only cell."""
    (cell,) = found(capsys, *words)["cells"]
    return cell["scenarios"]


def test_a_sweep_whose_energy_is_known(small: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*small, "model=zero_filled", "sampling.acceleration=4", *WALL) == 0
    prepared, idle, refilled = scenarios(capsys, "grid=de")
    assert 0 < prepared["terms"]["scanner"]["value"] < idle["terms"]["scanner"]["value"]
    assert prepared["terms"]["reconstruction"]["value"] == pytest.approx(-600 / 3.6e6, rel=1e-3)
    # Nothing is trained: there is nothing to pay back.
    assert prepared["terms"]["training"]["value"] == 0
    assert prepared["net"]["value"] == pytest.approx(prepared["terms"]["scanner"]["value"], rel=0.05)
    assert prepared["net"]["method"] == "assumed", "what the replaced scan's reconstruction took is not known"
    assert refilled["terms"]["scanner"]["value"] == 0
    assert scenarios(capsys, "grid=no")[0]["carbon"]["value"] < prepared["carbon"]["value"]


def test_no_net_where_nothing_was_counted(small: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*small, "model=zero_filled", "energy=none") == 0
    capsys.readouterr()
    assert main(["ledger"]) == 0
    out = capsys.readouterr().out
    assert "No net: reconstruction: machine: energy=none: it was not to be measured." in out
    assert "outer bounds" in out
    assert "Data: simulated" in out


def test_the_site_s_own_scanner(small: list[str], work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*small, "model=zero_filled", *WALL) == 0
    log = written(work / "scanner.csv", minutes(7, day_of_exams))
    capsys.readouterr()
    assert main(["ledger", "--power-log", str(log)]) == 0
    out = capsys.readouterr().out
    assert "Scanner: scanner (measured_wall; power log of the site)" in out
    assert "84 exams of 14.3 kWh each" in out
    assert "outer bounds" not in out, "they are one scanner's own"
    said = found(capsys, "--power-log", str(log), "scanner.cooling=[1.2,1.4]")
    assert any("84 exams of 14.3 kWh" in note for note in said["notes"]), "programs read what people do"
    assert any("cooling 1.2 to 1.4" in note for note in said["notes"])
    assert said["cells"][0]["evidence"] == "simulated"
    for word in ("scanner=woolen2023", "scanner.power_kw.idle=[5,6]"):
        assert main(["ledger", "--power-log", str(log), word]) == 2
        assert "--power-log both say what the scanner is" in capsys.readouterr().err


def test_cells_that_are_called_the_same_are_all_there(small: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*small, "model=zero_filled", "energy=none", "mask_replicate=0,1") == 0
    cells = found(capsys)["cells"]
    assert len({cell["cell"] for cell in cells}) == len(cells) == 2


def test_one_reading_is_one_cell_s(small: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", *small, "model=zero_filled,sense", *WALL]) == 2
    assert "one reading can't be that of several cells" in capsys.readouterr().err


def test_the_saving_off_peak(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = written(work / "a.csv", nightly(1.0, 1)), written(work / "b.csv", nightly(0.6, 2, start=LATER))
    assert main(["ledger", "--off-peak", str(before), str(after)]) == 0
    out = capsys.readouterr().out
    assert "30% claimed: " in out
    assert "hours of the week are in both logs" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["grid=atlantis"], "atlantis"),
        (["against=yesterday"], "against=yesterday is unknown"),
        (["service.pue=0.5"], "service.pue=0.5"),
        (["one", "two"], "one sweep at a time"),
        ([""], "name is empty"),
        (["+foo=1"], "no such setting"),
        (["dataset=x"], "no such setting"),
        (["~grid"], "Missing mandatory value: grid"),
        (["service.exams=abc"], "service.exams=abc"),
        (["service.embodied_kg=1e305"], "service.embodied_kg=1e+305"),
        (["scanner.power_kw.idle=[5]"], "power_kw.idle=[5] must be a range"),
        (["scanner.power_kw=5"], "power_kw"),
        (["scanner.cooling=1.8"], "cooling=1.8 must be a range"),
        (["scanner.several=maybe"], "several=maybe"),
        (["grid.intensity=abc"], "intensity=abc must be a number"),
        (["grid.year=abc"], "year=abc must be a year"),
        (["service.training_method=unavailable"], "training_method=unavailable is unknown"),
        (["--states", "idle,scan"], "only --power-log needs it"),
        (["--claimed", "0.2"], "only --off-peak needs it"),
        (["--zone", "Europe/Berlin"], "only --off-peak needs it"),
        (["--off-peak", "a.csv", "b.csv", "grid=de"], "stands alone"),
        (["--off-peak", "a.csv", "b.csv", "--power-log", "c.csv"], "stands alone"),
        (["--off-peak", "a.csv", "b.csv", "--zone", "Mars/Olympus"], "Mars/Olympus"),
        (["--power-log", "missing.csv"], "can't be read"),
    ],
)
def test_refusals(words: list[str], message: str, work: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["ledger", *words]) == 2
    error = capfd.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("word", ["service=null", "grid=null", "scanner=null"])
def test_a_part_that_is_nothing_is_refused_in_a_line(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ledger", word]) == 2
    assert capsys.readouterr().err.startswith("halfscan: ")


def test_a_sweep_without_a_finished_cell_has_no_ledger(
    fragile: list[str], small: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", *fragile, *small, "sampling.acceleration=3", "qa=none"]) == 1
    capsys.readouterr()
    assert main(["ledger"]) == 2
    assert "no cell has finished" in capsys.readouterr().err
