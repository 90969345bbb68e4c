"""What `halfscan ledger` does: a sweep's cells, a scanner and a grid → kWh and kg an exam; or what a site's own logs say."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from .books import Books, sweep_and_overrides
from .claims.types import Evidence
from .errors import HalfscanError
from .ledger.ledger import Entry
from .ledger.off_peak import off_peak_saving
from .ledger.power_log import read_power_log, zone_of
from .ledger.states import STATES_OF_A_LOG, exams, profile, stretches
from .quantity import Quantity
from .table import CellSummary, label, read_cells
from .tracking import Store, tracking_uri

Kept = Sequence[tuple[CellSummary, list[Entry]]]
"""The ledger of every cell."""


def run_ledger(options: argparse.Namespace) -> int:
    """Prints the ledger of a sweep, or the saving between two logs.

    Raises:
        HalfscanError: options that don't go together, or what they name is refused.
    """
    if options.off_peak:
        _only(options, "--off-peak stands alone", "words", "power_log", "states", "store", "experiment")
        return _off_peak(options)
    _only(options, "only --off-peak needs it", "claimed", "zone")
    if not options.power_log:
        _only(options, "only --power-log needs it", "states")
    sweep, overrides = sweep_and_overrides(options.words)
    books = Books.composed(overrides)
    notes: list[str] = []
    if options.power_log:
        if stated := [word for word in overrides if re.match(r"\+*scanner(=|\.(?!cooling))", word)]:
            raise HalfscanError(f"{stated[0]} and --power-log both say what the scanner is: give one")
        books, notes = _with_log(books, options.power_log, options.states or STATES_OF_A_LOG)
    manifest, cells = read_cells(Store(tracking_uri(options.store), options.experiment or "halfscan"), sweep)
    if not cells:
        raise HalfscanError(f"sweep {manifest.sweep_id}: no cell has finished, so that nothing is known")
    kept = [(cell, books.entries(cell.rows)) for cell in cells]
    footnotes = [*_footnotes(kept, books), *notes]
    if options.json:
        _print_json(manifest.sweep_id, kept, footnotes)
        return 0
    _print(manifest.sweep_id, kept)
    for line in footnotes:
        print(line)
    return 0


def _only(options: argparse.Namespace, why: str, *names: str) -> None:
    """Refuses options that would do nothing."""
    if given := [name for name in names if getattr(options, name) not in (None, [])]:
        said = " ".join(options.words) if given[0] == "words" else f"--{given[0].replace('_', '-')}"
        raise HalfscanError(f"{said}: {why}")


def _with_log(books: Books, path: Path, states: Sequence[str]) -> tuple[Books, list[str]]:
    """Books of the scanner that a log is of, and what there is to say of the log."""
    log = read_power_log(path)
    found = stretches(log, states)
    logged, stated = profile(found, path.stem), books.scanner
    notes = list(log.notes)
    if done := exams(found):
        notes.append(f"{len(done)} exams of {sum(one.kwh for one in done) / len(done):.3g} kWh each, {log.kwh:.4g} kWh in all")
    scanner = replace(logged, cooling=stated.cooling, cooling_source=stated.cooling_source)
    return replace(books, scanner=scanner), [f"{path.name}: {note}" for note in notes]


def _print_json(sweep: str, kept: Kept, footnotes: Sequence[str]) -> None:
    cells = [
        {
            "cell": cell.entry.key,
            "label": label(cell),
            "evidence": cell.first.evidence,
            "scenarios": [entry.as_dict() for entry in entries],
        }
        for cell, entries in kept
    ]
    print(json.dumps({"sweep": sweep, "cells": cells, "notes": list(footnotes)}, indent=1))


def _print(sweep: str, kept: Kept) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console.width = 140
    shown = Table(title=f"sweep {sweep}: an exam's energy, kWh; minus is spent")
    for heading in ("cell", "freed minutes", "scanner", "recon", "training", "net", "net g CO2e", "break-even"):
        shown.add_column(heading, justify="left" if heading in ("cell", "freed minutes") else "right", no_wrap=heading != "cell")
    for cell, found in kept:
        for index, entry in enumerate(found):
            terms = [_number(entry.terms[term]) for term in ("scanner", "reconstruction", "training")]
            grams = None if entry.carbon.value is None else 1000 * entry.carbon.value
            shown.add_row(
                escape(label(cell)) if index == 0 else "",
                entry.scenario,
                *terms,
                f"{_number(entry.net)}{_range(entry.net)}",
                "-" if grams is None else f"{grams:+,.3g}",
                _exams(entry),
            )
    console.print(shown)


def _number(quantity: Quantity) -> str:
    return "-" if quantity.value is None else "0" if quantity.value == 0 else f"{quantity.value:+.3g}"


def _range(quantity: Quantity) -> str:
    low, high = quantity.low, quantity.high
    return "" if low is None or high is None or low == high else f" ({low:+.2g} to {high:+.2g})"


def _exams(entry: Entry) -> str:
    """Until the training is paid back."""
    if entry.break_even.value is not None:
        risk = f", never {entry.never:.0%}" if entry.never else ""
        return f"{entry.break_even.value:,.0f} exams{risk}"
    return "-" if entry.never is None else f"never ({entry.never:.0%})"


def _footnotes(kept: Kept, books: Books) -> list[str]:
    lines = books.basis()
    if books.scanner.several:
        bounds = "; ".join(
            f"{entry.scenario} {_number(entry.bounds)}{_range(entry.bounds)}" for entry in kept[0][1] if entry.outer
        )
        lines.append(
            f"The powers span several scanners: no interval is one scanner's; outer bounds of the first cell: {bounds} kWh."
        )
    reasons = {found[0].net.reason for _, found in kept if found[0].net.value is None}
    lines += [f"No net: {reason}." for reason in sorted(filter(None, reasons))]
    if any(cell.first.evidence == Evidence.SIMULATED for cell, _ in kept):
        lines.append("Data: simulated. Demonstration only: simulated data never support a claim on scan time, nor on its energy.")
    return lines


def _off_peak(options: argparse.Namespace) -> int:
    zone = zone_of(options.zone) if options.zone else None
    logs = [read_power_log(path, zone) for path in options.off_peak]
    claimed = 0.3 if options.claimed is None else options.claimed
    found = off_peak_saving(logs[0], logs[1], claimed)
    if options.json:
        content: dict[str, Any] = {
            "saving": found.saving.as_dict(),
            "hours": found.hours,
            "claimed": claimed,
            "verdict": found.verdict,
        }
        print(json.dumps(content | {"notes": [list(log.notes) for log in logs]}, indent=1))
        return 0
    low, high = found.saving.low, found.saving.high
    assert found.saving.value is not None
    assert low is not None
    assert high is not None
    share = f"{found.saving.value:.1%} saved ({low:.1%} to {high:.1%}, days as blocks)"
    print(f"Off-peak: {share}, {claimed:.0%} claimed: {found.verdict}.")
    print(f"{found.hours} hours of the week are in both logs, each weekday and hour against itself.")
    for path, log in zip(options.off_peak, logs, strict=True):
        for note in log.notes:
            print(f"{path.name}: {note}")
    return 0
