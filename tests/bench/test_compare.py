"""Two sides against each other: known differences are found, cells meet where they should, what can't be compared is named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from halfscan.bench.cli import main
from halfscan.bench.closing import close_sweep
from halfscan.bench.rows import Row

from .claims.test_judge import CANDIDATE, arm, baseline, spread
from .planted import plant

pytestmark = pytest.mark.usefixtures("work")

PATIENTS = 30
LEVEL = baseline(PATIENTS)
R4 = {name: value for name, value in CANDIDATE.items() if name not in ("model", "train_seed")}


def side(model: str, shift: float = 0.0, *, factor: float = 1.0, **changes: Any) -> list[Row]:
    """A model's rows whose SSIM lies above the level by a shift with a spread, and whose NMSE is a multiple."""
    ssim = LEVEL + spread(PATIENTS, shift)
    nmse = 0.01 * factor * np.exp(spread(PATIENTS, 0.0, 0.1))
    return arm({"ssim@mvue": ssim.tolist(), "nmse@mvue": nmse.tolist()}, model=model, **changes)


def close(work: Path, cells: dict[str, list[Row]], sweep_id: str = "planted") -> None:
    close_sweep(plant(cells, [], work, sweep_id=sweep_id)[1])


def compared(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["compare", "--json", *words]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert main(["compare", *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err


def test_a_known_difference_is_found_with_its_sign(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    close(work, {"old": side("old"), "new": side("new", 0.03, factor=2.0)})
    found = compared(capsys, "old", "new")["comparisons"]
    assert len(found) == 1
    assert found[0]["patients"] == PATIENTS
    ssim, nmse = found[0]["metrics"]
    assert (ssim["metric"], ssim["kind"], ssim["b_is_better"]) == ("ssim@mvue", "difference", True)
    assert ssim["effect"]["value"] == pytest.approx(0.03)
    assert (nmse["kind"], nmse["b_is_better"]) == ("ratio", False)
    assert nmse["effect"]["value"] == pytest.approx(2.0)
    turned = compared(capsys, "new", "old")["comparisons"][0]["metrics"]
    assert turned[0]["effect"]["value"] == pytest.approx(-0.03)
    assert turned[1]["effect"]["value"] == pytest.approx(0.5)
    assert [one["b_is_better"] for one in turned] == [False, True]


def test_the_interval_is_no_narrower_than_student_s(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = side("old"), side("new")
    noise = spread(PATIENTS, 0.001, 0.01)[::-1]
    b = [replace(row, metrics={**row.metrics, "ssim@mvue": float(LEVEL[index] + noise[index])}) for index, row in enumerate(b)]
    close(work, {"old": a, "new": b})
    effect = compared(capsys, "old", "new")["comparisons"][0]["metrics"][0]["effect"]
    differences = np.array([theirs.metrics["ssim@mvue"] - ours.metrics["ssim@mvue"] for ours, theirs in zip(a, b, strict=True)])
    low, high = stats.t.interval(0.95, PATIENTS - 1, differences.mean(), stats.sem(differences))
    assert effect["value"] == pytest.approx(differences.mean())
    assert effect["low"] <= low + 1e-12
    assert effect["high"] >= high - 1e-12
    assert compared(capsys, "old", "new")["comparisons"][0]["metrics"][0]["b_is_better"] is None


def test_two_sweeps_meet_where_they_share_a_sampling(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    close(work, {"unet": side("unet"), "unet4": side("unet", -0.02, **R4)}, "first")
    close(work, {"unet": side("unet", 0.01)}, "second")
    found = compared(capsys, "first", "second")
    assert (found["a"], found["b"]) == ("first", "second")
    assert [one["metrics"][0]["effect"]["value"] for one in found["comparisons"]] == [pytest.approx(0.01)]
    assert found["notes"][:-1] == ["only A has equispaced R=4 with 24 ACS lines, tse_knee, knees"]
    words = compared(capsys, "fir:unet,nominal_acceleration=4", "sec:model=unet")["comparisons"][0]
    assert words["metrics"][0]["effect"]["value"] == pytest.approx(0.03)
    assert words["scan_s"] == {"a": 28.0, "b": 60.0}
    assert main(["compare", "first", "second"]) == 0
    printed = capsys.readouterr().out
    assert "difference +0.010" in printed
    assert "only A has equispaced R=4" in printed
    assert "nothing is supported by it" in printed


def test_sweeps_of_the_same_models_are_compared_model_by_model(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    close(work, {"a": side("a"), "b": side("b")}, "first")
    close(work, {"a": side("a", 0.01), "b": side("b", 0.02)}, "second")
    found = compared(capsys, "first", "second")["comparisons"]
    assert [one["metrics"][0]["effect"]["value"] for one in found] == [pytest.approx(0.01), pytest.approx(0.02)]


def test_training_seeds_widen_the_interval(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shifts = (-0.02, -0.01, 0.0, 0.01, 0.02)
    cells = {f"net{seed}": side("net", 0.01 + shift, train_seed=seed) for seed, shift in enumerate(shifts)}
    close(work, {"old": side("old"), **cells})
    many = compared(capsys, "old", "net")["comparisons"][0]
    turned = compared(capsys, "net", "old")["comparisons"][0]["metrics"][0]["effect"]
    assert (-turned["value"], -turned["low"]) == pytest.approx(
        (many["metrics"][0]["effect"]["value"], many["metrics"][0]["effect"]["high"])
    )
    one = compared(capsys, "old", "model=net,train_seed=2")["comparisons"][0]
    widths = [found["metrics"][0]["effect"]["high"] - found["metrics"][0]["effect"]["low"] for found in (many, one)]
    assert many["b"].endswith("training seeds 0, 1, 2, 3, 4")
    assert many["metrics"][0]["effect"]["value"] == pytest.approx(one["metrics"][0]["effect"]["value"])
    assert widths[0] > 5 * widths[1]
    assert many["metrics"][0]["b_is_better"] is None


def test_one_patient_has_no_interval_and_a_null_score_no_difference(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = side("old")[:1], side("new", 0.02)[:1]
    b = [replace(row, metrics={**row.metrics, "nmse@mvue": None}, reasons={"nmse@mvue": "the truth is zero"}) for row in b]
    close(work, {"old": a, "new": b})
    ssim, nmse = compared(capsys, "old", "new")["comparisons"][0]["metrics"]
    assert (ssim["effect"]["low"], ssim["b_is_better"]) == (None, None)
    assert ssim["effect"]["reason"] == "one patient: no confidence interval"
    assert nmse["effect"]["value"] is None
    assert "the truth is zero" in nmse["effect"]["reason"]
    assert main(["compare", "old", "new"]) == 0
    printed = capsys.readouterr().out
    assert "1 patient, below 20" in printed
    assert "not compared (nmse@mvue is null in 1 of 1 volumes" in printed


def test_what_can_not_be_compared_is_refused_in_one_line(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    close(work, {"a": side("a"), "b": side("b")}, "first")
    other = [replace(row, dataset="brains", patient=f"x{row.patient}") for row in side("c", **R4)]
    close(work, {"c": other, "d": side("d", mask_hash="another")[:20], "e": side("e", mask_hash="another")}, "second")
    assert "A (zzz): no sweep begins so, and sweep second has no such cell" in refused(capsys, "zzz", "first")
    assert "no sweep nope in sqlite:" in refused(capsys, "c", "nope:c")
    assert "A (first) holds the models a, b: name one, such as first:a" in refused(capsys, "first", "c")
    assert "sweep first has no such cell; it holds a R=2, b R=2" in refused(capsys, "first:z", "c")
    assert "rows have no column 'colour'" in refused(capsys, "first:colour=red", "c")
    assert "nominal_acceleration=two is no number" in refused(capsys, "nominal_acceleration=two", "c")
    assert "the arms differ in dataset" in refused(capsys, "first:a", "c")
    assert "the arms do not share their patients" in refused(capsys, "first:a", "d")
    assert "different masks" in refused(capsys, "first:a", "e")
    assert "A and B are the same rows of sweep second" in refused(capsys, "d", "second:d")


def test_rows_are_selected_not_cells(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A contrast of cells that hold two is that contrast alone."""
    cells = {
        name: [
            *side(name, pd, contrast="PD"),
            *(replace(row, volume=f"{row.volume}fs") for row in side(name, fs, contrast="PDFS")),
        ]
        for name, pd, fs in (("old", 0.0, 0.0), ("new", 0.01, -0.1))
    }
    close(work, cells)
    found = [
        compared(capsys, f"model=old,contrast={one}", f"model=new,contrast={one}")["comparisons"][0] for one in ("PD", "PDFS")
    ]
    assert [one["metrics"][0]["effect"]["value"] for one in found] == [pytest.approx(0.01), pytest.approx(-0.1)]
    assert found[0]["metrics"][0]["a"]["value"] == pytest.approx(LEVEL.mean())
    assert compared(capsys, "old", "new")["comparisons"][0]["metrics"][0]["effect"]["value"] == pytest.approx(-0.045)


def test_few_patients_and_simulated_data_are_told_and_conclude_nothing(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    simulated = {"provenance": "simulated", "evidence": "simulated", "caveat": "they are one anatomy"}
    close(work, {"old": side("old", **simulated)[:2], "new": side("new", 0.05, **simulated)[:2]})
    found = compared(capsys, "old", "new")
    one = found["comparisons"][0]
    assert [metric["b_is_better"] for metric in one["metrics"]] == [None, None]
    assert one["evidence"] == "simulated k-space, simulated comparison"
    assert one["caveats"] == ["they are one anatomy"]
    assert "nothing is supported by it" in found["notes"][-1]
    assert main(["compare", "old", "new"]) == 0
    printed = capsys.readouterr().out
    assert "better" not in printed
    assert "2 patients, below 20 nothing is concluded; simulated k-space" in printed
    assert "data: they are one anatomy" in printed


def test_other_data_under_the_same_name_are_refused(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    close(work, {"a": side("a")}, "first")
    close(work, {"b": side("b", slices=2)}, "second")
    assert "volume v000 has slices=16 in the reference arm and 2 in the candidate's" in refused(capsys, "first", "second")


def test_a_metric_without_a_known_direction_gets_no_word(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And one whose direction is known gets the right one."""
    scores = {"mine@mvue": LEVEL, "nmse_object@mvue": 0.01 + 0.1 * (1 - LEVEL)}
    better = {"mine@mvue": LEVEL + spread(PATIENTS, 0.05), "nmse_object@mvue": scores["nmse_object@mvue"] * 0.5}
    cells = {
        name: arm({key: found.tolist() for key, found in one.items()}, model=name)
        for name, one in (("old", scores), ("new", better))
    }
    close(work, cells)
    words = ["--metric", "mine@mvue", "--metric", "nmse_object@mvue"]
    mine, nmse = compared(capsys, "old", "new", *words)["comparisons"][0]["metrics"]
    assert mine["b_is_better"] is None
    assert nmse["b_is_better"] is True
    assert nmse["effect"]["value"] == pytest.approx(0.5)


def test_one_metric_that_has_no_ratio_leaves_the_others(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    b = side("new", 0.02)
    b[3] = replace(b[3], metrics={**b[3].metrics, "nmse@mvue": 0.0})
    close(work, {"old": side("old"), "new": b})
    ssim, nmse = compared(capsys, "old", "new")["comparisons"][0]["metrics"]
    assert ssim["b_is_better"] is True
    assert "has no logarithm" in nmse["effect"]["reason"]


def test_a_sweep_that_runs_now_is_no_hindrance(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    close(work, {"old": side("old"), "new": side("new", 0.02)}, "first")
    plant({"late": side("late")}, [], work, sweep_id="running")
    assert compared(capsys, "old", "new")["a"] == "first"
    assert compared(capsys, "first:old", "first:new")["a"] == "first"
    assert "not finished" in refused(capsys, "running:late", "old")


def test_a_metric_can_be_named(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    close(work, {"old": side("old"), "new": side("new", 0.03)})
    found = compared(capsys, "old", "new", "--metric", "nmse@mvue")["comparisons"][0]["metrics"]
    assert [one["metric"] for one in found] == ["nmse@mvue"]
    absent = compared(capsys, "old", "new", "--metric", "vif@mvue")["comparisons"][0]["metrics"][0]
    assert absent["effect"]["value"] is None
    assert "it was not scored" in absent["effect"]["reason"]
