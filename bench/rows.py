"""One row a volume: everything measured of it and what it was measured with, in a versioned Parquet schema."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from .errors import HalfscanError
from .files import whole_file
from .quantity import Quantity

SCHEMA_VERSION = 4

TIME_COLUMNS = ("recon_s_per_slice", "energy_j", "energy_low_j", "energy_high_j", "energy_net_j", "energy", "training_j")
"""Columns that differ between two runs of the same cell; all others are identical."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One volume in one cell."""

    # What was scanned
    dataset: str
    patient: str
    """Pseudonym."""
    volume: str
    contrast: str | None
    provenance: str
    evidence: str
    """What the comparison is: prospective | retrospective | simulated."""
    caveat: str | None
    """What limits these data beyond their provenance."""
    field_strength_t: float | None
    slices: int
    coils: int
    # How it was undersampled; null where the scanner itself scanned fewer lines, of which its images say nothing
    sampling: str | None
    nominal_acceleration: float | None
    acceleration: float | None
    """Achieved: acquired over sampled lines."""
    acs_lines: int | None
    lines_sampled: int | None
    lines_acquired: int | None
    mask_hash: str | None
    mask_replicate: int | None
    # What that takes on the scanner
    protocol: str
    sequence: str | None
    scan_s: float | None
    """Modelled; of prospective evidence what the scanner recorded, null where it did not."""
    scan_low_s: float | None
    scan_high_s: float | None
    full_s: float | None
    """Null, as all that is measured against a full or a clinical scan, where nobody knows its lines."""
    full_recorded_s: float | None
    """Duration of the full scan that the scanner itself recorded; full_s is what the model makes of it."""
    clinical: str | None
    clinical_s: float | None
    reduction_full: float | None
    reduction_full_low: float | None
    reduction_full_high: float | None
    reduction_clinical: float | None
    reduction_clinical_low: float | None
    reduction_clinical_high: float | None
    # How it was reconstructed
    model: str
    train_seed: int | None
    """Of the network's training; null where nothing was trained."""
    combination: str | None
    """Null, as device and threads, for images that the scanner reconstructed."""
    device: str | None
    threads: int | None
    recon_s_per_slice: float | None
    """Null where the images were made elsewhere."""
    energy_j: float | None
    """Of one reconstruction of the volume, of all parts of the machine that it needs; null while any of them is."""
    # What it was scored against
    truth_source: str | None
    """Null for scores that need no truth."""
    truth_shares_noise: bool
    energy_low_j: float | None = None
    """Ends of its 95 % interval, over windows of repeated reconstructions."""
    energy_high_j: float | None = None
    energy_net_j: float | None = None
    """What it added to the idle machine."""
    flops: float | None = None
    """Floating-point operations of one reconstruction of the volume, as far as they are counted; null where none is torch's."""
    training_j: float | None = None
    """Of the network's whole training; 0 where a model has nothing to train, null where nobody counted."""
    energy: Mapping[str, Any] = field(default_factory=dict)
    """Its parts, how they were counted, what makes them doubtful, and the state of the device."""
    timing: Mapping[str, str] = field(default_factory=dict)
    """Timing that was used → its value, and whether the data's own header or the protocol states it."""
    assumptions: Mapping[str, str] = field(default_factory=dict)
    """What the seconds assume → value and range, in words."""
    warnings: Sequence[str] = ()
    """Why the mask can't be scanned with this protocol's echo train as it stands."""
    truth_combinations: Mapping[str, str] = field(default_factory=dict)
    """Profile → how its truth's coils are combined."""
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    """`metric@profile` → value."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Column or metric → why it is null."""

    @property
    def fully_sampled(self) -> bool:
        """Whether every line was; False where nobody knows."""
        sampled, acquired = self.lines_sampled, self.lines_acquired
        return sampled is not None and acquired is not None and sampled >= acquired

    @property
    def scan_in_words(self) -> str:
        """How few lines were sampled, or that the scanner itself did what its protocol says."""
        if self.sampling is None or self.nominal_acceleration is None or self.acceleration is None:
            return f"{self.protocol} as it was scanned"
        return f"{self.sampling} R={self.nominal_acceleration:g} (achieved {self.acceleration:.2f})"


_TYPES = {
    "str": pa.string(),
    "str | None": pa.string(),
    "float": pa.float64(),
    "float | None": pa.float64(),
    "int": pa.int64(),
    "int | None": pa.int64(),
    "bool": pa.bool_(),
}
_CELL = "cell"
_JSON_COLUMNS = ("energy", "timing", "assumptions", "warnings", "truth_combinations", "reasons")
CORE_COLUMNS: Mapping[str, pa.DataType] = {
    name: _TYPES[str(item.type)] for name, item in Row.__dataclass_fields__.items() if str(item.type) in _TYPES
}


def to_table(rows: Sequence[Row]) -> pa.Table:
    """Rows → a table; metric columns follow the fixed ones, absent metrics are null."""
    metrics = list(dict.fromkeys(name for row in rows for name in row.metrics))
    columns: dict[str, pa.Array] = {"schema_version": pa.array([SCHEMA_VERSION] * len(rows), pa.int32())}
    columns |= {name: pa.array([getattr(row, name) for row in rows], kind) for name, kind in CORE_COLUMNS.items()}
    columns |= {name: pa.array([row.metrics.get(name) for row in rows], pa.float64()) for name in metrics}
    columns |= {name: pa.array([_text(getattr(row, name)) for row in rows], pa.string()) for name in _JSON_COLUMNS}
    return pa.table(columns)


def _text(value: Mapping[str, Any] | Sequence[str]) -> str:
    return json.dumps(dict(value) if isinstance(value, Mapping) else list(value), sort_keys=True)


