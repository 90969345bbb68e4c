"""Rows → the two arms of a claim → one difference a patient; whatever makes arms incomparable is refused by name."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import HalfscanError
from ..rows import Row
from .aggregate import patient_means
from .types import Endpoint, Evidence

# Within an arm every volume follows one of each.
SPEC = (
    "dataset",
    "model",
    "sampling",
    "nominal_acceleration",
    "protocol",
    "mask_replicate",
    "combination",
    "provenance",
    "evidence",
)
# What both arms must share.
SHARED = ("dataset", "mask_replicate", "provenance", "evidence", "truth_source")
NOTHING = 1e-3
"""Of the reference's value: on a ratio, a candidate's that is smaller, zero or negative counts as this."""


@dataclass(frozen=True, kw_only=True)
class ArmRows:
    """One side's rows: one specification, one or several training seeds."""

    name: str
    rows: tuple[Row, ...]

    @property
    def first(self) -> Row:
        return self.rows[0]

    @property
    def seeds(self) -> tuple[int | None, ...]:
        return tuple(sorted({row.train_seed for row in self.rows}, key=lambda seed: -1 if seed is None else seed))

    def volumes(self, seed: int | None) -> dict[tuple[str, str], Row]:
        """(patient, volume) → row of one seed."""
        return {(row.patient, row.volume): row for row in self.rows if row.train_seed == seed}


def choose_arm(rows: Sequence[Row], name: str, selector: Mapping[str, object]) -> ArmRows:
    """The rows of one arm.

    Args:
        rows: of a whole sweep.
        name: reference or candidate, for messages.
        selector: columns and their values.

    Raises:
        HalfscanError: no such column, no such rows, rows of several specifications, or a volume that stands twice.
    """
    columns = Row.__dataclass_fields__
    if unknown := [column for column in selector if column not in columns]:
        raise HalfscanError(f"{name} arm: rows have no column {unknown[0]!r}; use model, nominal_acceleration, sampling, ...")
    chosen = [row for row in rows if all(getattr(row, column) == value for column, value in selector.items())]
    said = ", ".join(f"{column}={value}" for column, value in selector.items())
    if not chosen:
        found = sorted({", ".join(f"{column}={getattr(row, column)}" for column in selector) for row in rows})
        raise HalfscanError(f"{name} arm ({said}) is missing: the sweep holds {'; '.join(found[:8]) or 'no rows'}")
    for column in SPEC:
        if len(values := {getattr(row, column) for row in chosen}) > 1:
            several = ", ".join(sorted(map(str, values)))
            raise HalfscanError(f"{name} arm ({said}) mixes {column}={several}: name one of them in the claim")
    if len({(row.patient, row.volume, row.train_seed) for row in chosen}) < len(chosen):
        raise HalfscanError(
            f"{name} arm ({said}): a patient's volume stands in it twice, as of two cells: narrow the claim's arm"
        )
    return ArmRows(name=name, rows=tuple(chosen))


def check_arms(reference: ArmRows, candidate: ArmRows) -> None:
    """Refuses arms that can't be compared.

    Raises:
        HalfscanError: by the column in which they differ.
    """
    for column in SHARED:
        ours, theirs = getattr(reference.first, column), getattr(candidate.first, column)
        if ours != theirs:
            raise HalfscanError(f"the arms differ in {column}: reference {ours}, candidate {theirs}; they must share it")
    if set(map(id, reference.rows)) == set(map(id, candidate.rows)):
        raise HalfscanError("both arms are the same rows: a claim compares two")
    if reference.first.truth_combinations != candidate.first.truth_combinations:
        raise HalfscanError("the arms were scored in different profiles or against different truths: score them alike")
    for arm in (reference, candidate):
        if any(_truth(row) != _truth(arm.first) for row in arm.rows):
            raise HalfscanError(f"{arm.name} arm: its volumes differ in truth or profiles: score them alike")
        sets = {frozenset(arm.volumes(seed)) for seed in arm.seeds}
        if len(sets) > 1:
            raise HalfscanError(f"{arm.name} arm: its training seeds {', '.join(map(str, arm.seeds))} scored different volumes")
    ours, theirs = (set(arm.volumes(arm.seeds[0])) for arm in (reference, candidate))
    if ours != theirs:
        alone = len(ours ^ theirs)
        raise HalfscanError(f"the arms do not share their patients: {alone} volumes stand in one of them only")
    if len(reference.seeds) > 1 and reference.seeds != candidate.seeds:
        raise HalfscanError("the reference arm has several training seeds, and not the candidate's: train both with the same")
    _check_volumes(reference, candidate)
    _check_masks(reference, candidate)


def _check_volumes(reference: ArmRows, candidate: ArmRows) -> None:
    """Two names for one volume must mean the same data, unless each arm has really scanned its own."""
    if reference.first.evidence == Evidence.PROSPECTIVE:
        return
    ours = reference.volumes(reference.seeds[0])
    for row in candidate.rows:
        other = ours[row.patient, row.volume]
        for column in ("slices", "coils", "lines_acquired"):
            if getattr(row, column) != getattr(other, column):
                said = f"{getattr(other, column)} in the reference arm and {getattr(row, column)} in the candidate's"
                raise HalfscanError(f"volume {row.volume} has {column}={said}: these are not the same data")


