"""The page's ledger of energy: what an exam saves at the scanner, what it costs at the computer, and which is larger."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from ..books import Books
from ..claims.types import Evidence
from ..ledger.ledger import TERMS, Entry
from ..table import CellSummary, label
from .energy_charts import draw_levers, draw_waterfall, in_words, signed, what_is_summed
from .gather import SweepRecord

_DRAWN = 4
"""Cells with pictures of their own; the table holds all."""


def energy_section(record: SweepRecord, books: Books) -> dict[str, Any]:
    """What the page shows of an exam's energy; every word of it."""
    found = [(cell, books.entries(cell.rows)) for cell in record.cells]
    shortened = [(cell, entries) for cell, entries in found if any((entry.terms["scanner"].value or 0) > 0 for entry in entries)]
    claimed = _candidates(record)
    drawn = sorted(shortened, key=lambda one: one[0].entry.key not in claimed)[:_DRAWN]
    reasons = dict.fromkeys(entries[0].net.reason for _, entries in found if entries[0].net.value is None)
    return {
        "headings": ["cell", "freed minutes", *TERMS, "net", "CO2e, g", "break-even"],
        "rows": [_row(cell, entry) for cell, entries in found for entry in entries],
        "pictures": [_pictures(cell, entries) for cell, entries in drawn],
        "left_out": len(shortened) - len(drawn),
        "known": any(entries[0].terms["scanner"].value is not None for _, entries in found),
        "why_none": _why_none(record, found),
        "no_net": [reason for reason in reasons if reason],
        "simulated": any(cell.first.evidence == Evidence.SIMULATED for cell in record.cells),
        "basis": books.basis(),
    }


def _candidates(record: SweepRecord) -> set[str]:
    """Cells that a claim is about."""
    return {cell.entry.key for one in record.judged for cell in one.cells[1]}


def _why_none(record: SweepRecord, found: list[tuple[CellSummary, list[Entry]]]) -> str:
    """Why there is no picture."""
    if not found:
        return "No cell of this sweep has finished."
    reasons = dict.fromkeys(entries[0].terms["scanner"].reason or "no scan saves any in any scenario" for _, entries in found)
    return f"No cell saves scanner energy: {'; '.join(reasons)}."


def _pictures(cell: CellSummary, entries: list[Entry]) -> dict[str, Any]:
    first = entries[0]
    return {
        "name": label(cell),
        "waterfall": Markup(draw_waterfall(entries)),
        "levers": Markup(draw_levers(first)) if first.levers else "",
        "scenario": first.scenario,
        "of": what_is_summed(first),
    }


def _row(cell: CellSummary, entry: Entry) -> list[str]:
    grams = entry.carbon.value
    return [
        label(cell),
        entry.scenario,
        *(signed(entry.terms[name]) for name in TERMS),
        in_words(entry.net) if entry.net.value is not None else "–",
        "–" if grams is None else f"{1000 * grams:+,.3g}",
        _break_even(entry),
    ]


def _break_even(entry: Entry) -> str:
    """Exams until the training is paid back."""
    if entry.break_even.value is not None:
        risk = f"; never: {entry.never:.0%}" if entry.never else ""
        return f"{entry.break_even.value:,.0f} exams{risk}"
    return "–" if entry.never is None else f"never ({entry.never:.0%})"
