"""Quality against scan minutes: what the sweep's cells offer, a curve a model, with the margins that claims allow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..claims.aggregate import patient_means
from ..claims.types import Endpoint
from ..quantity import Quantity
from ..rows import Row
from ..scores import score_of
from ..table import CellSummary, fitting_profile, label, named, protocol_of, shown
from .gather import Judged, SweepRecord

_ONE_CURVE = frozenset({"model", "sampling.acceleration", "sampling.acs_lines", "train_seed", "mask_replicate"})
"""Swept parameters along which a curve runs, or whose mean it runs through; all others part it from the next."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """One cell."""

    label: str
    minutes: Quantity
    """[min], with the range of the timing assumptions."""
    quality: Quantity
    """Mean over patients with its 95 % interval."""
    acceleration: float | None
    """Achieved; None of scans that the scanner itself shortened."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One model (and whatever else is swept that a scan does not feel), from the shortest scan to the longest."""

    model: str
    name: str
    points: tuple[Point, ...]

    @property
    def line(self) -> list[tuple[float, float]]:
        """(minutes, quality) that the curve runs through: the mean of cells with the same scan, as of several training seeds."""
        grouped: dict[float, list[float]] = {}
        for point in self.points:
            grouped.setdefault(point.minutes.value or 0.0, []).append(point.quality.value or 0.0)
        return [(minutes, sum(values) / len(values)) for minutes, values in grouped.items()]


@dataclass(frozen=True, kw_only=True)
class Limit:
    """The worst mean that a claim allows: its reference's, less the margin."""

    claims: str
    """Ids of those that share it."""
    reference: float
    value: float
    words: str


@dataclass(frozen=True, kw_only=True)
class Mark:
    """The largest reduction that a ladder found to hold."""

    claim_id: str
    minutes: float
    words: str


@dataclass(frozen=True, kw_only=True)
class TradeOff:
    """One chart: a metric over minutes for the cells of one data set and protocol, or of all that were scanned as they are."""

    dataset: str
    protocol: str
    metric: str
    curves: tuple[Curve, ...]
    limits: tuple[Limit, ...]
    marks: tuple[Mark, ...]
    lower_is_better: bool | None
    """None: nobody has said."""


def trade_offs(record: SweepRecord) -> list[TradeOff]:
    """A chart for each data set, protocol and metric that has values; the claims' endpoints come first."""
    groups = dict.fromkeys(map(_group, record.cells))
    found = []
    for dataset, protocol in groups:
        cells = [cell for cell in record.cells if _group(cell) == (dataset, protocol)]
        held = {cell.entry.key for cell in cells}
        claims = [one for one in record.judged if any(cell.entry.key in held for arm in one.cells for cell in arm)]
        climbed = [one for one in claims if any(cell.entry.key in held for cell in one.cells[1])]
        for metric in metrics_shown(cells, claims):
            curves = _curves(cells, metric)
            if curves:
                found.append(
                    TradeOff(
                        dataset=dataset,
                        protocol=protocol,
                        metric=metric,
                        curves=tuple(curves),
                        limits=tuple(_limits(claims, metric)),
                        marks=tuple(mark for one in climbed for mark in _mark(one)),
                        lower_is_better=_direction(claims, metric),
                    )
                )
    return found


def _group(cell: CellSummary) -> tuple[str, str]:
    return cell.first.dataset, protocol_of(cell)


def metrics_shown(cells: Sequence[CellSummary], claims: Sequence[Judged]) -> list[str]:
    """The claims' endpoints, then what the table shows of the profile that fits the images, then QA."""
    endpoints = [endpoint.metric for one in claims for endpoint in one.claim.endpoints]
    profiles = (fitting_profile(cells), "qa")
    usual = [f"{name}@{profile}" for profile in profiles for name in shown(profile)]
    known = {metric for cell in cells for metric in cell.rows.metrics}
    return [metric for metric in dict.fromkeys([*endpoints, *usual]) if metric in known]


