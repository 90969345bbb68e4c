"""The function that Hydra's launchers call, in a module light enough for `halfscan run --help`."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

from omegaconf import DictConfig

log = logging.getLogger(__name__)


def task(config: DictConfig) -> None:
    """Runs one job of the sweep whose folder Hydra names, a cell or a pack of them, and never raises an error: each cell records
    how it ended."""
    from hydra import compose
    from hydra.core.hydra_config import HydraConfig

    from .image_room import trim_images
    from .job import run_cell, run_share
    from .manifest import read_manifest
    from .workers import own_gpu

    hydra = HydraConfig.get()
    manifest = read_manifest(Path(hydra.sweep.dir))
    first = manifest.entry([word for word in hydra.overrides.task if not word.startswith("share=")])
    if config.share is not None:
        with own_gpu(config.device, hydra.launcher._target_):
            if why := run_share(config, manifest, first):
                log.error("share %d of cell %s: %s", config.share, " ".join(first.overrides), why)
        return
    searched = [word for word in hydra.overrides.hydra if word.startswith("hydra.searchpath=")]
    with own_gpu(config.device, hydra.launcher._target_):
        for entry in manifest.pack(first):
            own = partial(compose, "run", [*searched, *entry.overrides])
            status = run_cell(own if entry != first else lambda: config, manifest, entry)
            if status.reason:
                log.error("cell %s failed: %s", " ".join(entry.overrides), status.reason)
    if "submitit" in hydra.launcher._target_:
        # A process a job saves too little to look by itself.
        trim_images(manifest.images, 1e9 * config.images_gb)
