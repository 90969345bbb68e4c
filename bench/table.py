"""`halfscan table`: the cells of a sweep, read back from the store, as a table for people or JSON for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .claims.aggregate import summarise
from .claims.types import Evidence
from .energy.record import worst
from .manifest import Entry, SweepManifest
from .quantity import Quantity
from .rows import CellRows, Row
from .scores import score_of
from .tracking import Store

_SHOWN = ("ssim", "psnr", "nmse")
_SHOWN_QA = ("snr", "bias", "fwhm", "point_contrast", "off_target", "lesion_contrast", "lesion_missed", "lesion_dprime")
_SHOWN_PAIR = ("snr", "cnr", "blur", "reader_score")
"""Scores that a table shows of a profile."""


@dataclass(frozen=True, kw_only=True)
class CellSummary:
    """One cell of a sweep over its volumes."""

    entry: Entry
    swept: Mapping[str, str]
    rows: CellRows
    _known: dict[str, Quantity] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def first(self) -> Row:
        return self.rows.first

    @property
    def patients(self) -> int:
        return len(set(self.rows.values("patient")))

    def metrics(self) -> dict[str, Quantity]:
        """`metric@profile` → mean over patients with its 95% interval."""
        return {name: self.metric(name) for name in self.rows.metrics}

    def metric(self, name: str) -> Quantity:
        """One of them."""
        if name not in self._known:
            self._known[name] = self._summarised(name)
        return self._known[name]

    def _summarised(self, name: str) -> Quantity:
        values = list(zip(self.rows.values("patient"), self.rows.values(name), strict=True))
        reasons = [reason[name] for reason in self.rows.texts("reasons") if name in reason]
        return summarise(values, score_of(name).unit, next(iter(reasons), None))

    def over_volumes(self, value: str, unit: str, low: str | None = None, high: str | None = None) -> Quantity:
        """Mean over volumes of a column of seconds or of their reduction, with the means of both ends of its range."""
        if None in self.rows.values(value):
            reasons = [reason[value] for reason in self.rows.texts("reasons") if value in reason]
            return Quantity.unmeasured(unit, next(iter(reasons), "no reason recorded"))
        return Quantity(
            value=_mean(self.rows.values(value)),
            unit=unit,
            method="measured" if self.first.evidence == Evidence.PROSPECTIVE else "modelled",
            low=_mean(self.rows.values(low or value)),
            high=_mean(self.rows.values(high or value)),
        )

    @property
    def scan_seconds(self) -> Quantity:
        return self.over_volumes("scan_s", "s", "scan_low_s", "scan_high_s")

    def reduction(self, baseline: str) -> Quantity:
        """Against `full` or `clinical` [1]."""
        name = f"reduction_{baseline}"
        return self.over_volumes(name, "1", f"{name}_low", f"{name}_high")

    @property
    def acceleration(self) -> float | None:
        """Achieved, mean over volumes; None where the scanner itself scanned fewer lines."""
        achieved = self.rows.values("acceleration")
        return None if None in achieved else _mean(achieved)

    @property
    def ms_per_slice(self) -> float | None:
        """None for images that were made elsewhere."""
        seconds = self.rows.values("recon_s_per_slice")
        return None if None in seconds else 1000 * _mean(seconds)

    @property
    def warnings(self) -> list[str]:
        """Why the masks can't be scanned as they stand, each once."""
        return list(dict.fromkeys(warning for warnings in self.rows.texts("warnings") for warning in warnings))

    @property
    def energy(self) -> Quantity:
        joules = self.rows.values("energy_j")
        if None in joules:
            reasons = [reason["energy_j"] for reason in self.rows.texts("reasons") if "energy_j" in reason]
            return Quantity.unmeasured("J", next(iter(reasons), "no reason recorded"))
        records = self.rows.texts("energy")
        method = worst(record["total"]["method"] for record in records)
        return Quantity(value=sum(joules) / len(joules), unit="J", method=method, reason="of a volume, the mean of all")

    @property
    def gflop(self) -> float | None:
        """Of a volume's reconstruction, the mean of all; None where none was counted."""
        found = self.rows.values("flops")
        return None if None in found else _mean(found) / 1e9

    @property
    def energy_flags(self) -> list[str]:
        """What makes the figures doubtful, each once."""
        return list(dict.fromkeys(flag for record in self.rows.texts("energy") for flag in record.get("flags", ())))

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        row = self.first
        return {
            "cell": self.entry.key,
            "overrides": list(self.entry.overrides),
            "swept": dict(self.swept),
            "dataset": row.dataset,
            "provenance": row.provenance,
            "evidence": row.evidence,
            "caveat": row.caveat,
            "patients": self.patients,
            "volumes": len(self.rows),
            "model": row.model,
            "train_seed": row.train_seed,
            "combination": row.combination,
            "sampling": row.sampling,
            "acceleration": {"nominal": row.nominal_acceleration, "achieved": self.acceleration},
            "protocol": row.protocol,
            "sequence": row.sequence,
            "scan_seconds": self.scan_seconds.as_dict(),
            "full_seconds": self.over_volumes("full_s", "s").as_dict(),
            "clinical_seconds": {"protocol": row.clinical, **self.over_volumes("clinical_s", "s").as_dict()},
            "full_recorded_s": row.full_recorded_s,
            "timing": dict(row.timing),
            "assumptions": dict(row.assumptions),
            "warnings": self.warnings,
            "reduction_full": self.reduction("full").as_dict(),
            "reduction_clinical": self.reduction("clinical").as_dict(),
            "metrics": {
                name: {
                    "mean": value.value,
                    "ci95": None if value.low is None else [value.low, value.high],
                    "unit": value.unit,
                    "patients": self.patients,
                    "reason": value.reason,
                }
                for name, value in self.metrics().items()
            },
            "truth": {"source": row.truth_source, "shares_noise": row.truth_shares_noise},
            "recon_ms_per_slice": self.ms_per_slice,
            "gflop": self.gflop,
            "energy": self.energy.as_dict(),
            "energy_flags": self.energy_flags,
        }


