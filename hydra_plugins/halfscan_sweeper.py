"""Makes Halfscan's sweeper known to Hydra, which takes sweepers from the namespace `hydra_plugins` alone.

Kept thin: Hydra imports this module at every start of every Hydra application of the environment.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# Imported as a module: a class found in this namespace would be registered as a plug-in of its own.
from hydra._internal.core_plugins import basic_launcher, basic_sweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import open_dict
from omegaconf.errors import OmegaConfBaseException

log = logging.getLogger(__name__)

_BATCH = 50
"""Jobs that the basic launcher gets at once: one after the other they need no more."""


_GRACE_S = 30.0
"""For local jobs that are stopped with their launcher, as much as Slurm gives its own."""
_LAST_WORDS_S = 60.0
"""Until their cells are nobody's."""


class ResumingSweeper(basic_sweeper.BasicSweeper):
    """Expands the overrides as the basic sweeper does, drops the cells that are finished, and launches the rest."""

    def sweep(self, arguments: list[str]) -> None:
        from halfscan.bench.files import drop_drafts
        from halfscan.bench.image_room import trim_images
        from halfscan.bench.sweep import await_cells, open_sweep

        assert self.hydra_context is not None
        assert self.config is not None
        master, loader = self.config, self.hydra_context.config_loader
        parser = OverridesParser.create(config_loader=loader)
        jobs = self.split_arguments(parser.parse_overrides([*self._parse_config(), *arguments]), None)[0]
        with open_sweep(jobs, lambda overrides: loader.load_sweep_config(master, list(overrides))) as plan:
            home = str(plan.manifest.folder)
            with open_dict(master):
                master.hydra.sweep.dir = home
            # Quoted for Hydra's grammar, in which a folder may otherwise end at a comma, a quote or a brace.
            quoted = home.replace("'", r"\'").replace("${", r"\${")
            where = f"hydra.sweep.dir='{quoted}'"
            firsts = plan.packed(master.pack)
            try:
                self._launch([[*entry.overrides, f"share={share}", where] for entry, share in plan.shared(master.shares)])
                self._launch([[*entry.overrides, where] for entry in firsts])
            except BaseException:
                # Before the sweep is closed: cells that end now say so themselves.
                await_cells(plan.manifest, _LAST_WORDS_S)
                raise
            if "joblib" in type(self.launcher).__module__:
                _dismiss_workers()
            # Cells of a pool save too little to look for themselves.
            trim_images(plan.manifest.images, 1e9 * master.images_gb)
            for folder in ("images", "references", "weights"):
                drop_drafts(Path(plan.manifest.out) / folder)

    def _launch(self, jobs: Sequence[Sequence[str]]) -> None:
        """Launches jobs in batches. What a job returns is not looked at, for cells write how they ended themselves; nor is it
        kept, for it holds the cell's whole configuration."""
        assert self.launcher is not None
        if not jobs:
            return
        size = self.max_batch_size or (_BATCH if isinstance(self.launcher, basic_launcher.BasicLauncher) else None)
        done = 0
        for batch in self.split_overrides_to_chunks([list(job) for job in jobs], size):
            with _patient(), _said_in_a_line(type(self.launcher).__name__):
                self.launcher.launch(batch, initial_job_idx=done)
            done += len(batch)


def _dismiss_workers() -> None:
    """Lets joblib's workers go while the sweep is closed: they would stay until this process ends, which then waits for them."""
    from joblib.externals.loky import get_reusable_executor  # type: ignore[import-untyped]

    get_reusable_executor(reuse=True).shutdown(wait=False)


def _stop(jobs: Sequence[Any], local: type) -> None:
    """Stops jobs as Slurm does: a word, some time for a training to save itself, the end."""
    here: list[Any] = [job for job in jobs if isinstance(job, local)]
    for job in jobs:
        with suppress(Exception):  # what stopped the launcher is what is raised
            if job in here:
                # Its own `cancel` leaves a second; the process that watches it hands SIGTERM on.
                os.kill(int(job.job_id), signal.SIGTERM)
            elif not job.done():
                job.cancel(check=False)
    end = time.monotonic() + _GRACE_S
    for job in here:
        with suppress(Exception):
            while not job.done() and time.monotonic() < end:
                time.sleep(0.2)
            if not job.done():
                job.cancel(check=False)


@contextmanager
def _said_in_a_line(launcher: str) -> Iterator[None]:
    """A queue that is away is bad input like any other: no error of a cell ever comes this way."""
    from halfscan.bench.errors import HalfscanError, one_line

    try:
        yield
    except (HalfscanError, HydraException, OmegaConfBaseException):
        raise
    except Exception as error:
        raise HalfscanError(f"{launcher} can't run the sweep's jobs: {one_line(error)}") from error


@contextmanager
def _patient() -> Iterator[None]:
    """Waits for all of submitit's jobs: its launcher stops waiting at the first that was killed, while the others go on. Where it
    is itself told to stop, so are they."""
    submitit = sys.modules.get("submitit") or (import_module("submitit") if find_spec("submitit") else None)
    if submitit is None:
        yield
        return
    results, begin = submitit.Job.results, submitit.Job.__init__
    jobs: list[Any] = []

    def noted(job: Any, *arguments: Any, **named: Any) -> None:
        begin(job, *arguments, **named)
        jobs.append(job)

    def whatever_came(job: Any) -> list[Any]:
        try:
            return list(results(job))
        except Exception as error:  # whatever it can't read of a killed job
            log.error("job %s ended without a word: %s", job.job_id, str(error).strip().partition("\n")[0])
            return [None]

    submitit.Job.results, submitit.Job.__init__ = whatever_came, noted
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        _stop(jobs, submitit.LocalJob)
        raise
    finally:
        submitit.Job.results, submitit.Job.__init__ = results, begin
