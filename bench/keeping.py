"""What a finished cell gives the store, kept beside its rows: a store that is away gets it later, and once."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .errors import HalfscanError, StoreError
from .files import write_json
from .manifest import Entry, Status, SweepManifest
from .pictures import PICTURE
from .rows import read_rows
from .tracking import ROWS, Opened, Store

log = logging.getLogger(__name__)

_FILE = "log.json"
_TRIES, _PAUSE_S = 3, 1.0


@dataclass(frozen=True, kw_only=True)
class Kept:
    """All that the store is to hold of a cell beside its rows and its picture, which lie in the cell's folder."""

    name: str
    """Of the run."""
    config: Mapping[str, Any]
    manifest_digest: str
    training: Mapping[str, Any] | None
    picture: bool
    """Whether there is one that may leave this machine."""
    tags: Mapping[str, str]
    seconds: float
    """That the cell took."""
    sweep_files: Sequence[str] = ()
    """Of the sweep's folder, which its parent run is to hold."""

    def write(self, folder: Path) -> None:
        """Keeps it in a cell's folder."""
        write_json(folder / _FILE, asdict(self))


def deliver(store: Store, manifest: SweepManifest, entry: Entry, run: Opened | None = None) -> None:
    """Gives the store a cell that is kept on disk, into the run that it has of it already if any; the cell is finished then.

    Args:
        store: of the sweep.
        manifest: of the sweep.
        entry: the cell.
        run: the cell's, where it is open.

    Raises:
        StoreError: the store is away, or lost the thread; nothing on disk changes, and it can be tried again.
        HalfscanError: what was kept is damaged.
    """
    folder = manifest.cell_folder(entry)
    try:
        kept = Kept(**json.loads((folder / _FILE).read_text("utf-8")))
        rows = read_rows(folder / ROWS)
    except (OSError, ValueError, TypeError) as error:
        raise HalfscanError(f"what {folder} keeps of a cell is damaged ({error}): start its sweep again") from error
    for attempt in range(_TRIES):
        try:
            run = run or store.start_cell(manifest, entry, kept.name)
            store.log_cell(
                run,
                config=kept.config,
                rows=rows,
                manifest_digest=kept.manifest_digest,
                training=kept.training,
                picture=folder / PICTURE if kept.picture else None,
                tags=kept.tags,
            )
            for name in kept.sweep_files:
                store.log_file(manifest.parent_run, manifest.folder / name)
            store.end(run.run_id, "FINISHED")
            break
        except StoreError:
            # A server that has just come back may hold connections to a database that was away.
            if attempt == _TRIES - 1:
                raise
            time.sleep(_PAUSE_S)
    manifest.set_status(entry, Status(state="finished", seconds=kept.seconds))


def deliver_all(store: Store, manifest: SweepManifest) -> int:
    """Gives the store all cells of a sweep that are kept for it; returns how many they were.

    Raises:
        StoreError: as `deliver`.
    """
    waiting = [entry for entry in manifest.cells if manifest.status(entry).state == "kept"]
    for entry in waiting:
        try:
            deliver(store, manifest, entry)
        except StoreError:
            raise
        except HalfscanError as error:
            log.error("%s", error)
            manifest.set_status(entry, Status(state="failed", reason=str(error)))
    return len(waiting)
