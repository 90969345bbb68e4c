"""On real k-space beside the project: SENSE and wavelets come near the classical reference, and one coil runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from halfscan.bench.cli import main


def _cells(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict]:
    assert main(["run", "dataset=array", *words]) == 0
    capsys.readouterr()
    assert main(["table", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_classical_methods_on_a_measured_brain(
    real: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Reference, weights tuned with the truth: NMSE in the head at R=2 (true 1.68) and R=4 (true 2.56).

    SENSE 0.00056 and 0.0038, wavelets 0.00048 and 0.0022; ours were tuned on simulated patients.
    """
    monkeypatch.chdir(tmp_path)
    words = [f"dataset.path={real('pulseq_brain_head16')}", "model=zero_filled,sense,wavelet", "sampling.acceleration=2,4"]
    scores = {}
    for cell in _cells(capsys, *words):
        assert cell["provenance"] == "measured"
        assert cell["truth"] == {"source": "full_kspace", "shares_noise": True}
        scores[cell["model"], cell["acceleration"]["nominal"]] = cell
    assert scores["sense", 2.0]["acceleration"]["achieved"] == pytest.approx(1.68, abs=0.01)
    assert scores["sense", 4.0]["acceleration"]["achieved"] == pytest.approx(2.56, abs=0.01)
    nmse = {key: cell["metrics"]["nmse_object@mvue"]["mean"] for key, cell in scores.items()}
    assert nmse["sense", 2.0] < 1.1 * 0.00056
    assert nmse["sense", 4.0] < 1.1 * 0.0038
    assert nmse["wavelet", 2.0] < 1.03 * 0.00048
    assert nmse["wavelet", 4.0] < 1.03 * 0.0022
    assert nmse["zero_filled", 2.0] == pytest.approx(0.0085, rel=0.1)
    assert nmse["zero_filled", 4.0] == pytest.approx(0.0186, rel=0.1)


def test_a_patient_with_one_coil(
    real: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (cell,) = _cells(capsys, f"dataset.path={real('ulf_p6A_fse')}", "model=sense", "sampling.acceleration=2")
    assert cell["provenance"] == "processed"
    assert cell["metrics"]["ssim@fastmri"]["mean"] > 0.8
    assert cell["metrics"]["ssim@fastmri"]["reason"] == "one patient: no confidence interval"
