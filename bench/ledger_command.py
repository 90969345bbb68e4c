"""What `halfscan ledger` does: a sweep's cells, a scanner and a grid → kWh and kg an exam; or what a site's own logs say."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from .books import Books, sweep_and_overrides
from .claims.types import Evidence
from .errors import HalfscanError
from .ledger.ledger import Entry
from .ledger.off_peak import off_peak_saving
from .ledger.power_log import read_power_log
from .ledger.states import exams, profile, stretches
from .quantity import Quantity
from .table import CellSummary, label, read_cells
from .tracking import Store, tracking_uri


def run_ledger(options: argparse.Namespace) -> int:
    """Prints the ledger of a sweep, or the saving between two logs."""
    if options.off_peak:
        before, after = options.off_peak
        return _off_peak(before, after, options.claimed, options.json)
    sweep, overrides = sweep_and_overrides(options.words)
    books = Books.composed(overrides)
    notes: list[str] = []
    if options.power_log:
        log = read_power_log(options.power_log)
        found = stretches(log, options.states)
        logged, stated = profile(found, options.power_log.stem), books.scanner
        books = replace(books, scanner=replace(logged, cooling=stated.cooling, cooling_source=stated.cooling_source))
        done = exams(found)
        notes += [f"{options.power_log.name}: {note}" for note in log.notes]
        if done:
            notes.append(
                f"{options.power_log.name}: {len(done)} exams of {sum(one.kwh for one in done) / len(done):.3g} kWh each, "
                f"{log.kwh:.4g} kWh in all"
            )
    manifest, cells = read_cells(Store(tracking_uri(options.store), options.experiment), sweep)
    if not cells:
        raise HalfscanError(f"sweep {manifest.sweep_id}: no cell has finished, so that nothing is known")
    entries = {label(cell): books.entries(cell.rows) for cell in cells}
    if options.json:
        print(json.dumps({name: [entry.as_dict() for entry in found] for name, found in entries.items()}, indent=1))
        return 0
    _print(manifest.sweep_id, entries)
    for line in [*_footnotes(cells, entries, books), *notes]:
        print(line)
    return 0


def _print(sweep: str, entries: dict[str, list[Entry]]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console.width = 140
    shown = Table(title=f"sweep {sweep}: an exam's energy, kWh; minus is spent")
    for heading in ("cell", "freed minutes", "scanner", "recon", "training", "net", "net g CO2e", "break-even"):
        shown.add_column(heading, justify="left" if heading in ("cell", "freed minutes") else "right", no_wrap=heading != "cell")
    for name, found in entries.items():
        for index, entry in enumerate(found):
            terms = [_number(entry.terms[term]) for term in ("scanner", "reconstruction", "training")]
            grams = None if entry.carbon.value is None else 1000 * entry.carbon.value
            shown.add_row(
                escape(name) if index == 0 else "",
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


def _footnotes(cells: Sequence[CellSummary], entries: dict[str, list[Entry]], books: Books) -> list[str]:
    lines = books.basis()
    if books.scanner.several:
        bounds = "; ".join(
            f"{entry.scenario} {_number(entry.bounds)}{_range(entry.bounds)}"
            for entry in next(iter(entries.values()))
            if entry.outer
        )
        lines.append(
            f"The powers span several scanners: no interval is one scanner's; outer bounds of the first cell: {bounds} kWh."
        )
    reasons = {found[0].net.reason for found in entries.values() if found[0].net.value is None}
    lines += [f"No net: {reason}." for reason in sorted(filter(None, reasons))]
    if any(cell.first.evidence == Evidence.SIMULATED for cell in cells):
        lines.append("Data: simulated. Demonstration only: simulated data never support a claim on scan time, nor on its energy.")
    return lines


def _off_peak(before: Path, after: Path, claimed: float, as_json: bool) -> int:
    logs = [read_power_log(path) for path in (before, after)]
    found = off_peak_saving(logs[0], logs[1], claimed)
    if as_json:
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
    for path, log in zip((before, after), logs, strict=True):
        for note in log.notes:
            print(f"{path.name}: {note}")
    return 0
