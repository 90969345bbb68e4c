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
    assert found["left_out"] == ["only A has equispaced R=4 with 24 ACS lines, tse_knee, knees"]
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
    assert "1 patient\n" in printed
    assert "not compared (nmse@mvue is null in 1 of 1 volumes" in printed


def test_what_can_not_be_compared_is_refused_in_one_line(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    close(work, {"a": side("a"), "b": side("b")}, "first")
    other = [replace(row, dataset="brains", patient=f"x{row.patient}") for row in side("c", **R4)]
    close(work, {"c": other, "d": side("d", mask_hash="another")[:20], "e": side("e", mask_hash="another")}, "second")
    assert "no sweep zzz in sqlite:" in refused(capsys, "zzz", "first")
    assert "no sweep nope" in refused(capsys, "c", "nope")
    assert "A (first) holds the models a, b: name one, such as first:a" in refused(capsys, "first", "c")
    assert "sweep first has no such cell; it holds a R=2, b R=2" in refused(capsys, "first:z", "c")
    assert "rows have no column 'colour'" in refused(capsys, "first:colour=red", "c")
    assert "nominal_acceleration=two is no number" in refused(capsys, "nominal_acceleration=two", "c")
    assert "the arms differ in dataset" in refused(capsys, "first:a", "c")
    assert "the arms do not share their patients" in refused(capsys, "first:a", "d")
    assert "different masks" in refused(capsys, "first:a", "e")
    assert "A and B are the same cells of sweep second" in refused(capsys, "d", "second:d")


def test_a_metric_can_be_named(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    close(work, {"old": side("old"), "new": side("new", 0.03)})
    found = compared(capsys, "old", "new", "--metric", "nmse@mvue")["comparisons"][0]["metrics"]
    assert [one["metric"] for one in found] == ["nmse@mvue"]
    absent = compared(capsys, "old", "new", "--metric", "vif@mvue")["comparisons"][0]["metrics"][0]
    assert absent["effect"]["value"] is None
    assert "it was not scored" in absent["effect"]["reason"]
