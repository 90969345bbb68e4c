"""What `halfscan ledger` does: a sweep's cells, a scanner and a grid → kWh and kg an exam; or what a site's own logs say."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from .claims.types import Evidence
from .configuration import build, compose_run, to_plain
from .errors import HalfscanError
from .ledger.ledger import Entry, Exam, ledger
from .ledger.off_peak import off_peak_saving
from .ledger.power_log import read_power_log
from .ledger.site import Grid, Scanner, Service
from .ledger.states import exams, profile, stretches
from .quantity import Quantity
from .rows import CellRows
from .table import CellSummary, label, read_cells
from .tracking import Store, tracking_uri

_PARTS = ("scanner", "grid", "computer", "service", "against")


def run_ledger(options: argparse.Namespace) -> int:
    """Prints the ledger of a sweep, or the saving between two logs."""
    if options.off_peak:
        before, after = options.off_peak
        return _off_peak(before, after, options.claimed, options.json)
    sweeps = [word for word in options.words if "=" not in word]
    if len(sweeps) > 1:
        raise HalfscanError(f"one sweep at a time, and not {', '.join(sweeps)}")
    plain = to_plain(compose_run([word for word in options.words if "=" in word], _PARTS, primary="ledger"))
    if plain["against"] not in ("clinical", "full"):
        raise HalfscanError(f"against={plain['against']} is unknown: use clinical or full")
    scanner: Scanner = build(plain["scanner"], "scanner")
    notes: list[str] = []
    if options.power_log:
        log = read_power_log(options.power_log)
        found = stretches(log, options.states)
        scanner = replace(profile(found, options.power_log.stem), cooling=scanner.cooling, cooling_source=scanner.cooling_source)
        done = exams(found)
        notes += [f"{options.power_log.name}: {note}" for note in log.notes]
        if done:
            notes.append(
                f"{options.power_log.name}: {len(done)} exams of {sum(one.kwh for one in done) / len(done):.3g} kWh each, "
                f"{log.kwh:.4g} kWh in all"
            )
    grid: Grid = build(plain["grid"], "grid")
    computer: Grid = build(plain["computer"], "computer")
    service: Service = build(plain["service"], "service")
    manifest, cells = read_cells(Store(tracking_uri(options.store), options.experiment), sweeps[0] if sweeps else None)
    entries = {label(cell): ledger(exam_of(cell.rows, plain["against"]), scanner, grid, computer, service) for cell in cells}
    if options.json:
        print(json.dumps({name: [entry.as_dict() for entry in found] for name, found in entries.items()}, indent=1))
        return 0
    _print(manifest.sweep_id, entries)
    for line in [*_footnotes(cells, entries, scanner, grid, computer, service, plain["against"]), *notes]:
        print(line)
    return 0


def exam_of(rows: CellRows, against: str) -> Exam:
    """What a cell's scans change in an exam, in the mean of its volumes."""
    return Exam(
        seconds_saved=_saved(rows, against),
        reconstruction=_mean(rows, "energy_j", "energy_low_j", "energy_high_j"),
        baseline=Quantity.unmeasured("J", "not stated"),
        training=_mean(rows, "training_j"),
    )


def _saved(rows: CellRows, against: str) -> Quantity:
    """Seconds of the reference less those of the candidate; the range is that of the reduction."""
    reference = rows.values(f"{against}_s")
    ends = [rows.values(f"reduction_{against}{end}") for end in ("", "_low", "_high")]
    if any(None in values for values in (reference, *ends)):
        reason = next(
            (said[f"{against}_s"] for said in rows.texts("reasons") if f"{against}_s" in said),
            "nobody knows the reference's seconds",
        )
        return Quantity.unmeasured("s", reason)
    value, low, high = (sum(share * whole for share, whole in zip(end, reference, strict=True)) / len(rows) for end in ends)
    return Quantity(value=value, unit="s", method="modelled", low=min(low, high, value), high=max(low, high, value))


def _mean(rows: CellRows, column: str, *ends: str) -> Quantity:
    values = rows.values(column)
    if None in values:
        reasons = [said[column] for said in rows.texts("reasons") if column in said]
        return Quantity.unmeasured("J", next(iter(reasons), "no reason recorded"))
    method = "measured_counter"
    if column == "energy_j":
        method = rows.texts("energy")[0]["total"]["method"]
    low, high = (_known_mean(rows.values(end)) for end in ends) if ends else (None, None)
    return Quantity(
        value=sum(values) / len(values), unit="J", method=method, low=low, high=high, reason="the mean of all volumes"
    )


def _known_mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None


def _print(sweep: str, entries: dict[str, list[Entry]]) -> None:
    from rich.console import Console
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
                name if index == 0 else "",
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


def _footnotes(
    cells: Sequence[CellSummary],
    entries: dict[str, list[Entry]],
    scanner: Scanner,
    grid: Grid,
    computer: Grid,
    service: Service,
    against: str,
) -> list[str]:
    lines = [
        "prepared: the scanner waits ready in the freed minutes; idle: it is switched back; refilled: it scans another patient, "
        "and the site saves nothing.",
        f"Scanner: {scanner.name} ({scanner.method}; {scanner.source}); cooling {scanner.cooling[0]:g} to {scanner.cooling[1]:g} "
        f"({scanner.cooling_source}). Minutes against the {against} scan.",
        f"Grids: {grid.name} {grid.intensity:g} g/kWh for the scanner, {computer.name} {computer.intensity:g} g/kWh for the "
        f"computer ({grid.source}, {grid.year}). Training shared by {service.exams:g} exams.",
        "Intervals: 95 % of 10,000 draws over the ranges.",
    ]
    if scanner.several:
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
    lines.append(
        "Reconstruction: that of the scan that is replaced is not known and counts as nothing, which flatters no network."
    )
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
