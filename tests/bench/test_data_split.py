"""`halfscan data split`: a manifest from a data set's own patients, never written over by accident."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from halfscan.bench.cli import main
from halfscan.bench.splits import read_splits

pytestmark = pytest.mark.usefixtures("work")


@pytest.fixture
def words(write_kspace: Callable[..., Path]) -> list[str]:
    for index in range(12):
        folder = write_kspace(f"p{index}", height=12, width=12, coils=1, slices=1).parent
    return ["data", "split", "dataset=array", f"dataset.path={folder}", "--out", "splits.json", "--shares", "0.5,0.25,0.25"]


def test_a_manifest_of_all_patients_is_written_and_used(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "--seed", "2"]) == 0
    splits = read_splits(Path("splits.json"))
    assert sum(len(patients) for patients in splits.patients.values()) == 12
    assert f"{len(splits.patients['train'])} train" in capsys.readouterr().out
    assert main([*words, "--seed", "2"]) == 2
    assert "patients might change sides" in capsys.readouterr().err
    assert main([*words, "--seed", "2", "--force", "dataset.splits=splits.json"]) == 0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--shares", "1,2"], "--shares"),
        (["--shares", "0.5,0.5,0.5"], "sum to 1"),
        (["--out", "/proc/no/splits.json"], "can't be written"),
    ],
)
def test_bad_words_are_refused_in_one_line(
    words: list[str], more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, *more]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