def from_table(table: pa.Table) -> list[Row]:
    """The inverse of `to_table`.

    Raises:
        HalfscanError: another schema version, or columns missing.
    """
    _check(table)
    known: dict[str, Any] = {}
    rows = []
    for record in table.drop_columns(["schema_version"]).to_pylist():
        texts = {name: _parsed(record.pop(name), known) for name in _JSON_COLUMNS}
        texts["warnings"] = tuple(texts["warnings"])
        record.pop(_CELL, None)
        core = {name: record.pop(name) for name in CORE_COLUMNS}
        rows.append(Row(**core, **texts, metrics=record))
    return rows


def _check(table: pa.Table) -> None:
    absent = [name for name in ("schema_version", *CORE_COLUMNS, *_JSON_COLUMNS) if name not in table.column_names]
    if absent:
        raise HalfscanError(f"the rows lack the column {absent[0]!r}: they were not written by halfscan")
    for version in table.column("schema_version").unique().to_pylist():
        if version != SCHEMA_VERSION:
            raise HalfscanError(f"the rows have schema version {version} and this halfscan reads {SCHEMA_VERSION}")


def _parsed(text: str, known: dict[str, Any]) -> Any:
    """Of a JSON column; most rows of a cell say the same. A copy, so that no row shares another's."""
    if text not in known:
        known[text] = json.loads(text)
    return known[text].copy()


@dataclass(frozen=True, eq=False)
class CellRows:
    """The rows of one cell, column by column: hundreds of cells and patients need not become a million objects."""

    table: pa.Table

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @cached_property
    def first(self) -> Row:
        """The first volume's; what belongs to the cell is the same in all."""
        return from_table(self.table.slice(0, 1))[0]

    @property
    def metrics(self) -> tuple[str, ...]:
        """`metric@profile` of all that was scored."""
        return tuple(self.first.metrics)

    def values(self, column: str) -> list[Any]:
        """A column or a metric, a value a volume."""
        values: list[Any] = self.table.column(column).to_pylist()
        return values

    def texts(self, column: str) -> list[Any]:
        """What a JSON column (timing, assumptions, warnings, reasons) says, each once."""
        return [json.loads(text) for text in self.table.column(column).unique().to_pylist()]

    def may_hold(self, selector: Mapping[str, Any]) -> bool:
        """Whether some row has each of these columns' values; no row has a column that rows don't have."""
        return all(
            column in CORE_COLUMNS and value in self.table.column(column).unique().to_pylist()
            for column, value in selector.items()
        )

    def rows(self) -> list[Row]:
        """One a volume."""
        return from_table(self.table)


def join_cells(cells: Mapping[str, CellRows]) -> pa.Table:
    """Key → rows, as one table that names the cell of each row."""
    if not cells:
        return to_table([]).append_column(_CELL, pa.array([], pa.string()))
    tables = [rows.table.append_column(_CELL, pa.array([key] * len(rows), pa.string())) for key, rows in cells.items()]
    return pa.concat_tables(tables, promote_options="default")


def split_cells(table: pa.Table) -> dict[str, CellRows]:
    """The inverse of `join_cells`.

    Raises:
        HalfscanError: rows that name no cell.
    """
    _check(table)
    if _CELL not in table.column_names:
        raise HalfscanError("the sweep's rows don't name their cells: an older halfscan wrote them; run `halfscan finish` again")
    keys = table.column(_CELL).to_pylist()
    table = table.drop_columns([_CELL]).combine_chunks()
    starts = [index for index, key in enumerate(keys) if index == 0 or keys[index - 1] != key]
    ends = [*starts, len(keys)][1:]
    return {keys[start]: _own_columns(table.slice(start, end - start)) for start, end in zip(starts, ends, strict=True)}


def _own_columns(table: pa.Table) -> CellRows:
    """Without the metrics that only other cells have: null in all rows, and no row says why."""
    empty = [name for name in table.column_names if "@" in name and table.column(name).null_count == table.num_rows]
    explained = set(CellRows(table).first.reasons)
    return CellRows(table.drop_columns([name for name in empty if name not in explained]))


def write_rows(rows: Sequence[Row], path: Path) -> None:
    """Writes Parquet; the file appears whole or not at all."""
    with whole_file(path) as draft:
        pq.write_table(to_table(rows), draft)


def read_rows(path: Path) -> list[Row]:
    """Reads what `write_rows` wrote."""
    return from_table(pq.read_table(path))


def read_cell(path: Path) -> CellRows:
    """The same, column by column."""
    table = pq.read_table(path)
    _check(table)
    return CellRows(table)


def write_cells(cells: Mapping[str, CellRows], path: Path) -> None:
    """Writes the rows of all cells; the file appears whole or not at all."""
    with whole_file(path) as draft:
        pq.write_table(join_cells(cells), draft)


def read_cells(path: Path) -> dict[str, CellRows]:
    """Reads what `write_cells` wrote."""
    return split_cells(pq.read_table(path))


def split_scores(scores: Mapping[str, Quantity]) -> tuple[dict[str, float | None], dict[str, str]]:
    """Scores → (values, reasons of the missing ones), as a row keeps them."""
    values = {name: score.value for name, score in scores.items()}
    return values, {name: score.reason for name, score in scores.items() if score.value is None and score.reason}


def without_times(table: pa.Table) -> dict[str, list[Any]]:
    """All columns that must be identical between two runs of the same cell."""
    kept = [name for name in table.column_names if name not in TIME_COLUMNS]
    columns: dict[str, list[Any]] = table.select(kept).to_pydict()
    return columns
