"""A sweep from its start to its end: every cell built and checked before the first one runs, every end recorded."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from .cell import build_cell
from .configuration import build_claims, forget_datasets, to_plain
from .energy.wall import WallMeter
from .errors import HalfscanError
from .files import is_held, why_unwritable, write_json
from .keeping import deliver_all
from .manifest import Entry, Status, SweepManifest, read_manifest, sweep_id, sweeps_folder
from .registry import with_local_weights
from .rows import CellRows, read_cell
from .tracking import CLAIMS, ROWS, Store, tracking_uri

log = logging.getLogger(__name__)

Compose = Callable[[Sequence[str]], DictConfig]

CLOSING = "closing"
"""In a sweep's folder while it is being closed: what broke off meanwhile is closed again."""

planned: list[SweepManifest] = []
"""Sweeps planned by this process: Hydra hands nothing back from a sweeper, and the command line finishes what it began."""


@dataclass(frozen=True)
class Plan:
    """A sweep that is about to run."""

    manifest: SweepManifest
    remaining: tuple[Entry, ...]
    """Cells that are not finished yet."""

    def shared(self, shares: int) -> list[tuple[Entry, int]]:
        """The jobs that do shares of each cell's volumes ahead of it; none where a cell is one job.

        Raises:
            HalfscanError: a number of shares that is none.
        """
        if shares < 1:
            raise HalfscanError(f"shares={shares} must be at least 1")
        return [(entry, share) for entry in self.remaining for share in range(shares)] if shares > 1 else []

    def packed(self, size: int) -> list[Entry]:
        """The first cell of each job, where a job does so many cells one after the other.

        Raises:
            HalfscanError: a size that is none.
        """
        if size < 1:
            raise HalfscanError(f"pack={size} must be at least 1")
        packs = [self.remaining[start : start + size] for start in range(0, len(self.remaining), size)]
        self.manifest.set_packs(packs)
        return [pack[0] for pack in packs]


@contextmanager
def open_sweep(jobs: Sequence[Sequence[str]], compose: Compose) -> Iterator[Plan]:
    """Builds and checks every cell, then holds the sweep for this process: manifest written, parent run open.

    Args:
        jobs: the overrides of each cell.
        compose: overrides → configuration.

    Raises:
        HalfscanError: bad input anywhere, before any work; or another process runs this sweep.
    """
    entries, config = _check_cells(jobs, compose)
    with plan_sweep(entries, _swept(jobs), to_plain(config)) as plan:
        yield plan


@contextmanager
def plan_sweep(
    entries: Sequence[Entry],
    swept: Sequence[str],
    config: Mapping[str, Any],
    known: Callable[[Store, Path], int] | None = None,
) -> Iterator[Plan]:
    """Holds a sweep of these cells for this process: manifest and claims written, parent run open.

    Args:
        entries: its cells.
        swept: names of the settings that vary between them.
        config: plain; its `tracking`, `out` and `claims`.
        known: (store, output folder) → how many cells' data had been scored before; default: those whose images were.

    Raises:
        HalfscanError: a claim that is none, or another process runs this sweep.
    """
    store = Store(tracking_uri(config["tracking"]["uri"]), config["tracking"]["experiment"])
    specs = build_claims(config.get("claims") or {})
    claims = {claim.claim_id: claim.sha256 for claim in specs}
    identity = sweep_id([entry.key for entry in entries], store.uri, store.experiment, claims)
    out = Path(config["out"]).expanduser().absolute()
    with exclusive(sweeps_folder(out) / identity):
        parent = store.find_sweep(identity)
        children = store.children(parent) if parent else {}
        first = _first_start(out, identity, store, known or (lambda store, out: _known_images(entries, store, out)), bool(specs))
        manifest = SweepManifest(
            sweep_id=identity,
            parent_run=parent or store.start_sweep(identity),
            tracking_uri=store.uri,
            experiment=store.experiment,
            out=str(out),
            swept=tuple(swept),
            cells=tuple(entries),
            claims=claims,
            known_before=first.known_before,
            created_at=first.created_at,
        )
        planned.append(manifest)
        manifest.write()
        if specs and not store.holds(manifest.parent_run, CLAIMS):
            # To the store, before the first cell runs: a reviewer sees what was to be proved.
            write_json(manifest.folder / CLAIMS, [asdict(claim) for claim in specs])
            store.log_file(manifest.parent_run, manifest.folder / CLAIMS)
        if parent and deliver_all(store, manifest):
            children = store.children(parent)
        remaining = tuple(entry for entry in entries if finished_rows(manifest, entry, children) is None)
        if parent and any(manifest.status(entry).state == "finished" for entry in remaining):
            children = store.children(parent)  # jobs that outlived their launcher may have ended since
            remaining = tuple(entry for entry in remaining if finished_rows(manifest, entry, children) is None)
        for entry in remaining:
            # The store has lost it.
            if manifest.status(entry).state == "finished" and not is_held(manifest.cell_lock(entry)):
                manifest.set_status(entry, Status(state="waiting"))
        if remaining and parent:
            store.resume(parent)
        yield Plan(manifest, remaining)


