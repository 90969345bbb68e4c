"""What `halfscan status` does: how far a sweep is, what failed and why, and about how long the rest takes."""

from __future__ import annotations

import argparse
import json
import statistics
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

from .files import is_held
from .manifest import Entry, State, Status, SweepManifest
from .sweep import find_manifest

LOST = "lost"
"""Of a cell that is said to run in a sweep that nobody runs: its process died without a word."""
_WORDS = {LOST: "its process is gone: the command that started the sweep runs it again, `halfscan finish` closes the sweep"}
_NAMED = 40
"""Cells of a kind that are named."""


def run_status(options: argparse.Namespace) -> int:
    """Prints how far a sweep is.

    Returns:
        0: nothing is wrong; 1: cells failed, were killed or lost, or wait for the store.
    """
    manifest = find_manifest(options.sweep, Path(options.out))
    held = is_held(manifest.lock)
    found = {entry: _seen(manifest, entry, held) for entry in manifest.cells}
    counts = Counter(state for state, _ in found.values())
    left = seconds_left(found)
    if options.json:
        cells = [
            {"overrides": entry.overrides, "state": state, "reason": status.reason, "seconds": status.seconds, "at": status.at}
            for entry, (state, status) in found.items()
        ]
        content = {"sweep": manifest.sweep_id, "held": held, "seconds_left": left, "counts": dict(counts), "cells": cells}
        print(json.dumps(content, indent=1))
    else:
        _print(manifest, found, counts, held, left)
    return 1 if counts["failed"] or counts["killed"] or counts["kept"] or counts[LOST] else 0


def _seen(manifest: SweepManifest, entry: Entry, held: bool) -> tuple[str, Status]:
    """A cell's state and what is recorded of it. A job of a queue may go on where nobody runs the sweep."""
    status = manifest.status(entry)
    lost = status.state == "running" and not held and not is_held(manifest.cell_lock(entry))
    return (LOST if lost else status.state), status


def seconds_left(found: Mapping[Entry, tuple[str, Status]]) -> float | None:
    """About how long the rest takes: the median of the finished cells for every one to come, as many at once as run now.

    Cells that run are half done on average; None where no cell says how long one takes, or none is to come.
    """
    took = [status.seconds for state, status in found.values() if state == "finished" and status.seconds is not None]
    running = sum(state == "running" for state, _ in found.values())
    waiting = sum(state == "waiting" for state, _ in found.values())
    if not took or not running:
        return None
    return statistics.median(took) * (waiting + running / 2) / running


def _print(
    manifest: SweepManifest, found: Mapping[Entry, tuple[str, Status]], counts: Mapping[str, int], held: bool, left: float | None
) -> None:
    order = [*get_args(State), LOST]
    parts = [f"{counts[state]} {state}" for state in sorted(counts, key=order.index)]
    print(f"Sweep {manifest.sweep_id}: {len(found)} cells: {', '.join(parts)}.")
    print(f"Started {manifest.created_at}; {'a process runs it' if held else 'no process of this machine runs it'}.")
    if left is not None:
        print(f"Time left: about {in_words(left)}, at the median of the finished cells and {counts['running']} at once.")
    for state in ("running", "kept", LOST, "failed", "killed"):
        named = [(entry, status) for entry, (one, status) in found.items() if one == state]
        for entry, status in named[:_NAMED]:
            why = _WORDS.get(state) or status.reason
            since = f" since {status.at}" if state == "running" and status.at else ""
            print(f"{state}{since}: {' '.join(entry.overrides) or 'the only cell'}{f': {why}' if why else ''}")
        if len(named) > _NAMED:
            print(f"and {len(named) - _NAMED} more {state}")


def in_words(seconds: float) -> str:
    """A duration of nobody's concern to the second."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
