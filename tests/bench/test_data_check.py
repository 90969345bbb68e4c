"""`halfscan data check`: what files hold, what their headers leave out, what was done to the samples, what they count as."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from halfscan.bench.acquisition import Acquisition, Provenance
from halfscan.bench.audit import label
from halfscan.bench.audit.label import as_found
from halfscan.bench.cli import main
from halfscan.bench.operators import to_image, to_kspace
from halfscan.datasets.array import Array

from ..conftest import phantom
from ..datasets import writing_array, writing_fastmri
from .running import run, table

PHI = "Mustermann^Erika"


def _noisy(sigma: float = 0.02, **shape: int) -> np.ndarray:
    clean = phantom(**{"slices": 2, "coils": 4, "height": 64, "width": 64, **shape})[2].numpy()
    rng = np.random.default_rng(0)
    return (clean + sigma * (rng.standard_normal(clean.shape) + 1j * rng.standard_normal(clean.shape))).astype(np.complex64)


def _magnitude(kspace: np.ndarray) -> np.ndarray:
    return to_kspace(to_image(torch.from_numpy(kspace)).abs().to(torch.complex64)).numpy()


def _check(capsys: pytest.CaptureFixture[str], *words: object, code: int = 0) -> list[dict]:
    capsys.readouterr()
    assert main(["data", "check", "--json", *map(str, words)]) == code
    return json.loads(capsys.readouterr().out)


def test_a_clean_file_is_described(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = writing_fastmri.write(tmp_path, _noisy(), "scan", padding=(4, 4))
    (found,) = _check(capsys, path)
    (volume,) = found["volumes"]
    assert (found["format"], found["refused"]) == ("fastmri", None)
    assert volume["shape"] == {"slice": 2, "coil": 4, "ky": 64, "kx": 64}
    assert volume["acquired_lines"] == 64
    assert volume["timing"]["tr_s"] == 2.8
    assert volume["missing"] == ["concatenations", "recorded duration"]
    assert volume["noise"]["method"] == "estimated"
    assert volume["noise"]["value"] == pytest.approx(0.02, rel=0.2)
    assert volume["provenance"] == "measured"
    assert all(one["state"] != "found" for one in volume["findings"])


def test_what_was_done_to_the_samples_is_found_and_the_label_falls(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = writing_array.write(tmp_path, _magnitude(_noisy()))
    ((volume,),) = [one["volumes"] for one in _check(capsys, path)]
    assert {one["name"] for one in volume["findings"] if one["state"] == "found"} >= {"magnitude_derived", "hermitian"}
    assert volume["provenance"] == "processed"
    assert "counts as processed, whatever its source says: " in volume["caveat"]


def test_people_read_lines_and_see_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = writing_array.write(tmp_path, _noisy())
    assert main(["data", "check", str(path), "--pictures", str(tmp_path / "pictures")]) == 0
    said = capsys.readouterr().out
    for part in ("array, 1 volume", "2 slice × 4 coil × 64 ky × 64 kx", "missing   sequence, TR", "no hermitian:"):
        assert part in said
    (png,) = (tmp_path / "pictures").iterdir()
    assert png.read_bytes().startswith(b"\x89PNG")


def test_a_folder_is_checked_file_by_file_and_bad_ones_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "many"
    good = writing_array.write(folder, _noisy(height=32, width=32), "good")
    writing_fastmri.write(folder, _noisy(height=32, width=32), "knee")
    (folder / "cut.npz").write_bytes(good.read_bytes()[:300])
    (folder / "notes.txt").write_text("read me")
    found = {Path(one["path"]).name: one for one in _check(capsys, folder, code=1)}
    assert sorted(found) == ["cut.npz", "good.npz", "knee.h5"]
    assert found["cut.npz"]["refused"]
    assert found["knee.h5"]["format"] == "fastmri"


@pytest.mark.parametrize(("name", "message"), [("nothing.h5", "no such file or folder"), ("notes.txt", "is none of array, ")])
def test_what_is_no_data_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, message: str) -> None:
    (tmp_path / "notes.txt").write_text("read me")
    (found,) = _check(capsys, tmp_path / name, code=1)
    assert message in found["refused"]


def test_nobody_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = writing_fastmri.write(tmp_path, _noisy(), "scan", phi=PHI)
    (found,) = _check(capsys, path, "--pictures", tmp_path / "pictures")
    assert not any(part in json.dumps(found) for part in PHI.split("^"))
    (png,) = (tmp_path / "pictures").iterdir()
    assert not any(part.encode() in png.read_bytes() for part in PHI.split("^"))


def _opened(path: Path) -> Acquisition:
    (found,) = Array(path=str(path)).acquisitions()
    return found


def test_labels_fall_and_never_rise(tmp_path: Path) -> None:
    clean, crime = (
        _opened(writing_array.write(tmp_path / name, k)) for name, k in (("a", _noisy()), ("b", _magnitude(_noisy())))
    )
    assert as_found(clean) is clean
    assert as_found(crime).provenance is Provenance.PROCESSED
    processed = as_found(crime)
    assert as_found(processed) is processed


def test_an_audit_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crime = _opened(writing_array.write(tmp_path, _magnitude(_noisy())))
    first = as_found(crime)
    monkeypatch.setattr(label, "audit", lambda _: pytest.fail("audited again"))
    assert as_found(crime).caveat == first.caveat


@pytest.mark.usefixtures("work")
def test_an_audit_caps_what_rests_on_the_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Called measured by its source: the row says processed, and evidence is a demonstration."""
    words = [
        "dataset=array",
        "sampling.acceleration=2",
        "sampling.acs_lines=8",
        "model=zero_filled_rss",
        "metrics=fastmri",
        "qa=none",
    ]
    for name, kspace, evidence in (("clean", _noisy(), "retrospective"), ("crime", _magnitude(_noisy()), "simulated")):
        path = writing_array.write(tmp_path / name, kspace)
        assert run(*words, f"dataset.path={path}", "protocol.echo_train_length=4") == 0
        (cell,) = table(capsys)
        assert cell["evidence"] == evidence
        assert ("counts as processed" in (cell["caveat"] or "")) == (name == "crime")
