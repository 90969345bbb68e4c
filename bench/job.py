"""What runs inside a launcher: one cell, from its configuration to its rows on disk and in the store."""

from __future__ import annotations

import importlib.metadata
import json
import logging
import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from .acquisition import manifest_digest
from .benchmark import Measured, measure, measure_share
from .cell import Cell, build_cell
from .errors import HalfscanError, StoreError, one_line
from .image_room import trim_images
from .images import TRAINING
from .keeping import Kept, deliver
from .manifest import Entry, Status, SweepManifest
from .pictures import PICTURE, VIEWS, write_picture, write_views
from .privacy import may_name, redact
from .progress import progress
from .registry import with_local_weights
from .rows import Row, write_rows
from .shelf import Shelf
from .tracking import ROWS, Opened, Store

log = logging.getLogger(__name__)

_LIBRARIES = ("torch", "numpy", "scipy", "scikit-image", "monai", "pytorch-ignite", "mlflow", "hydra-core", "nibabel", "h5py")


@dataclass
class Running:
    """A cell at work, and its run in the store from `start` on."""

    store: Store
    manifest: SweepManifest
    entry: Entry
    run: Opened | None = None
    begun: float = field(default_factory=time.monotonic)
    kept: bool = False
    """Whether all that the store is to hold lies on disk."""

    @property
    def seconds(self) -> float:
        """Since the cell was begun."""
        return time.monotonic() - self.begun

    def start(self, name: str) -> None:
        """Opens the cell's run where the store answers; work goes on where it does not."""
        try:
            self.run = self.store.start_cell(self.manifest, self.entry, name)
        except StoreError as error:
            log.warning("%s; the cell's rows are kept on disk", error)

    def finish(self, rows: Sequence[Row], kept: Kept) -> None:
        """Keeps the cell on disk, then gives it to the store."""
        folder = self.manifest.cell_folder(self.entry)
        folder.mkdir(parents=True, exist_ok=True)
        write_rows(rows, folder / ROWS)
        kept.write(folder)
        self.kept = True
        deliver(self.store, self.manifest, self.entry, self.run)


def run_cell(compose: Callable[[], DictConfig], manifest: SweepManifest, entry: Entry) -> Status:
    """Runs one cell and records how it ended, on disk and in the store.

    Args:
        compose: gives the cell's configuration.
        manifest: of its sweep.
        entry: the cell.
    """

    def work(running: Running) -> None:
        config = compose()
        cell = build_cell(with_local_weights(config))
        if cell.key != entry.key:
            raise HalfscanError("code, data or configuration changed after the sweep was planned: start it again")
        running.start(_name(manifest, entry, cell))
        _measure(cell, config, running)

    return recorded(manifest, entry, work)


def run_share(config: DictConfig, manifest: SweepManifest, entry: Entry) -> str | None:
    """Does a share of one cell's volumes ahead of the cell; returns why not, for the cell itself then does them all."""
    try:
        cell = build_cell(with_local_weights(config))
        _ready_torch(cell)
        measure_share(cell, manifest.images, config.share, config.shares, _shelf(config, manifest))
    except Exception as error:
        return one_line(error)
    return None


def recorded(manifest: SweepManifest, entry: Entry, work: Callable[[Running], None]) -> Status:
    """Does a cell's work, which closes its run where all went well, and records how it ended, on disk and in the store.

    An error inside a cell never leaves here: the other cells go on. A kill does, after the record says so. A cell that another
    process did meanwhile is not done again: a queue's jobs outlive their launcher, and are started again by the queue.
    """
    try:
        with _held(manifest, entry):
            before = manifest.status(entry)
            return before if before.state in ("finished", "kept") else _recorded(manifest, entry, work)
    except HalfscanError as error:
        # Of the lock: an error in the work has become a status.
        status = Status(state="failed", reason=one_line(error))
        manifest.set_status(entry, status)
        return status


@contextmanager
def _held(manifest: SweepManifest, entry: Entry) -> Iterator[None]:
    """Holds a cell for this process; waits where another does it.

    Raises:
        HalfscanError: the file system has no locks.
    """
    from filelock import FileLock, Timeout

    path = manifest.cell_lock(entry)
    lock = FileLock(str(path))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=1)  # `halfscan status` holds it for an instant, too
    except Timeout:
        log.warning("cell %s: another process does it; waiting for that", " ".join(entry.overrides))
        lock.acquire()
    except (OSError, NotImplementedError) as error:
        raise HalfscanError(f"can't hold {path}: {one_line(error)}") from error
    try:
        yield
    finally:
        lock.release()


def _recorded(manifest: SweepManifest, entry: Entry, work: Callable[[Running], None]) -> Status:
    running = Running(Store(manifest.tracking_uri, manifest.experiment), manifest, entry)
    try:
        manifest.set_status(entry, Status(state="running"))
        work(running)
        status = Status(state="finished", seconds=running.seconds)
    except (KeyboardInterrupt, SystemExit):
        _close(running, "KILLED")
        manifest.set_status(entry, Status(state="killed", reason="interrupted: the same command runs it again"))
        raise
    except Exception as error:
        # MONAI wraps what fails inside a transform, and says nothing of why.
        root = error.__cause__ if isinstance(error.__cause__, Exception) else error
        kind = "" if isinstance(root, HalfscanError) else f"{type(root).__name__}: "
        if running.kept and isinstance(error, StoreError):
            status = Status(
                state="kept", reason=f"{one_line(error)}; `halfscan sync` brings its rows in", seconds=running.seconds
            )
        else:
            _close(running, "FAILED")
            status = Status(state="failed", reason=kind + one_line(root))
    manifest.set_status(entry, status)
    return status