def _check_cells(jobs: Sequence[Sequence[str]], compose: Compose) -> tuple[tuple[Entry, ...], DictConfig]:
    forget_datasets()
    entries: dict[str, Entry] = {}
    readings: set[WallMeter] = set()
    first = config = compose(jobs[0])
    for overrides in jobs:
        config = compose(overrides)
        if config.claims != first.claims:
            raise HalfscanError("claims can't be swept: a sweep is started with one set of them, for all its cells")
        cell = build_cell(with_local_weights(config))
        if cell.key in entries:
            log.warning("two cells are the same and one is left out: %s", " ".join(overrides))
            continue
        if isinstance(cell.recipe.meter, WallMeter):
            _claim_reading(cell.recipe.meter, readings)
        entries[cell.key] = Entry(key=cell.key, digest=cell.recipe.digest, overrides=tuple(overrides))
    return tuple(entries.values()), config


def _claim_reading(meter: WallMeter, readings: set[WallMeter]) -> None:
    """A wall meter was read over one cell's reconstructions: no other has taken the same."""
    if meter in readings:
        raise HalfscanError("energy=wall: one reading can't be that of several cells; run each by itself with its own")
    readings.add(meter)


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Holds a sweep's folder for this process; the system lets go of it when the process dies.

    Raises:
        HalfscanError: another process holds it, or it can't be written.
    """
    from filelock import FileLock, Timeout

    try:
        # `halfscan status` holds it for an instant, too, to see whether anybody does.
        with FileLock(str(_writable(folder) / "lock"), timeout=0.5):
            yield
    except Timeout as error:
        raise HalfscanError(f"sweep {folder.name} is being run by another process: wait for it") from error


def await_cells(manifest: SweepManifest, seconds: float) -> None:
    """Waits for so long that no process does a cell of the sweep any more: jobs that were told to stop take their time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and any(is_held(manifest.cell_lock(entry)) for entry in manifest.cells):
        time.sleep(0.5)


@dataclass(frozen=True)
class Outcome:
    """How a sweep ended."""

    manifest: SweepManifest
    failures: Mapping[str, str]
    """Cell, by its overrides → why it has no rows."""

    @property
    def complete(self) -> bool:
        return not self.failures


def finish_sweep(manifest: SweepManifest) -> Outcome:
    """Closes the parent run with the rows of all finished cells, and names the cells that have none.

    A cell that its process left running is marked as killed, so that nothing stays RUNNING in the store; one that a job still
    does is left to it. The caller holds the sweep (`exclusive`).
    """
    store = Store(manifest.tracking_uri, manifest.experiment)
    failures: dict[str, str] = {}
    rows: dict[str, CellRows] = {}
    deliver_all(store, manifest)
    store.drop_doubles(manifest.sweep_id, manifest.parent_run)
    children = store.children(manifest.parent_run)
    for entry in manifest.cells:
        found = finished_rows(manifest, entry, children)
        if found is not None:
            rows[entry.key] = found
            continue
        status = manifest.status(entry)
        run_id, run_status = children.get(entry.key, ("", ""))
        if is_held(manifest.cell_lock(entry)):
            status = Status(state="running", reason="a job still does it: wait for that, or end it, and start the sweep again")
        elif run_status == "RUNNING":
            status = Status(state="killed", reason="its process was killed: the same command runs it again")
            manifest.set_status(entry, status)
            store.end(run_id, "KILLED")
        failures[" ".join(entry.overrides) or "the only cell"] = status.reason or f"it is {status.state}"
    outcome = Outcome(manifest, failures)
    store.finish_sweep(manifest, rows, outcome.complete)
    return outcome


