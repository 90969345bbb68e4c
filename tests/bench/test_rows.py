"""Rows survive Parquet, bit for bit, and other schemas are refused."""

from dataclasses import fields, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from halfscan.bench.errors import HalfscanError
from halfscan.bench.quantity import Quantity
from halfscan.bench.rows import (
    CellRows,
    Row,
    from_table,
    read_cells,
    read_rows,
    split_scores,
    to_table,
    write_cells,
    write_rows,
)

_EXAMPLES = {"str": "x", "str | None": None, "float": 1.25, "float | None": None, "int": 3, "int | None": None, "bool": True}
ROW = Row(
    **{item.name: _EXAMPLES[str(item.type)] for item in fields(Row) if str(item.type) in _EXAMPLES},
    truth_combinations={"fastmri": "rss"},
    metrics={"ssim@fastmri": 0.5, "psnr@fastmri": None},
    reasons={"psnr@fastmri": "infinite", "energy_j": "no counter"},
)


def test_round_trip(tmp_path: Path) -> None:
    rows = [ROW, replace(ROW, patient="y", metrics={"ssim@fastmri": 1 / 3, "psnr@fastmri": 30.0}, reasons={})]
    write_rows(rows, tmp_path / "rows.parquet")
    assert read_rows(tmp_path / "rows.parquet") == rows
    assert [path.name for path in tmp_path.iterdir()] == ["rows.parquet"]


def test_another_schema_is_refused(tmp_path: Path) -> None:
    table = to_table([ROW])
    newer = table.set_column(0, "schema_version", pa.array([99], pa.int32()))
    with pytest.raises(HalfscanError, match="schema version 99"):
        from_table(newer)
    pq.write_table(table.drop_columns(["mask_hash"]), tmp_path / "other.parquet")
    with pytest.raises(HalfscanError, match="lack the column 'mask_hash'"):
        read_rows(tmp_path / "other.parquet")


def test_missing_scores_keep_their_reasons() -> None:
    values, reasons = split_scores(
        {"a": Quantity(value=1.0, unit="1", method="measured"), "b": Quantity.unmeasured("J", "no counter")}
    )
    assert values == {"a": 1.0, "b": None}
    assert reasons == {"b": "no counter"}


def test_the_cells_of_a_sweep_keep_their_rows_and_their_own_metrics(tmp_path: Path) -> None:
    """A metric that only another cell has is not one of this cell's; one that is null with a reason is."""
    unscored = replace(ROW, metrics={"psnr@mvue": None}, reasons={"psnr@mvue": "infinite"})
    cells = {"b": [ROW, replace(ROW, patient="q")], "a": [unscored], "c": [replace(ROW, metrics={}, reasons={})]}
    write_cells({key: CellRows(to_table(rows)) for key, rows in cells.items()}, tmp_path / "rows.parquet")
    found = read_cells(tmp_path / "rows.parquet")
    assert {key: cell.rows() for key, cell in found.items()} == cells
    assert found["b"].values("patient") == [ROW.patient, "q"]
    assert found["a"].texts("reasons") == [{"psnr@mvue": "infinite"}]
    assert len(found["b"]) == 2


def test_a_sweep_without_rows_has_a_table(tmp_path: Path) -> None:
    write_cells({}, tmp_path / "rows.parquet")
    assert read_cells(tmp_path / "rows.parquet") == {}
    write_rows([ROW], tmp_path / "one.parquet")
    with pytest.raises(HalfscanError, match="don't name their cells"):
        read_cells(tmp_path / "one.parquet")
