"""What MLflow's own pages say of a sweep, for those who have its address and nothing else: notes, names, tags, metrics."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ..quantity import Quantity
from ..table import CellSummary, fitting_profile, label, number, percent, score, shown
from .gather import SweepRecord
from .statements import clinical, limits

_ROWS, _LENGTH, _MISSING, _NOTE_LENGTH = 40, 4000, 20, 7900
"""Rows and characters of the note's table, cells without a result that it names, its own length: MLflow cuts at 8,000."""


def run_name(record: SweepRecord) -> str:
    """Of the parent run: models and data, and the sweep's id, by which every command finds it."""
    models = list(dict.fromkeys(cell.first.model for cell in record.cells))
    datasets = list(dict.fromkeys(cell.first.dataset for cell in record.cells))
    if not models:
        return f"sweep {record.manifest.sweep_id}"
    more = f" and {len(models) - 4} more" if len(models) > 4 else ""
    return f"{', '.join(models[:4])}{more} on {', '.join(datasets)} ({record.manifest.sweep_id})"


def sweep_note(record: SweepRecord) -> str:
    """The sweep in words: verdicts, what limits them, how far it came, the trade-off, and what is missing.

    Reasons of failures stay in the sweep's folder: they may name files, and files patients.
    """
    finished, total = len(record.cells), len(record.manifest.cells)
    parts = [f"Claim {one.claim.claim_id}: **{plain(one.verdict.words)}**" for one in record.judged]
    parts += [f"Claim {name}: not judged: {plain(reason)}" for name, reason in record.unjudged.items()]
    if not record.manifest.claims:
        parts.append("No claim was registered before this sweep started, so it can support none.")
    parts += [plain(said) for said in limits(record.cells)]
    parts.append(f"**{finished} of {total} cells finished.** Halfscan sweep {record.manifest.sweep_id}.")
    parts.append(_trade_off(record))
    done = {cell.entry.key for cell in record.cells}
    missing = [entry for entry in record.manifest.cells if entry.key not in done]
    parts += [f"- no result: {plain(' '.join(entry.overrides))}" for entry in missing[:_MISSING]]
    if len(missing) > _MISSING:
        parts.append(f"and {len(missing) - _MISSING} more without a result.")
    return "\n\n".join(parts)[:_NOTE_LENGTH]


def _trade_off(record: SweepRecord) -> str:
    """The trade-off as a Markdown table: scan minutes, what that saves, and the scores."""
    if not record.cells:
        return "No cell has finished."
    profile = fitting_profile(record.cells)
    metrics = [f"{name}@{profile}" for name in shown(profile)]
    head = ["cell", "R", "min", f"vs {clinical(record.cells)}", *metrics]
    lines = ["| " + " | ".join(map(plain, head)) + " |", "|" + " --- |" * len(head)]
    listed = 0
    for cell in record.cells[:_ROWS]:
        scores = [score(cell, metric) for metric in metrics]
        seconds = cell.scan_seconds.value
        minutes = number(None if seconds is None else seconds / 60, 2)
        values = [label(cell), number(cell.acceleration, 2), minutes, percent(cell.reduction("clinical")), *scores]
        line = "| " + " | ".join(map(plain, values)) + " |"
        if sum(map(len, lines)) + len(line) > _LENGTH:
            break
        lines.append(line)
        listed += 1
    table = "\n".join(lines)
    more = f"\n\nand {len(record.cells) - listed} more cells." if len(record.cells) > listed else ""
    return (
        f"{table}{more}\n\nThe whole page: `report.html` among this run's artifacts. To see the trade-off here: choose the "
        f"cells, *Compare*, and a scatter plot of `scan/minutes` and `{profile}/{shown(profile)[0]}`."
    )


def cell_note(cell: CellSummary, roles: Sequence[str]) -> str:
    """One cell in words."""
    row = cell.first
    profile = fitting_profile([cell])
    scores = ", ".join(f"{name} {score(cell, f'{name}@{profile}')}" for name in shown(profile))
    seconds = f"{number(cell.scan_seconds.value, 1)} s of scan"
    if row.clinical is not None and cell.acceleration is not None:
        saved = f"{percent(cell.reduction('clinical'))} against {plain(row.clinical)}"
        seconds += f" ({saved}) at an achieved acceleration of {cell.acceleration:.2f}"
    said = f"**{plain(label(cell))}**: {seconds}; {plain(profile)}: {scores}; {cell.patients} patients."
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
    escaped = re.sub(r"([\\`*_{}\[\]()#!|~>])", r"\\\1", " ".join(text.split()))
    return escaped.replace("&", "&amp;").replace("<", "&lt;")
