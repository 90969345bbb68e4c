"""Two sweeps, models or vendors against each other: paired differences of patients with their intervals.

No claim was registered for what is compared here, so nothing is supported by it: intervals are 95 % each, adjusted for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from .claims.aggregate import summarise
from .claims.paired import effects
from .claims.pairing import ArmRows, Paired, check_arms, choose_arm, pair
from .claims.seeds import crossed_error
from .claims.types import PATIENTS_NEEDED, Endpoint, Evidence
from .errors import HalfscanError, one_line
from .quantity import Quantity
from .rows import CORE_COLUMNS, Row
from .scores import score_of
from .table import CellSummary, fitting_profile, shown, summarise_sweep
from .tracking import Store

_SPEC = ("dataset", "protocol", "sampling", "nominal_acceleration", "acs_lines", "mask_replicate")
"""Columns by which the cells of both sides find each other."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """One side of a comparison, as it was asked for."""

    name: str
    word: str
    sweep: str
    selector: Mapping[str, Any]
    """Columns and values that its rows must have."""
    cells: tuple[CellSummary, ...]
    digests: Mapping[str, str] = field(default_factory=dict)
    """Key of a cell → SHA-256 of its data, where the store holds it."""
    versions: frozenset[str] = frozenset()
    """Libraries that its cells were made with."""


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
    """Whether B is better: the whole interval lies on one side. None: it does not, nobody said which way is better, or there are
    too few patients to conclude anything."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A pair of arms."""

    a: str
    b: str
    """In words."""
    patients: int
    evidence: str
    """What the samples are and what the comparison is."""
    caveats: tuple[str, ...]
    seconds_a: float | None
    seconds_b: float | None
    """Scan seconds, mean over volumes; null where one of them has none."""
    metrics: tuple[MetricDifference, ...]


def find_side(store: Store, name: str, word: str) -> Side:
    """What `SWEEP`, `MODEL`, `COLUMN=VALUE,...` or `SWEEP:COLUMN=VALUE,...` stands for.

    Raises:
        HalfscanError: no such sweep, column or cell.
    """
    sweep, colon, selection = word.partition(":")
    if not colon:
        # A word is a sweep's id or its beginning, else a model of the latest sweep that has ended.
        known = "=" not in word and "," not in word and store.holds_sweep(word)
        sweep, selection = (word, "") if known else ("", word)
    parent = store.parent_of(sweep or None, ended=not sweep)
    manifest, rows = store.read_sweep(parent)
    cells = summarise_sweep(manifest, rows)
    selector = dict(_column(part, name) for part in selection.split(",") if part)
    chosen = tuple(cell for cell in cells if cell.rows.may_hold(selector))
    if not chosen:
        held = ", ".join(sorted({_named(cell.first) for cell in cells})[:12])
        unknown = "" if sweep or "=" in word else "no sweep begins so, and "
        raise HalfscanError(f"{name} ({word}): {unknown}sweep {manifest.sweep_id} has no such cell; it holds {held or 'none'}")
    runs = {key: run.tags for key, run in store.describe_children(parent).items() if key in {cell.entry.key for cell in chosen}}
    return Side(
        name=name,
        word=word,
        sweep=manifest.sweep_id,
        selector=selector,
        cells=chosen,
        digests={key: tags["halfscan.dataset_digest"] for key, tags in runs.items() if "halfscan.dataset_digest" in tags},
        versions=frozenset(tags["halfscan.versions"] for tags in runs.values() if "halfscan.versions" in tags),
    )