def _curves(cells: Sequence[CellSummary], metric: str) -> list[Curve]:
    curves: dict[tuple[str, str], list[Point]] = {}
    for cell in cells:
        if metric not in cell.rows.metrics or None in ((quality := cell.metric(metric)).value, cell.scan_seconds.value):
            continue
        apart = " ".join(f"{short}={value}" for name, short, value in named(cell) if name not in _ONE_CURVE)
        name = " ".join(filter(None, [cell.first.model, apart]))
        point = Point(label=label(cell), minutes=_minutes(cell), quality=quality, acceleration=cell.acceleration)
        curves.setdefault((cell.first.model, name), []).append(point)
    return [
        Curve(model=model, name=name, points=tuple(sorted(points, key=lambda point: (point.minutes.value or 0.0, point.label))))
        for (model, name), points in curves.items()
    ]


def _minutes(cell: CellSummary) -> Quantity:
    seconds = cell.scan_seconds
    low, high = seconds.low or 0.0, seconds.high or 0.0
    return Quantity(value=(seconds.value or 0.0) / 60, unit="min", method=seconds.method, low=low / 60, high=high / 60)


def _limits(claims: Sequence[Judged], metric: str) -> list[Limit]:
    """Of all claims at a metric, those with the same reference and margin as one."""
    found: dict[tuple[float, float, str], list[str]] = {}
    for one in claims:
        endpoint = next((endpoint for endpoint in one.claim.endpoints if endpoint.metric == metric), None)
        if endpoint is not None and one.arms is not None and (mean := _mean(one.arms[0].rows, metric)) is not None:
            kind = "margin" if endpoint.margin is not None else "claimed improvement"
            about = "about " if endpoint.scale == "log_ratio" else ""
            key = (mean, _shifted(mean, endpoint), f"{about}{{value}}: the reference's mean {{mean}} and the {kind}")
            found.setdefault(key, []).append(one.claim.claim_id)
    return [
        Limit(
            claims=", ".join(names),
            reference=mean,
            value=value,
            words=f"{words.format(value=f'{value:.4g}', mean=f'{mean:.4g}')} of {', '.join(names)}",
        )
        for (mean, value, words), names in found.items()
    ]


def _mean(rows: Sequence[Row], metric: str) -> float | None:
    """Over the patients of an arm; None where one of its volumes has no score."""
    values = [(row.patient, row.metrics.get(metric)) for row in rows]
    means = patient_means((patient, value) for patient, value in values if value is not None)
    return None if any(value is None for _, value in values) else sum(means.values()) / len(means)


def _direction(claims: Sequence[Judged], metric: str) -> bool | None:
    """Whether lower is better: as claims state it, else as the score's name tells."""
    stated = [not endpoint.higher_is_better for one in claims for endpoint in one.claim.endpoints if endpoint.metric == metric]
    return stated[0] if stated else score_of(metric).lower_is_better


def _shifted(mean: float, endpoint: Endpoint) -> float:
    """The mean that a candidate must exceed, in the metric's unit; on ratios as if all patients had the same."""
    if endpoint.scale == "difference":
        return mean + endpoint.threshold if endpoint.higher_is_better else mean - endpoint.threshold
    ratio = math.exp(endpoint.threshold)
    if endpoint.bounded_by is not None:
        return endpoint.bounded_by - (endpoint.bounded_by - mean) / ratio
    return mean * ratio if endpoint.higher_is_better else mean / ratio


def _mark(judged: Judged) -> list[Mark]:
    found = judged.verdict.largest_reduction
    if found is None or found.value is None:
        return []
    held = [step for step in judged.verdict.ladder if step.result == "supported"]
    cap = "" if judged.verdict.cap == "none" else f" ({judged.verdict.cap} only)"
    words = f"largest reduction that holds{cap}: {100 * found.value:.1f} %"
    return [Mark(claim_id=judged.claim.claim_id, minutes=held[-1].seconds / 60, words=words)]