def summarise_sweep(manifest: SweepManifest, rows: Mapping[str, CellRows]) -> list[CellSummary]:
    """The finished cells in the order of the sweep."""
    return [
        CellSummary(entry=entry, swept=entry.swept(manifest.swept), rows=rows[entry.key])
        for entry in manifest.cells
        if entry.key in rows
    ]


def read_cells(store: Store, sweep: str | None) -> tuple[SweepManifest, list[CellSummary]]:
    """The cells of a sweep (its id or the beginning of it; default: the latest) from the store alone.

    Raises:
        HalfscanError: no such sweep, or one that is not finished.
    """
    manifest, rows = store.read_sweep(store.parent_of(sweep))
    return manifest, summarise_sweep(manifest, rows)


def to_json(cells: Sequence[CellSummary]) -> str:
    """One object a cell."""
    return json.dumps([cell.as_dict() for cell in cells], indent=2)


def fitting_profile(cells: Sequence[CellSummary]) -> str:
    """The first profile whose truth is combined over coils as all images are, else the first one."""
    profiles = list(dict.fromkeys(name.partition("@")[2] for name in cells[0].first.metrics))
    fitting = [profile for profile in profiles if all(fits(cell.first, profile) for cell in cells)]
    return (fitting or profiles)[0]


def fits(row: Row, profile: str) -> bool:
    """Whether the image is combined over coils as the truth of a profile is."""
    return row.coils == 1 or row.truth_combinations.get(profile) == row.combination


