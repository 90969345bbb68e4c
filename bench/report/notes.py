"""What MLflow's own pages say of a sweep, for those who have its address and nothing else: notes, names, tags, metrics."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ..quantity import Quantity
from ..table import CellSummary, digits, fitting_profile, label, percent, score, shown
from .gather import SweepRecord

_ROWS = 40
"""Of the note's table; the page has them all."""


def run_name(record: SweepRecord) -> str:
    """Of the parent run: models and data, and the sweep's id, by which every command finds it."""
    models = list(dict.fromkeys(cell.first.model for cell in record.cells))
    datasets = list(dict.fromkeys(cell.first.dataset for cell in record.cells))
    if not models:
        return f"sweep {record.manifest.sweep_id}"
    more = f" and {len(models) - 4} more" if len(models) > 4 else ""
    return f"{', '.join(models[:4])}{more} on {', '.join(datasets)} ({record.manifest.sweep_id})"


def trade_off_note(record: SweepRecord) -> str:
    """The trade-off as a Markdown table: scan minutes, what that saves, and the scores."""
    if not record.cells:
        return "No cell has finished."
    profile = fitting_profile(record.cells)
    metrics = [f"{name}@{profile}" for name in shown(profile)]
    head = ["cell", "R", "min", f"vs {record.cells[0].first.clinical}", *metrics]
    lines = ["| " + " | ".join(map(plain, head)) + " |", "|" + " --- |" * len(head)]
    for cell in record.cells[:_ROWS]:
        scores = [score(cell, metric, digits(metric)) for metric in metrics]
        minutes = f"{(cell.scan_seconds.value or 0.0) / 60:.2f}"
        values = [label(cell), f"{cell.acceleration:.2f}", minutes, percent(cell.reduction("clinical")), *scores]
        lines.append("| " + " | ".join(map(plain, values)) + " |")
    table = "\n".join(lines)
    more = f"\n\nand {len(record.cells) - _ROWS} more cells." if len(record.cells) > _ROWS else ""
    return (
        f"{table}{more}\n\nThe whole page: `report.html` among this run's artifacts. To see the trade-off here: choose the "
        f"cells, *Compare*, and a scatter plot of `scan/minutes` and `{profile}/{next(iter(shown(profile)))}`."
    )


def cell_note(cell: CellSummary, roles: Sequence[str]) -> str:
    """One cell in words."""
    row = cell.first
    profile = fitting_profile([cell])
    scores = ", ".join(f"{name} {score(cell, f'{name}@{profile}', places)}" for name, places in shown(profile).items())
    saved = f"{percent(cell.reduction('clinical'))} against {plain(row.clinical)}"
    said = (
        f"**{plain(label(cell))}**: {cell.scan_seconds.value:.1f} s of scan ({saved}) at an achieved acceleration of "
        f"{cell.acceleration:.2f}; {plain(profile)}: {scores}; {cell.patients} patients."
    )
    parts = [said, *(f"It is the {role}." for role in roles)]
    if row.evidence == "simulated":
        parts.append(f"The k-space is {row.provenance}: a demonstration; it supports no claim on scan time.")
    return "\n\n".join(parts)


def roles(record: SweepRecord) -> dict[str, list[str]]:
    """Key of a cell → what claims it is the reference or the candidate of."""
    found: dict[str, list[str]] = {}
    for one in record.judged:
        for name, cells in zip(("reference", "candidate"), one.cells, strict=True):
            for cell in cells:
                found.setdefault(cell.entry.key, []).append(f"{name} of {one.claim.claim_id}")
    return found


def verdict_metrics(record: SweepRecord) -> dict[str, float]:
    """What the verdicts rest on, as metrics of the parent run, grouped by claim; what is null is left out."""
    found: dict[str, Quantity] = {}
    for one in record.judged:
        group = f"claim {one.claim.claim_id}"
        if one.verdict.time is not None:
            found[f"{group}/reduction"] = one.verdict.time.reduction
        if one.verdict.largest_reduction is not None:
            found[f"{group}/largest_reduction"] = one.verdict.largest_reduction
        for endpoint in one.verdict.endpoints:
            found[f"{group}/{endpoint.metric.replace('@', '.')}"] = endpoint.effect
    return _with_ends(found)


def _with_ends(found: Mapping[str, Quantity]) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for name, quantity in found.items():
        ends = {name: quantity.value, f"{name}_low": quantity.low, f"{name}_high": quantity.high}
        metrics |= {key: value for key, value in ends.items() if value is not None}
    return metrics


def plain(text: str) -> str:
    """A name that stays text in Markdown, whatever it is called."""
    escaped = re.sub(r"([\\`*_{}\[\]()#!|~>])", r"\\\1", text)
    return escaped.replace("<", "&lt;")
