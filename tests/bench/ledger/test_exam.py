"""From a cell's rows to an exam: every figure with the worst method of any volume."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from halfscan.bench.ledger.exam import exam_of
from halfscan.bench.rows import CellRows, to_table

from ..test_rows import ROW


def counted(method: str, joules: float, training: dict[str, Any] | None = None) -> Any:
    energy: dict[str, Any] = {"total": {"method": method}}
    if training is not None:
        energy["training"] = training
    return replace(ROW, energy_j=joules, energy_low_j=joules, energy_high_j=joules, training_j=5.0, energy=energy, reasons={})


def test_the_worst_method_of_all_volumes() -> None:
    added = {"method": "literature"}
    rows = CellRows(to_table([counted("integrated_power", 10.0), counted("literature", 30.0, added)]))
    found = exam_of(rows, "full")
    assert (found.reconstruction.value, found.reconstruction.method) == (20.0, "literature")
    assert (found.training.value, found.training.method) == (5.0, "literature")


def test_rows_that_do_not_say_how_their_training_was_counted() -> None:
    found = exam_of(CellRows(to_table([counted("measured_wall", 10.0)])), "full")
    assert (found.reconstruction.method, found.training.method) == ("measured_wall", "measured_counter")


def test_one_volume_that_was_not_measured_is_none() -> None:
    unknown = replace(ROW, energy_j=None, training_j=None, reasons={"energy_j": "no counter", "training_j": "not ours"})
    found = exam_of(CellRows(to_table([counted("measured_wall", 10.0), unknown])), "full")
    assert (found.reconstruction.value, found.reconstruction.reason) == (None, "no counter")
    assert (found.training.value, found.training.reason) == (None, "not ours")


@pytest.mark.parametrize("against", ["full", "clinical"])
def test_seconds_saved_hold_their_value(against: str) -> None:
    saved = exam_of(CellRows(to_table([counted("measured_wall", 10.0)])), against).seconds_saved
    assert saved.value is None or saved.low <= saved.value <= saved.high  # type: ignore[operator]