def _truth(row: Row) -> tuple[object, ...]:
    return row.truth_source, sorted(row.truth_combinations.items())


def check_combination(arm: ArmRows, endpoint: Endpoint) -> None:
    """Refuses scores of images whose coils are combined otherwise than the truth's: they measure that difference.

    Raises:
        HalfscanError: naming both.
    """
    profile = endpoint.metric.partition("@")[2]
    wanted, row = arm.first.truth_combinations.get(profile), arm.first
    if wanted is not None and row.coils > 1 and row.combination != wanted:
        raise HalfscanError(
            f"{arm.name} arm: its images are combined over coils as {row.combination} and the truth of {profile} as {wanted}: "
            "choose the profile that fits both arms"
        )


def _check_masks(reference: ArmRows, candidate: ArmRows) -> None:
    """Models at one sampling spec have identical masks; reference R=2 and candidate R=4 differ, of course."""
    spec = ("sampling", "nominal_acceleration", "acs_lines")
    same = all(getattr(reference.first, column) == getattr(candidate.first, column) for column in spec)
    if not same or reference.first.sampling is None:
        return
    ours = reference.volumes(reference.seeds[0])
    rows = (*reference.rows, *candidate.rows)
    if differing := sum(ours[row.patient, row.volume].mask_hash != row.mask_hash for row in rows):
        raise HalfscanError(f"the arms share a sampling spec and {differing} volumes have different masks: run them in one sweep")


@dataclass(frozen=True, kw_only=True)
class Paired:
    """One endpoint's differences, higher is better, on the scale of its test."""

    values: npt.NDArray[np.float64]
    """(patients, seeds)."""
    patients: tuple[str, ...]
    volumes: int

    @property
    def by_patient(self) -> npt.NDArray[np.float64]:
        """(patients,), mean over seeds."""
        means: npt.NDArray[np.float64] = self.values.mean(axis=1)
        return means


def pair(reference: ArmRows, candidate: ArmRows, endpoint: Endpoint) -> Paired | str:
    """Differences of patients, or why there are none.

    Volumes are averaged into patients; slices were averaged into volumes by the metric.

    Raises:
        HalfscanError: a score that is NaN, or a ratio of values that have none.
    """
    for arm in (reference, candidate):
        check_combination(arm, endpoint)
    scored = endpoint.metric.partition("@")[2] in reference.first.truth_combinations
    if scored and reference.first.truth_shares_noise and all(row.fully_sampled for row in reference.rows):
        raise HalfscanError("reference arm: fully sampled, it is scored against itself: a ceiling, not a comparator")
    columns = []
    patients: tuple[str, ...] = ()
    for seed in candidate.seeds:
        ours = _scores(reference, endpoint, seed if len(reference.seeds) > 1 else reference.seeds[0])
        theirs = _scores(candidate, endpoint, seed)
        for scores in (ours, theirs):
            if isinstance(scores, str):
                return scores
        assert isinstance(ours, dict)
        assert isinstance(theirs, dict)
        patients = tuple(ours)
        columns.append([_difference(ours[patient], theirs[patient], endpoint) for patient in patients])
    return Paired(
        values=np.array(columns, dtype=np.float64).T, patients=patients, volumes=len(candidate.volumes(candidate.seeds[0]))
    )


def _scores(arm: ArmRows, endpoint: Endpoint, seed: int | None) -> dict[str, float] | str:
    """Patient → score, or why one is missing."""
    rows = list(arm.volumes(seed).values())
    values = []
    missing = []
    for row in rows:
        value = row.metrics.get(endpoint.metric)
        if value is None:
            missing.append(row.reasons.get(endpoint.metric, "it was not scored"))
            continue
        if not math.isfinite(value):
            raise HalfscanError(f"{arm.name} arm: {endpoint.metric} is {value} for volume {row.volume}: nothing is judged on it")
        values.append((row.patient, value))
    if missing:
        return f"{endpoint.metric} is null in {len(missing)} of {len(rows)} volumes of the {arm.name} arm: {missing[0]}"
    return patient_means(values)


def _difference(reference: float, candidate: float, endpoint: Endpoint) -> float:
    if endpoint.scale == "difference":
        return candidate - reference if endpoint.higher_is_better else reference - candidate
    if endpoint.bounded_by is not None:
        # Distances from the best value: smaller is better, whichever way the metric itself points.
        ours, theirs = abs(endpoint.bounded_by - reference), abs(endpoint.bounded_by - candidate)
        better_is_lower = True
    else:
        ours, theirs, better_is_lower = reference, candidate, not endpoint.higher_is_better
        if endpoint.higher_is_better and reference > 0:
            # To detect nothing is a result, and the worst: the claim is refuted on it rather than lost for want of a logarithm.
            theirs = max(candidate, NOTHING * reference)
    if ours <= 0 or theirs <= 0:
        raise HalfscanError(
            f"{endpoint.metric}: a ratio of {candidate:g} and {reference:g} has no logarithm: use scale=difference"
        )
    return math.log(ours / theirs) if better_is_lower else math.log(theirs / ours)
