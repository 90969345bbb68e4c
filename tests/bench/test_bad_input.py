"""Bad input is one clear line, and nothing is half-written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from .running import run, runs

pytestmark = pytest.mark.usefixtures("work")


BAD = {
    "dataset.path=/no/such/file.npz": "no such file or folder",
    "sampling.acceleration=0.5": "sampling.acceleration=0.5 must be at least 1",
    "sampling.acs_lines=41": "larger than the 40 lines",
    "sampling.acs_lines=2": "sensitivity maps need at least 4 ACS lines",
    "sampling=random sampling.acceleration=8": "ACS lines alone are more than",
    "protocol.tr_s=0": "protocol.tr_s=0",
    "protocol.preparation_s=inf": "protocol.preparation_s=inf",
    "dataset.patient_pattern='(X)?n'": "finds no patient",
    "protocol.echo_train_length=100": "longer than the",
    "dataset.axes=[coil,slice,ky]": "does not fit the axes",
    "threads=0": "threads=0 must be at least 1",
    "mask_replicate=-1": "mask_replicate=-1",
    "device=tpu": "device=tpu",
    "nonsense=1": "nonsense",
    "sampling.accelaration=4": "accelaration",
    "sampling.acceleration=fast": "fast",
    "model=nonsense": "nonsense",
    "model._target_=nowhere.Model": "nowhere.Model",
    "model.iterations=3": "iterations",
    "metrics.mvue.truth=median": "median",
    "out=/proc/halfscan": "can't be written",
    "tracking.uri=sqlite:////proc/halfscan.db": "tracking store",
    "tracking.uri=nonsense://x": "tracking store",
    "model=": "model",
    "sampling.acceleration=2,": "halfscan:",
}


@pytest.mark.parametrize("override", BAD)
def test_bad_input_is_one_clear_line(override: str, small: list[str], work: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(*small, *override.split(" ")) == 2
    lines = capfd.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("halfscan: ")
    assert BAD[override] in lines[0]
    assert runs() == []
    assert not list(work.glob("outputs/images/*"))


def test_one_bad_cell_stops_the_sweep_before_its_first(small: list[str], work: Path) -> None:
    assert run(*small, "sampling.acceleration=2,0.5") == 2
    assert runs() == []
    assert not (work / "outputs").exists()


def test_a_file_that_turns_bad_is_seen(small: list[str], work: Path) -> None:
    assert run(*small) == 0
    path = Path(small[1].removeprefix("dataset.path=")) / "one.npz"
    kspace = np.load(path)["kspace"]
    kspace[0, 0, 0, 0] = np.nan
    np.savez(path, kspace=kspace)
    assert run(*small) == 2