def _close(running: Running, state: str) -> None:
    """Closes the run of a cell that did not finish; where the store itself is gone, `halfscan finish` does it later."""
    if running.run is None:
        return
    try:
        running.store.end(running.run.run_id, state)
    except HalfscanError as error:
        log.error("%s", error)


def _measure(cell: Cell, config: DictConfig, running: Running) -> None:
    """Fills the cell's folder with rows, views, picture, and what the store is to hold of them; and gives it that."""
    manifest, entry = running.manifest, running.entry
    _ready_torch(cell)
    folder = manifest.cell_folder(entry)
    folder.mkdir(parents=True, exist_ok=True)
    acquisitions = cell.recipe.acquisitions
    shelf = _shelf(config, manifest)
    with progress(cell.recipe.model_name, len(acquisitions)) as advance:
        volumes = list(measure(cell, manifest.images, advance, shelf))
    write_views(volumes, folder / VIEWS)
    plain: Any = OmegaConf.to_container(config, resolve=True)
    for foreign in ("hydra", "claims"):  # claims are the sweep's, not the cell's
        plain.pop(foreign, None)
    kept = Kept(
        name=_name(manifest, entry, cell),
        config=redact(plain),
        manifest_digest=manifest_digest(acquisitions),
        training=_training_record(cell, manifest.images),
        picture=_picture(volumes, cell, folder / PICTURE) is not None,
        tags=_tags(cell, volumes),
        seconds=running.seconds,
    )
    running.finish([volume.row for volume in volumes], kept)
    trim_images(manifest.images, 1e9 * config.images_gb, at_once=False)


def _ready_torch(cell: Cell) -> None:
    """Makes torch give the same numbers wherever a cell runs."""
    import torch

    # cuBLAS is deterministic only with a fixed workspace, and torch refuses it otherwise.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(cell.recipe.threads)
    if cell.recipe.device == "cpu":
        # The same for all but torch.compile, whose choices on a GPU it does not reach; the other imports the compiler, for 1.5 s.
        torch.set_deterministic_debug_mode("error")
    else:
        torch.use_deterministic_algorithms(True)


def _shelf(config: DictConfig, manifest: SweepManifest) -> Shelf:
    return Shelf(Path(manifest.out) / "references", int(1e9 * max(0.0, config.references_gb)))


def _training_record(cell: Cell, images: Path) -> dict[str, Any] | None:
    """How the cell's network was trained, as its images' folder says."""
    if cell.recipe.training is None:
        return None
    path = images / cell.recipe.digest / TRAINING
    record: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return record


def _picture(volumes: list[Measured], cell: Cell, path: Path) -> Path | None:
    """Of the volume in the middle of the ranking by the first metric, so that nobody picks the best one."""
    if not all(volume.redistributable for volume in volumes):
        return None
    metric = f"ssim@{cell.profiles[0].name}"
    ranked = sorted(volumes, key=lambda volume: (volume.row.metrics.get(metric) or 0.0, volume.row.volume))
    write_picture(ranked[len(ranked) // 2], path)
    return path


def _name(manifest: SweepManifest, entry: Entry, cell: Cell) -> str:
    others = [
        f"{name.rpartition('.')[2]}={value}"
        for name, value in entry.swept(manifest.swept).items()
        if name != "model" and not may_name(name, value)
    ]
    return " ".join([cell.recipe.model_name, *others])


def _tags(cell: Cell, volumes: list[Measured]) -> dict[str, str]:
    row = volumes[0].row
    return {
        **origin_tags(row),
        "halfscan.mask_hashes": ",".join(sorted({volume.mask.hash[:16] for volume in volumes}))[:5000],
        "halfscan.energy": "measured" if row.energy_j is not None else f"not measured: {row.reasons['energy_j']}",
        "halfscan.pictures": "logged" if volumes[0].redistributable else "none: the data are not marked redistributable",
        "halfscan.device": f"{cell.recipe.device} ({platform.machine()}), {cell.recipe.threads} threads",
    }


def origin_tags(row: Row) -> dict[str, str]:
    """What a cell's data are, and what made its rows."""
    commit, dirty = git_state()
    return {
        "halfscan.provenance": row.provenance,
        "halfscan.evidence": row.evidence,
        "halfscan.git_commit": commit,
        "halfscan.git_dirty": dirty,
        "halfscan.versions": " ".join(f"{name}={importlib.metadata.version(name)}" for name in ("halfscan", *_LIBRARIES)),
    }


@lru_cache
def git_state() -> tuple[str, str]:
    """(commit, whether files differ from it) of the checkout that the package lies in; logged only, never an identity."""
    root = Path(__file__).parent.parent

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=10, check=True)
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    top = git("rev-parse", "--show-toplevel")
    # site-packages may lie inside somebody else's checkout.
    if top is None or Path(top).resolve() != root.resolve():
        return "not a checkout", "unknown"
    changes = git("status", "--porcelain")
    return git("rev-parse", "HEAD") or "no commit", "unknown" if changes is None else str(bool(changes)).lower()
