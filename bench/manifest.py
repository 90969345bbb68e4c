"""What a sweep is: its cells, its claims and where it is tracked, written before the first cell starts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias

from .errors import HalfscanError
from .files import write_json

SCHEMA_VERSION = 2
FILE_NAME = "sweep.json"
_PACKS = "packs.json"

State: TypeAlias = Literal["waiting", "running", "finished", "kept", "failed", "killed"]
"""`kept`: measured, with its rows on disk, and not in the store, which was away."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One cell of a sweep."""

    key: str
    digest: str
    overrides: tuple[str, ...]

    def swept(self, names: Sequence[str]) -> dict[str, str]:
        """The cell's values of the swept parameters."""
        values = dict(override.lstrip("+").split("=", 1) for override in self.overrides)
        return {name: values[name] for name in names}


@dataclass(frozen=True, kw_only=True)
class Status:
    """How far a cell is; absent means waiting."""

    state: State
    reason: str | None = None
    """Why it failed, in one line."""
    seconds: float | None = None
    """That a finished cell took, training and all."""
    at: str | None = None
    """UTC, ISO 8601, when this was recorded."""


@dataclass(frozen=True, kw_only=True)
class SweepManifest:
    """`sweep.json` in the sweep's folder: cells read their parent from it, not from the environment."""

    sweep_id: str
    parent_run: str
    tracking_uri: str
    experiment: str
    out: str
    """Absolute folder of images and sweeps."""
    swept: tuple[str, ...]
    """Names of the parameters that vary between the cells."""
    cells: tuple[Entry, ...]
    claims: Mapping[str, str]
    """Claim id → SHA-256, as registered at the start."""
    known_before: int
    """Cells that had been reconstructed before the sweep, and so its claims, were first started."""
    created_at: str
    """UTC, ISO 8601, of the first start."""
    schema_version: int = SCHEMA_VERSION

    @property
    def folder(self) -> Path:
        return sweeps_folder(Path(self.out)) / self.sweep_id

    @property
    def images(self) -> Path:
        return Path(self.out) / "images"

    @property
    def lock(self) -> Path:
        """Held by the process that runs the sweep or closes it."""
        return self.folder / "lock"

    def cell_folder(self, entry: Entry) -> Path:
        return self.folder / "cells" / entry.key[:16]

    def cell_lock(self, entry: Entry) -> Path:
        """Held by the process that does the cell: jobs of a queue outlive the one that launched them."""
        return self.cell_folder(entry) / "lock"

    def entry(self, overrides: Sequence[str]) -> Entry:
        """The cell of these overrides.

        Raises:
            HalfscanError: the sweep has no such cell.
        """
        for entry in self.cells:
            if sorted(entry.overrides) == sorted(overrides):
                return entry
        raise HalfscanError(f"sweep {self.sweep_id} has no cell {' '.join(overrides)}: start the sweep again")

    def status(self, entry: Entry) -> Status:
        """The cell's status as its folder records it."""
        path = self.cell_folder(entry) / "status.json"
        try:
            return Status(**json.loads(path.read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            # Absent, or cut short by a lost machine: the cell runs again.
            return Status(state="waiting")

    def set_status(self, entry: Entry, status: Status) -> None:
        """Records a cell's status; the file appears whole or not at all."""
        stamped = replace(status, at=datetime.now(UTC).isoformat(timespec="seconds"))
        write_json(self.cell_folder(entry) / "status.json", asdict(stamped))

    def set_packs(self, packs: Sequence[Sequence[Entry]]) -> None:
        """Records which cells a job does that is started with the first of them."""
        write_json(self.folder / _PACKS, {pack[0].key: [entry.key for entry in pack] for pack in packs})

    def pack(self, entry: Entry) -> list[Entry]:
        """The cells of the job that is started with this one, itself the first."""
        keys = json.loads((self.folder / _PACKS).read_text("utf-8")).get(entry.key, [entry.key])
        named = {one.key: one for one in self.cells}
        return [named[key] for key in keys]

    def write(self) -> None:
        """Writes `sweep.json`."""
        write_json(self.folder / FILE_NAME, asdict(self))


def sweeps_folder(out: Path) -> Path:
    """Where all sweeps under an output folder live."""
    return out / "sweeps"


def sweep_id(keys: Sequence[str], tracking_uri: str, experiment: str, claims: Mapping[str, str]) -> str:
    """Names a sweep by what is in it, so that the same command finds the same sweep again."""
    content = json.dumps([sorted(keys), tracking_uri, experiment, sorted(claims.items())])
    return hashlib.sha256(content.encode()).hexdigest()[:10]


def read_manifest(source: Path | str) -> SweepManifest:
    """Reads a manifest from its file, its folder, or its text.

    Raises:
        HalfscanError: missing, damaged, or of another version.
    """
    moved: dict[str, str] = {}
    if isinstance(source, Path):
        path = source / FILE_NAME if source.is_dir() else source
        try:
            source = path.read_text("utf-8")
            # Where it lies now: an output folder may have been moved or copied since.
            moved = {"out": str(path.absolute().parent.parent.parent)}
        except OSError as error:
            raise HalfscanError(f"no sweep at {path}: {error.strerror}; `halfscan table` lists what is tracked") from error
    try:
        content: dict[str, Any] = json.loads(source)
        version = content["schema_version"]
        if version != SCHEMA_VERSION:
            raise HalfscanError(f"the sweep's manifest has version {version} and this halfscan reads {SCHEMA_VERSION}")
        cells = tuple(Entry(**{**cell, "overrides": tuple(cell["overrides"])}) for cell in content["cells"])
        return SweepManifest(**{**content, **moved, "cells": cells, "swept": tuple(content["swept"])})
    except (ValueError, KeyError, TypeError) as error:
        raise HalfscanError(f"the sweep's manifest is damaged ({error}): delete its folder and start again") from error
