"""One row a volume: everything measured of it and what it was measured with, in a versioned Parquet schema."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from .errors import HalfscanError
from .files import whole_file
from .quantity import Quantity

SCHEMA_VERSION = 2

TIME_COLUMNS = ("recon_s_per_slice",)
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
    # How it was undersampled
    sampling: str
    nominal_acceleration: float
    acceleration: float
    """Achieved: acquired over sampled lines."""
    acs_lines: int
    lines_sampled: int
    lines_acquired: int
    mask_hash: str
    mask_replicate: int
    # What that takes on the scanner
    protocol: str
    sequence: str
    scan_s: float
    scan_low_s: float
    scan_high_s: float
    full_s: float
    full_recorded_s: float | None
    """Duration of the full scan that the scanner itself recorded; full_s is what the model makes of it."""
    clinical: str
    clinical_s: float
    reduction_full: float
    reduction_full_low: float
    reduction_full_high: float
    reduction_clinical: float
    reduction_clinical_low: float
    reduction_clinical_high: float
    # How it was reconstructed
    model: str
    train_seed: int | None
    """Of the network's training; null where nothing was trained."""
    combination: str
    device: str
    threads: int
    recon_s_per_slice: float
    energy_j: float | None
    # What it was scored against
    truth_source: str
    truth_shares_noise: bool
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


_TYPES = {
    "str": pa.string(),
    "str | None": pa.string(),
    "float": pa.float64(),
    "float | None": pa.float64(),
    "int": pa.int64(),
    "int | None": pa.int64(),
    "bool": pa.bool_(),
}
_JSON_COLUMNS = ("timing", "assumptions", "warnings", "truth_combinations", "reasons")
CORE_COLUMNS: Mapping[str, pa.DataType] = {
    name: _TYPES[str(item.type)] for name, item in Row.__dataclass_fields__.items() if str(item.type) in _TYPES
}


def to_table(rows: Sequence[Row]) -> pa.Table:
    """Rows → a table; metric columns follow the fixed ones, absent metrics are null."""
    metrics = list(dict.fromkeys(name for row in rows for name in row.metrics))
    schema = pa.schema(
        [
            ("schema_version", pa.int32()),
            *CORE_COLUMNS.items(),
            *((name, pa.float64()) for name in metrics),
            *((name, pa.string()) for name in _JSON_COLUMNS),
        ]
    )
    records = []
    for row in rows:
        record = asdict(row)
        scores = record.pop("metrics")
        texts = {name: json.dumps(record.pop(name), sort_keys=True) for name in _JSON_COLUMNS}
        records.append({"schema_version": SCHEMA_VERSION, **record, **scores, **texts})
    return pa.Table.from_pylist(records, schema=schema)


def from_table(table: pa.Table) -> list[Row]:
    """The inverse of `to_table`.

    Raises:
        HalfscanError: another schema version, or columns missing.
    """
    absent = [name for name in ("schema_version", *CORE_COLUMNS, *_JSON_COLUMNS) if name not in table.column_names]
    if absent:
        raise HalfscanError(f"the rows lack the column {absent[0]!r}: they were not written by halfscan")
    rows = []
    for record in table.to_pylist():
        version = record.pop("schema_version")
        if version != SCHEMA_VERSION:
            raise HalfscanError(f"the rows have schema version {version} and this halfscan reads {SCHEMA_VERSION}")
        texts = {name: json.loads(record.pop(name)) for name in _JSON_COLUMNS}
        texts["warnings"] = tuple(texts["warnings"])
        core = {name: record.pop(name) for name in CORE_COLUMNS}
        rows.append(Row(**core, **texts, metrics=record))
    return rows


def write_rows(rows: Sequence[Row], path: Path) -> None:
    """Writes Parquet; the file appears whole or not at all."""
    with whole_file(path) as draft:
        pq.write_table(to_table(rows), draft)


def read_rows(path: Path) -> list[Row]:
    """Reads what `write_rows` wrote."""
    return from_table(pq.read_table(path))


def split_scores(scores: Mapping[str, Quantity]) -> tuple[dict[str, float | None], dict[str, str]]:
    """Scores → (values, reasons of the missing ones), as a row keeps them."""
    values = {name: score.value for name, score in scores.items()}
    return values, {name: score.reason for name, score in scores.items() if score.value is None and score.reason}


def without_times(table: pa.Table) -> dict[str, list[Any]]:
    """All columns that must be identical between two runs of the same cell."""
    kept = [name for name in table.column_names if name not in TIME_COLUMNS]
    columns: dict[str, list[Any]] = table.select(kept).to_pydict()
    return columns
