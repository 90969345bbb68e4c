"""The function that Hydra's launchers call, in a module light enough for `halfscan run --help`."""

from __future__ import annotations

import logging
from pathlib import Path

from omegaconf import DictConfig

log = logging.getLogger(__name__)


def task(config: DictConfig) -> None:
    """Runs one cell of the sweep whose folder Hydra names, and never raises an error: the cell records how it ended."""
    from hydra.core.hydra_config import HydraConfig

    from .job import run_cell
    from .manifest import read_manifest

    hydra = HydraConfig.get()
    manifest = read_manifest(Path(hydra.sweep.dir))
    entry = manifest.entry(hydra.overrides.task)
    status = run_cell(config, manifest, entry)
    if status.reason:
        log.error("cell %s failed: %s", " ".join(entry.overrides), status.reason)