def _named(row: Row) -> str:
    return f"{row.model} {row.protocol if row.nominal_acceleration is None else f'R={row.nominal_acceleration:g}'}"


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
        a: one side.
        b: the other.
        metrics: `metric@profile`; default: those of the table, and QA where it was measured.

    Returns:
        The comparisons, and in words what was left out and why, or differs between the sides.

    Raises:
        HalfscanError: sides that never meet, several models on one side, or arms that can't be compared.
    """
    if _identity(a) == _identity(b):
        raise HalfscanError(f"A and B are the same rows of sweep {a.sweep}: a comparison needs two")
    said = []
    if a.versions != b.versions:
        said = [f"the sides were made with different software: A {_or_unknown(a.versions)}; B {_or_unknown(b.versions)}"]
    if len(a.cells) == len(b.cells) == 1:
        return [_compare_arms(a, a.cells, b, b.cells, metrics)], said
    by_model = _share_models(a, b)
    ours, theirs = (_grouped(side, by_model) for side in (a, b))
    both = [key for key in ours if key in theirs]
    if not both:
        raise HalfscanError(f"{a.word} and {b.word} have no sampling in common: name one cell of each by its columns")
    said += [f"only A has {_said(key)}" for key in ours if key not in theirs]
    said += [f"only B has {_said(key)}" for key in theirs if key not in ours]
    found = []
    for key in both:
        try:
            found.append(_compare_arms(a, ours[key], b, theirs[key], metrics))
        except HalfscanError as error:
            if len(both) == 1:
                raise
            said.append(f"not compared: {_said(key)}: {error}")
    return found, said


def _identity(side: Side) -> tuple[Any, ...]:
    rows = {name: value for name, value in side.selector.items() if name in ("patient", "volume", "contrast", "field_strength_t")}
    return side.sweep, {cell.entry.key for cell in side.cells}, rows


def _or_unknown(versions: frozenset[str]) -> str:
    return " and ".join(sorted(versions)) or "unknown"


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
    lines = "" if sampling is None else f"{sampling} R={nominal:g} with {acs} ACS lines, "
    return " ".join([*model, f"{lines}{protocol}, {dataset}"])


def _compare_arms(
    a: Side, ours: Sequence[CellSummary], b: Side, theirs: Sequence[CellSummary], metrics: Sequence[str]
) -> Comparison:
    digests = [{side.digests.get(cell.entry.key) for cell in cells} - {None} for side, cells in ((a, ours), (b, theirs))]
    if all(digests) and digests[0] != digests[1]:
        raise HalfscanError("both sides name the same data set and its k-space differs (its digests do): nothing can be paired")
    one, two = (choose_arm(_rows(cells), side.name, side.selector) for side, cells in ((a, ours), (b, theirs)))
    # Only the second arm of a pair may bring several training seeds against one.
    turned = len(one.seeds) > 1 and len(two.seeds) == 1
    check_arms(*((two, one) if turned else (one, two)))
    chosen = list(metrics) or _usual([*ours, *theirs])
    return Comparison(
        a=_describe(one),
        b=_describe(two),
        patients=len({row.patient for row in one.rows}),
        evidence="finished images, prospective comparison"
        if one.first.evidence == Evidence.PROSPECTIVE
        else f"{one.first.provenance} k-space, {one.first.evidence} comparison",
        caveats=tuple(sorted({row.caveat for row in (*one.rows, *two.rows) if row.caveat})),
        seconds_a=_mean_seconds(one),
        seconds_b=_mean_seconds(two),
        metrics=tuple(_difference(metric, one, two, turned) for metric in chosen),
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
    return f"{row.model}, {row.scan_in_words}{seeds}"


def _mean_seconds(arm: ArmRows) -> float | None:
    known = [row.scan_s for row in arm.rows if row.scan_s is not None]
    return sum(known) / len(known) if len(known) == len(arm.rows) else None


def _difference(metric: str, a: ArmRows, b: ArmRows, turned: bool) -> MetricDifference:
    kind = score_of(metric)
    # The margin plays no part: the interval is what is asked for.
    endpoint = Endpoint(
        metric=metric,
        margin=1.0,
        margin_rationale="none",
        scale="log_ratio" if kind.as_ratio else "difference",
        higher_is_better=not kind.lower_is_better,
    )
    try:
        found = pair(*((b, a) if turned else (a, b)), endpoint)
    except HalfscanError as error:
        # Of this metric alone: other combinations of coils, a ratio of zero, a full scan against itself.
        found = one_line(error)
    effect, better = _effect(found, endpoint, -1.0 if turned else 1.0)
    return MetricDifference(
        metric=metric,
        a=_mean(a, metric),
        b=_mean(b, metric),
        ratio=kind.as_ratio,
        effect=effect,
        better=None if kind.lower_is_better is None else better,
    )


def _mean(arm: ArmRows, metric: str) -> Quantity:
    reason = next((row.reasons[metric] for row in arm.rows if metric in row.reasons), "it was not scored")
    return summarise([(row.patient, row.metrics.get(metric)) for row in arm.rows], score_of(metric).unit, reason)


def _effect(found: Paired | str, endpoint: Endpoint, sign: float) -> tuple[Quantity, bool | None]:
    if isinstance(found, str):
        return Quantity.unmeasured("1", found), None
    if len(found.patients) < 2:
        value = _as_read(sign * float(found.by_patient[0]), endpoint)
        return Quantity(value=value, unit="1", method="measured", reason="one patient: no confidence interval"), None
    errors = [crossed_error(found.values)] if found.values.shape[1] > 1 else None
    one = effects(found.by_patient[:, None], [0.0], standard_errors=errors)[0]
    low, high = sorted(sign * end for end in one.interval)
    ends = sorted(_as_read(end, endpoint) for end in (low, high))
    effect = Quantity(value=_as_read(sign * one.mean, endpoint), unit="1", method="measured", low=ends[0], high=ends[1])
    if len(found.patients) < PATIENTS_NEEDED:
        return effect, None
    return effect, True if low > 0 else False if high < 0 else None


def _as_read(effect: float, endpoint: Endpoint) -> float:
    """From the scale of the test, on which higher is better, to B less A or B over A."""
    signed = effect if endpoint.higher_is_better else -effect
    return float(np.exp(signed)) if endpoint.scale == "log_ratio" else signed


NOTHING_SUPPORTED = (
    "Paired by patient; 95 % intervals, each for itself: nothing is adjusted for how many are looked at, and no claim was "
    "registered for it, so nothing is supported by it (`halfscan run claim=...` does that)."
)


def as_dict(comparison: Comparison) -> Mapping[str, Any]:
    """For `--json`."""
    return {
        "a": comparison.a,
        "b": comparison.b,
        "patients": comparison.patients,
        "evidence": comparison.evidence,
        "caveats": list(comparison.caveats),
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