def find_manifest(name: str | None, out: Path) -> SweepManifest:
    """The sweep of an id (or its beginning) or of a folder; without a name the latest under `out`.

    Raises:
        HalfscanError: none, or several that begin so.
    """
    if name and ("/" in name or Path(name).exists()):
        return read_manifest(Path(name))
    folder = sweeps_folder(out.expanduser().absolute())
    found = sorted(folder.glob(f"{name or ''}*/sweep.json"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise HalfscanError(f"no sweep {name or ''} under {folder}: start one with `halfscan run`")
    if name and len(found) > 1:
        raise HalfscanError(f"{len(found)} sweeps begin with {name}: {', '.join(path.parent.name for path in found)}")
    return read_manifest(found[-1])


def unsynced(out: Path) -> list[SweepManifest]:
    """Sweeps under an output folder some of whose cells are kept for the store, or whose closing broke off; the oldest first,
    and none that some process runs or closes."""
    folder = sweeps_folder(out.expanduser().absolute())
    found = []
    for path in sorted(folder.glob("*/sweep.json"), key=lambda path: path.stat().st_mtime):
        try:
            manifest = read_manifest(path)
        except HalfscanError as error:
            log.warning("%s: %s", path.parent.name, error)  # it stops no other
            continue
        if is_held(manifest.lock):
            continue
        if (manifest.folder / CLOSING).exists() or any(manifest.status(entry).state == "kept" for entry in manifest.cells):
            found.append(manifest)
    return found


def finished_rows(manifest: SweepManifest, entry: Entry, children: Mapping[str, tuple[str, str]]) -> CellRows | None:
    """A cell's rows where it is finished here *and* in the store, else None: a store that lost a run gets it again."""
    _, run_status = children.get(entry.key, ("", ""))
    if manifest.status(entry).state != "finished" or run_status != "FINISHED":
        return None
    try:
        return read_cell(manifest.cell_folder(entry) / ROWS)
    except (OSError, ValueError, HalfscanError):
        return None


@dataclass(frozen=True)
class _FirstStart:
    created_at: str
    known_before: int


def _first_start(out: Path, identity: str, store: Store, known: Callable[[Store, Path], int], claimed: bool) -> _FirstStart:
    """Of the sweep: claims must not look older than they are, nor ignorant of cells that somebody had seen by then."""
    path = sweeps_folder(out) / identity / "sweep.json"
    if path.exists():
        first = read_manifest(path)
        return _FirstStart(first.created_at, first.known_before)
    return _FirstStart(datetime.now(UTC).isoformat(timespec="seconds"), known(store, out) if claimed else 0)


def _known_images(entries: Sequence[Entry], store: Store, out: Path) -> int:
    seen = store.finished_digests(entry.digest for entry in entries)
    return sum(entry.digest in seen or (out / "images" / entry.digest).exists() for entry in entries)


def _swept(jobs: Sequence[Sequence[str]]) -> tuple[str, ...]:
    values: dict[str, set[str]] = {}
    for overrides in jobs:
        for override in overrides:
            name, _, value = override.lstrip("+").partition("=")
            values.setdefault(name, set()).add(value)
    return tuple(name for name, seen in values.items() if len(seen) > 1)


def _writable(folder: Path) -> Path:
    """The folder, made and found writable."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        why = why_unwritable(folder)
    except OSError as error:
        why = error.strerror
    if why:
        raise HalfscanError(f"the output folder {folder} can't be written ({why}): name another with out=")
    return folder
