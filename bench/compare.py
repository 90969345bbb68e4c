"""Two sweeps, models or vendors against each other: paired differences of patients with their intervals.

No claim was registered for what is compared here, so nothing is supported by it: intervals are 95 % each, adjusted for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from .claims.paired import effects
from .claims.pairing import ArmRows, Paired, check_arms, choose_arm, pair
from .claims.seeds import crossed_error
from .claims.types import Endpoint
from .errors import HalfscanError
from .quantity import Quantity
from .rows import CORE_COLUMNS, Row
from .table import LOWER_IS_BETTER, CellSummary, fitting_profile, read_cells, shown
from .tracking import Store

_SPEC = ("dataset", "protocol", "sampling", "nominal_acceleration", "acs_lines", "mask_replicate")
"""Columns by which the cells of both sides find each other."""
_RATIOS = frozenset({"nmse", "snr", "fwhm", "lesion_dprime"})
"""Metrics that are compared as ratios, since their size says nothing by itself."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """One side of a comparison, as it was asked for."""

    name: str
    word: str
    sweep: str
    cells: tuple[CellSummary, ...]


@dataclass(frozen=True, kw_only=True)
class MetricDifference:
    """One metric, B less A, or the ratio of B and A."""

    metric: str
    a: Quantity
    """Mean over patients."""
    b: Quantity
    ratio: bool
    effect: Quantity
    """Of the pairs, with the 95 % interval that Student's t and a studentized bootstrap agree on; ratios are no logarithms."""
    better: bool | None
    """Whether B is better: the whole interval lies on one side; None: it does not, or there is none."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A pair of arms."""

    a: str
    b: str
    """In words."""
    patients: int
    seconds_a: float
    seconds_b: float
    metrics: tuple[MetricDifference, ...]


def find_side(store: Store, name: str, word: str) -> Side:
    """What `SWEEP`, `MODEL`, `COLUMN=VALUE,...` or `SWEEP:COLUMN=VALUE,...` stands for.

    Raises:
        HalfscanError: no such sweep, column or cell.
    """
    sweep, colon, selection = word.partition(":")
    if not colon:
        latest, cells = read_cells(store, None) if "=" in word else _latest_with(store, word)
        if latest is not None:
            return _side(name, word, latest.sweep_id, _selected(cells, word, name), cells)
        sweep, selection = word, ""
    manifest, cells = read_cells(store, sweep)
    return _side(name, word, manifest.sweep_id, _selected(cells, selection, name), cells)


def _latest_with(store: Store, word: str) -> tuple[Any, Sequence[CellSummary]]:
    """The latest sweep where the word names a model of it; else nothing, and the word is a sweep's."""
    manifest, cells = read_cells(store, None)
    return (manifest, cells) if word in {cell.first.model for cell in cells} else (None, ())


def _side(name: str, word: str, sweep: str, chosen: Sequence[CellSummary], cells: Sequence[CellSummary]) -> Side:
    if not chosen:
        held = sorted({f"{cell.first.model} R={cell.first.nominal_acceleration:g}" for cell in cells})
        raise HalfscanError(f"{name} ({word}): sweep {sweep} has no such cell; it holds {', '.join(held[:12]) or 'none'}")
    return Side(name=name, word=word, sweep=sweep, cells=tuple(chosen))


def _selected(cells: Sequence[CellSummary], selection: str, name: str) -> list[CellSummary]:
    selector = dict(_column(part, name) for part in selection.split(",") if part)
    return [cell for cell in cells if cell.rows.may_hold(selector)]


def _column(part: str, name: str) -> tuple[str, Any]:
    """`COLUMN=VALUE` with the column's type; a word alone is a model."""
    column, equals, value = part.partition("=")
    if not equals:
        return "model", part
    if column not in CORE_COLUMNS:
        raise HalfscanError(f"{name}: rows have no column {column!r}; use model, nominal_acceleration, sampling, train_seed, ...")
    kind = CORE_COLUMNS[column]
    try:
        if value == "null":
            return column, None
        return column, float(value) if pa.types.is_floating(kind) else int(value) if pa.types.is_integer(kind) else value
    except ValueError as error:
        raise HalfscanError(f"{name}: {column}={value} is no number") from error


def compare(a: Side, b: Side, metrics: Sequence[str] = ()) -> tuple[list[Comparison], list[str]]:
    """Compares both sides wherever they meet: at the same data, protocol and sampling, or cell against cell where each is one.

    Args:
        metrics: `metric@profile`; default: those of the table, and QA where it was measured.

    Returns:
        The comparisons, and in words what was left out and why.

    Raises:
        HalfscanError: sides that never meet, several models on one side, or arms that can't be compared.
    """
    if (a.sweep, {cell.entry.key for cell in a.cells}) == (b.sweep, {cell.entry.key for cell in b.cells}):
        raise HalfscanError(f"A and B are the same cells of sweep {a.sweep}: a comparison needs two")
    if len(a.cells) == len(b.cells) == 1:
        return [_compare_arms(a.cells, b.cells, metrics)], []
    by_model = _share_models(a, b)
    ours, theirs = (_grouped(side, by_model) for side in (a, b))
    both = [key for key in ours if key in theirs]
    if not both:
        raise HalfscanError(f"{a.word} and {b.word} have no sampling in common: name one cell of each by its columns")
    left_out = [f"only A has {_said(key)}" for key in ours if key not in theirs]
    left_out += [f"only B has {_said(key)}" for key in theirs if key not in ours]
    found = []
    for key in both:
        try:
            found.append(_compare_arms(ours[key], theirs[key], metrics))
        except HalfscanError as error:
            if len(both) == 1:
                raise
            left_out.append(f"not compared: {_said(key)}: {error}")
    return found, left_out