def print_table(manifest: SweepManifest, cells: Sequence[CellSummary], profile: str | None = None) -> None:
    """Prints the table and, below it, everything that qualifies it."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console.width = 140  # a pipe or a file has no edge to wrap at
    if not cells:
        console.print(f"sweep {manifest.sweep_id}: no cell has finished")
        return
    profile = profile or fitting_profile(cells)
    table = Table(title=f"sweep {manifest.sweep_id}, scores in the profile {profile}")
    table.add_column("cell", overflow="fold")
    for heading in headings(cells, profile):
        table.add_column(heading, justify="right", no_wrap=True)
    for cell in cells:
        table.add_row(escape(label(cell)), *cell_values(cell, profile, cells))
    console.print(table)
    for line in footnotes(cells, profile):
        console.print(line, style="dim", highlight=False, markup=False)


def shown(profile: str) -> tuple[str, ...]:
    """Scores of a profile that the table shows."""
    return {"qa": _SHOWN_QA, "pair": _SHOWN_PAIR}.get(profile, _SHOWN)


def headings(cells: Sequence[CellSummary], profile: str) -> list[str]:
    """Of the columns that `cell_values` fills."""
    scores = [name.upper().replace("_", " ") if len(name) < 5 else name.replace("_", " ") for name in shown(profile)]
    return [
        "R",
        "scan s",
        "vs full",
        f"vs {cells[0].first.clinical or 'clinical'}",
        *scores,
        "ms/slice",
        *(["GFLOP"] if any(cell.gflop is not None for cell in cells) else []),
        *(["J/volume"] if _counted(cells) else []),
    ]


def _counted(cells: Sequence[CellSummary]) -> bool:
    """Whether any cell's energy was; a column of nothing would hide the reason below the table."""
    return any(cell.energy.value is not None for cell in cells)


def cell_values(cell: CellSummary, profile: str, cells: Sequence[CellSummary]) -> list[str]:
    """One cell's row among others, formatted."""
    return [
        number(cell.acceleration, 2),
        number(cell.scan_seconds.value, 1),
        percent(cell.reduction("full")),
        percent(cell.reduction("clinical")),
        *(score(cell, f"{name}@{profile}") for name in shown(profile)),
        number(cell.ms_per_slice, 1),
        *([number(cell.gflop, 2)] if any(one.gflop is not None for one in cells) else []),
        *([number(cell.energy.value, 1)] if _counted(cells) else []),
    ]


def label(cell: CellSummary) -> str:
    """The model and the cell's values of the swept parameters."""
    return " ".join([cell.first.model, *(f"{short}={value}" for name, short, value in named(cell) if name != "model")])


def named(cell: CellSummary) -> list[tuple[str, str, str]]:
    """(full name, name as shown, value) of the swept parameters; shown is the last part of a name, unless two share it."""
    ends = Counter(name.rpartition(".")[2] for name in cell.swept)
    return [
        (name, name if ends[name.rpartition(".")[2]] > 1 else name.rpartition(".")[2], value)
        for name, value in cell.swept.items()
    ]


def footnotes(cells: Sequence[CellSummary], profile: str) -> list[str]:
    """What a reader of the table must know, one line each."""
    first = cells[0].first
    lines = ["R: achieved acceleration. PSNR in dB. Minus: scan time saved; plus: the scan takes longer."]
    if first.evidence == Evidence.PROSPECTIVE:
        lines = ["SNR and CNR in regions; blur from 0, sharp, to 1; more noise looks sharper."]
    lines += [f"Data: {said}" for said in sorted({data_in_words(cell.first) for cell in cells})]
    lines += [f"Data: {caveat}." for caveat in sorted({cell.first.caveat for cell in cells if cell.first.caveat})]
    for protocol in sorted({cell.first.protocol for cell in cells}):
        lines += [one for one in _seconds(next(cell for cell in cells if cell.first.protocol == protocol)) if one not in lines]
    lines += [f"Mask: {warning}." for warning in dict.fromkeys(one for cell in cells for one in cell.warnings)]
    energies = sorted({cell.energy.reason for cell in cells if cell.energy.value is None and cell.energy.reason})
    lines += [f"Energy: not measured ({reason})." for reason in energies]
    lines += _energy(cells)
    if any(cell.gflop is not None for cell in cells):
        lines.append("GFLOP: of a volume, maps included: convolutions, matrix products, FFTs, factorisations (docs/energy.md).")
    intervals = {reason for cell in cells for score in cell.metrics().values() if (reason := score.reason)}
    lines += sorted(f"Scores: {reason}." for reason in intervals)
    if profile != "qa" and any(not fits(cell.first, profile) for cell in cells):
        lines.append(f"Scores: some images are combined over coils otherwise than the truth of {profile}: not comparable.")
    if first.truth_shares_noise:
        lines.append("Truth: the full scan, whose noise the sampled lines share; more lines share more of it.")
    return lines


