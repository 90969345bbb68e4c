"""Splits by patient: nobody changes sides, nobody is left out without a word, and networks learn from one side alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from halfscan.bench.acquisition import Splittable
from halfscan.bench.errors import HalfscanError
from halfscan.bench.splits import SPLITS, Splits, read_splits, split_patients
from halfscan.datasets.array import Array

SHARES = (0.6, 0.2, 0.2)


def test_shares_are_met_and_every_patient_has_one_split() -> None:
    patients = [f"p{index}" for index in range(2000)]
    splits = split_patients(patients, SHARES, seed=0)
    sizes = [len(splits.patients[name]) for name in SPLITS]
    assert sum(sizes) == 2000
    assert sizes == pytest.approx([1200, 400, 400], rel=0.1)
    assert split_patients(reversed(patients), SHARES, 0).digest == splits.digest
    assert split_patients(patients, SHARES, 1).digest != splits.digest


def test_patients_who_are_added_move_nobody() -> None:
    few, many = (split_patients([f"p{index}" for index in range(number)], SHARES, 3) for number in (50, 80))
    assert all(few.patients[name] <= many.patients[name] for name in SPLITS)


def test_a_manifest_is_read_back_and_a_changed_one_is_refused(tmp_path: Path) -> None:
    splits = split_patients([f"p{index}" for index in range(30)], SHARES, 0)
    path = tmp_path / "splits.json"
    splits.write(path)
    assert read_splits(path) == splits
    content = json.loads(path.read_text())
    content["train"].append(content["test"].pop())
    path.write_text(json.dumps(content))
    with pytest.raises(HalfscanError, match="changed since it was made"):
        read_splits(path)


@pytest.mark.parametrize("text", ["", "[]", '{"version": 1}', '{"version": 1, "train": 5}', "[" * 100_000])
def test_what_is_no_manifest_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "splits.json").write_text(text)
    with pytest.raises(HalfscanError, match=r"splits.json: no manifest of splits"):
        read_splits(tmp_path / "splits.json")


def test_nobody_stands_in_two_splits() -> None:
    with pytest.raises(HalfscanError, match="patient a stands in two splits, train and test"):
        Splits(patients={"train": frozenset("ab"), "validation": frozenset(), "test": frozenset("ac")})


@pytest.mark.parametrize(
    ("shares", "message"),
    [((0.5, 0.1, 0.1), "sum to 1"), ((1.1, -0.1, 0.0), "not be negative"), ((0.98, 0.01, 0.01), "nobody is drawn")],
)
def test_shares_that_can_t_be_are_refused(shares: tuple[float, float, float], message: str) -> None:
    with pytest.raises(HalfscanError, match=message):
        split_patients(["a", "b"], shares, 0)


def test_a_data_set_gives_the_volumes_of_its_split(tmp_path: Path, write_kspace: Callable[..., Path]) -> None:
    for index in range(12):
        folder = write_kspace(f"p{index}", height=12, width=12, coils=1, slices=1).parent
    whole = Array(path=str(folder))
    assert isinstance(whole, Splittable)
    with pytest.raises(HalfscanError, match=r"dataset array has no patients to train on: give model.weights, or dataset.splits"):
        whole.of_split("train")
    path = tmp_path / "splits.json"
    split_patients([one.patient for one in whole.acquisitions()], (0.5, 0.25, 0.25), 2).write(path)
    dataset = Array(path=str(folder), splits=str(path))
    parts = [{one.patient for one in dataset.of_split(name).acquisitions()} for name in SPLITS]
    assert sum(map(len, parts)) == len(set().union(*parts)) == 12
    assert {one.patient for one in dataset.acquisitions()} == parts[2]
    write_kspace("newcomer", height=12, width=12, coils=1, slices=1)
    with pytest.raises(HalfscanError, match="1 patients stand in no split"):
        dataset.acquisitions()


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(HalfscanError, match=r"dataset.split=all is unknown: use train, validation, test"):
        Array(path="x", split="all")