def _share_models(a: Side, b: Side) -> bool:
    """Whether cells are matched by model as well: both sides hold the same ones, several of them."""
    models_a, models_b = ({cell.first.model for cell in side.cells} for side in (a, b))
    if models_a == models_b and len(models_a) > 1:
        return True
    for side, models in ((a, models_a), (b, models_b)):
        if len(models) > 1:
            held = ", ".join(sorted(models))
            raise HalfscanError(
                f"{side.name} ({side.word}) holds the models {held}: name one, such as {side.sweep}:{min(models)}"
            )
    return False


def _grouped(side: Side, by_model: bool) -> dict[tuple[Any, ...], list[CellSummary]]:
    groups: dict[tuple[Any, ...], list[CellSummary]] = {}
    for cell in side.cells:
        key = tuple(getattr(cell.first, column) for column in (*_SPEC, *(["model"] if by_model else [])))
        groups.setdefault(key, []).append(cell)
    return groups


def _said(key: Sequence[Any]) -> str:
    dataset, protocol, sampling, nominal, acs, _, *model = key
    return " ".join([*model, f"{sampling} R={nominal:g} with {acs} ACS lines, {protocol}, {dataset}"])


def _compare_arms(ours: Sequence[CellSummary], theirs: Sequence[CellSummary], metrics: Sequence[str]) -> Comparison:
    a, b = (choose_arm(_rows(cells), name, {}) for name, cells in (("A", ours), ("B", theirs)))
    check_arms(a, b)
    chosen = list(metrics) or _usual([*ours, *theirs])
    return Comparison(
        a=_describe(a),
        b=_describe(b),
        patients=len({row.patient for row in a.rows}),
        seconds_a=_mean_seconds(a),
        seconds_b=_mean_seconds(b),
        metrics=tuple(_difference(metric, a, b, ours, theirs) for metric in chosen),
    )


def _rows(cells: Sequence[CellSummary]) -> list[Row]:
    return [row for cell in cells for row in cell.rows.rows()]


def _usual(cells: Sequence[CellSummary]) -> list[str]:
    known = {metric for cell in cells for metric in cell.rows.metrics}
    names = [f"{name}@{profile}" for profile in (fitting_profile(cells), "qa") for name in shown(profile)]
    return [name for name in names if name in known]


def _describe(arm: ArmRows) -> str:
    row = arm.first
    seeds = f", training seeds {', '.join(map(str, arm.seeds))}" if len(arm.seeds) > 1 else ""
    return f"{row.model}, {row.sampling} R={row.nominal_acceleration:g} (achieved {row.acceleration:.2f}){seeds}"


def _mean_seconds(arm: ArmRows) -> float:
    return sum(row.scan_s for row in arm.rows) / len(arm.rows)


def _difference(
    metric: str, a: ArmRows, b: ArmRows, ours: Sequence[CellSummary], theirs: Sequence[CellSummary]
) -> MetricDifference:
    name = metric.partition("@")[0]
    ratio = name in _RATIOS
    # The margin plays no part: the interval is what is asked for.
    endpoint = Endpoint(
        metric=metric,
        margin=1.0,
        margin_rationale="none",
        scale="log_ratio" if ratio else "difference",
        higher_is_better=name not in LOWER_IS_BETTER,
    )
    found = pair(a, b, endpoint)
    effect, better = _effect(found, endpoint)
    return MetricDifference(
        metric=metric, a=_mean(ours, metric), b=_mean(theirs, metric), ratio=ratio, effect=effect, better=better
    )


def _mean(cells: Sequence[CellSummary], metric: str) -> Quantity:
    if any(metric not in cell.rows.metrics for cell in cells):
        return Quantity.unmeasured("1", "it was not scored")
    means = [cell.metric(metric) for cell in cells]
    if len(means) == 1 or any(mean.value is None for mean in means):
        return next((mean for mean in means if mean.value is None), means[0])
    return Quantity(
        value=sum(mean.value or 0.0 for mean in means) / len(means),
        unit=means[0].unit,
        method="measured",
        reason="mean over seeds",
    )


def _effect(found: Paired | str, endpoint: Endpoint) -> tuple[Quantity, bool | None]:
    if isinstance(found, str):
        return Quantity.unmeasured("1", found), None
    if len(found.patients) < 2:
        value = _as_read(float(found.by_patient[0]), endpoint)
        return Quantity(value=value, unit="1", method="measured", reason="one patient: no confidence interval"), None
    errors = [crossed_error(found.values)] if found.values.shape[1] > 1 else None
    one = effects(found.by_patient[:, None], [0.0], standard_errors=errors)[0]
    low, high = one.interval
    ends = sorted(_as_read(end, endpoint) for end in (low, high))
    better = True if low > 0 else False if high < 0 else None
    return Quantity(value=_as_read(one.mean, endpoint), unit="1", method="measured", low=ends[0], high=ends[1]), better


def _as_read(effect: float, endpoint: Endpoint) -> float:
    """From the scale of the test, on which higher is better, to B less A or B over A."""
    signed = effect if endpoint.higher_is_better else -effect
    return float(np.exp(signed)) if endpoint.scale == "log_ratio" else signed


def as_dict(comparison: Comparison) -> Mapping[str, Any]:
    """For `--json`."""
    return {
        "a": comparison.a,
        "b": comparison.b,
        "patients": comparison.patients,
        "scan_s": {"a": comparison.seconds_a, "b": comparison.seconds_b},
        "metrics": [
            {
                "metric": one.metric,
                "a": one.a.as_dict(),
                "b": one.b.as_dict(),
                "kind": "ratio" if one.ratio else "difference",
                "effect": one.effect.as_dict(),
                "b_is_better": one.better,
            }
            for one in comparison.metrics
        ],
    }
