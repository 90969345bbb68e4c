"""What `halfscan run` does, and the closing of sweeps: rows to the store, verdicts, table and page, whatever ended the launch."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .errors import HalfscanError, StoreError, one_line
from .manifest import SweepManifest


def run_sweep(words: Sequence[str]) -> int:
    """Runs a sweep and closes it.

    Args:
        words: overrides and options of Hydra's.

    Returns:
        0, or 1 where some cell has no result.

    Raises:
        HalfscanError: bad input, before any cell runs; or the store is away at the end.
    """
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from ..configs.schema import register
    from .task import task
    from .workers import register_resolvers

    register()
    register_resolvers()
    # Hydra would print a traceback and exit by itself; this makes it hand the error on, to be said in one line.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv = ["halfscan run", *words]
    app = hydra.main(version_base="1.3", config_path="pkg://halfscan.configs", config_name="run")(task)
    try:
        with _sigterm_interrupts():
            app()
    except BaseException as error:
        # Whatever ended the launch: what was planned is closed, so that nothing stays RUNNING in the store.
        close_planned()
        if not isinstance(error, HydraException | OmegaConfBaseException):
            raise
        cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else None
        message = one_line(error) + (f" {one_line(cause)}" if cause and one_line(cause) not in one_line(error) else "")
        raise HalfscanError(message) from error
    return close_planned()


def close_planned() -> int:
    """Closes the sweep that this process ran; without one (`--cfg`, `--help`) there is nothing to do.

    Returns:
        0, or 1 where some cell has no result.

    Raises:
        HalfscanError: the store is away.
    """
    sweep = sys.modules.get(f"{__package__}.sweep")
    if sweep is None or not sweep.planned:
        return 0
    manifest: SweepManifest = sweep.planned.pop()
    try:
        return _close(manifest)
    except StoreError as error:
        kept = sum(manifest.status(entry).state in ("finished", "kept") for entry in manifest.cells)
        raise HalfscanError(
            f"{one_line(error)}; the rows of {kept} of {len(manifest.cells)} cells are safe in {manifest.folder}: once the store "
            "answers, `halfscan sync` brings in what it lacks and closes the sweep"
        ) from error


def run_finish(options: argparse.Namespace) -> int:
    """Closes a sweep whose launcher was lost."""
    from .sweep import find_manifest

    return _close(find_manifest(options.sweep, Path(options.out)))


def run_sync(options: argparse.Namespace) -> int:
    """Gives the store what it missed, and closes those sweeps."""
    from .sweep import find_manifest, unsynced

    if options.sweep:
        return _close(find_manifest(options.sweep, Path(options.out)))
    found = unsynced(Path(options.out))
    if not found:
        print("Nothing waits for the store.")
    code, away = 0, set()
    for manifest in found:
        try:
            if manifest.tracking_uri in away:
                raise HalfscanError("its store is away, too")
            code = max(code, _close(manifest))
        except HalfscanError as error:
            # It keeps no other sweep from its store.
            print(f"halfscan: sweep {manifest.sweep_id}: {one_line(error)}", file=sys.stderr)
            code = 2
            if isinstance(error, StoreError) and not _answers(manifest):
                away.add(manifest.tracking_uri)
    return code


def _answers(manifest: SweepManifest) -> bool:
    """Whether a sweep's store does: it may only have lost the sweep."""
    from .tracking import Store

    try:
        return bool(Store(manifest.tracking_uri, manifest.experiment).experiment_id)
    except HalfscanError:
        return False


def _close(manifest: SweepManifest) -> int:
    from .closing import close_sweep
    from .table import print_table
    from .verdict_page import in_words

    closed = close_sweep(manifest)
    print_table(closed.record.manifest, closed.record.cells)
    print(f"Page: {closed.page}")
    for verdict in closed.verdicts:
        print("\n".join(["", *in_words(verdict)]))
    print(f"Sweep {manifest.sweep_id} in {manifest.folder}; MLflow: mlflow ui --backend-store-uri {manifest.tracking_uri}")
    for name, reason in closed.record.unjudged.items():
        print(f"halfscan: claim {name} is not judged: {reason}", file=sys.stderr)
    for cell, reason in closed.outcome.failures.items():
        print(f"halfscan: cell {cell} has no result: {reason}", file=sys.stderr)
    return 0 if closed.outcome.complete else 1


@contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    """SIGTERM, as from a queue or a container that stops, ends a sweep as Ctrl-C does: recorded, and with nothing left RUNNING. A
    second one ends the process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