def _energy(cells: Sequence[CellSummary]) -> list[str]:
    """How the joules were counted, and what makes them doubtful."""
    measured = [cell for cell in cells if cell.energy.value is not None]
    if not measured:
        return []
    methods = ", ".join(sorted({cell.energy.method for cell in measured}))
    lines = [f"Energy: J a volume, all parts of the machine that the reconstruction needs ({methods}); the idle share is in it."]
    return lines + [f"Energy: {flag}." for flag in dict.fromkeys(flag for cell in measured for flag in cell.energy_flags)]


def protocol_of(cell: CellSummary) -> str:
    """What its seconds belong to; both arms of scans that were really made are shown together."""
    return "as scanned" if cell.first.evidence == Evidence.PROSPECTIVE else cell.first.protocol


def data_in_words(row: Row) -> str:
    """What the samples are, and what that allows."""
    if row.evidence == Evidence.PROSPECTIVE:
        return "finished images of scans that were really made so (prospective)."
    return f"{row.provenance}. {_PROVENANCE[row.provenance]}"


_PROVENANCE = {
    "simulated": "Demonstration only: simulated data never support a claim on scan time.",
    "processed": "Demonstration only: processed data, or data of unstated origin, never support a claim on scan time.",
    "measured": "Undersampled afterwards (retrospective).",
}


def _seconds(cell: CellSummary) -> list[str]:
    """How the seconds of a protocol came about, from its first cell."""
    row, seconds = cell.first, cell.scan_seconds
    if row.evidence == Evidence.PROSPECTIVE:
        recorded = f"Seconds of the {row.protocol}: {seconds.reason or 'as the scanner recorded them'}."
        return [recorded, *(f"{name.capitalize()}: {words}." for name, words in row.assumptions.items())]
    assumed = "; ".join(f"{name} {words}" for name, words in row.assumptions.items()) or "nothing"
    lines = [
        f"Seconds: modelled with the protocol {row.protocol}; the first row's range over what is assumed is "
        f"{seconds.low:.1f} to {seconds.high:.1f} s. Assumed: {assumed}."
    ]
    lines.append("Seconds: " + ", ".join(f"{name} {stated}" for name, stated in row.timing.items()) + ".")
    if row.full_recorded_s is not None and row.full_s is not None:
        off = row.full_s - row.full_recorded_s
        lines.append(
            f"Seconds: the scanner recorded {row.full_recorded_s:.1f} s for the full scan; the model is off by {off:+.1f} s."
        )
    return lines


def number(value: float | None, places: int) -> str:
    """A number, or a dash where there is none."""
    return "–" if value is None else f"{value:.{places}f}"


def percent(reduction: Quantity) -> str:
    """A reduction as a change of scan time, minus where time is saved."""
    if reduction.value is None:
        return "–"
    change = round(-100 * reduction.value)
    return f"{change:+d} %" if change else "0 %"


def score(cell: CellSummary, metric: str) -> str:
    """A metric's mean with half the width of its interval; a dash where there is none."""
    digits = score_of(metric).digits
    found = cell.metric(metric) if metric in cell.rows.metrics else None
    if found is None or found.value is None:
        return "–"
    if found.low is None or found.high is None:
        return f"{found.value:.{digits}f}"
    return f"{found.value:.{digits}f} ±{(found.high - found.low) / 2:.{digits}f}"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
