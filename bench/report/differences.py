"""A claim's paired differences, one a patient: what the interval was made of, and the patients on whom it went worst."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..claims.aggregate import patient_means
from ..claims.pairing import ArmRows, Paired, pair
from ..claims.types import Endpoint, EndpointResult
from .gather import Judged

WORST = 5


@dataclass(frozen=True, kw_only=True)
class Case:
    """One patient at one endpoint."""

    patient: str
    volumes: tuple[str, ...]
    reference: float
    """Mean over the patient's volumes and training seeds."""
    candidate: float
    difference: float
    """On the scale of the test, higher is better."""
    beyond_tail: bool
    """Further below the reference than the claim allows a single patient."""


@dataclass(frozen=True, kw_only=True)
class Differences:
    """All patients of a claim at one endpoint."""

    endpoint: Endpoint
    result: EndpointResult
    cases: tuple[Case, ...]
    """From the worst to the best; ties by patient."""

    @property
    def worst(self) -> tuple[Case, ...]:
        return self.cases[:WORST]


def differences(judged: Judged) -> list[Differences]:
    """Of every endpoint that has values; nothing for a claim that can't be tested."""
    if judged.arms is None:
        return []
    found = []
    results = {result.metric: result for result in judged.verdict.endpoints}
    for endpoint in judged.shown.endpoints:
        paired = pair(*judged.arms, endpoint)
        if endpoint.metric in results and isinstance(paired, Paired):
            cases = _cases(paired, endpoint, *judged.arms)
            found.append(Differences(endpoint=endpoint, result=results[endpoint.metric], cases=cases))
    return found


def _cases(paired: Paired, endpoint: Endpoint, reference: ArmRows, candidate: ArmRows) -> tuple[Case, ...]:
    tail = endpoint.tail_threshold
    ours, theirs = (
        patient_means((row.patient, row.metrics[endpoint.metric] or 0.0) for row in arm.rows) for arm in (reference, candidate)
    )
    volumes: dict[str, set[str]] = {}
    for row in candidate.rows:
        volumes.setdefault(row.patient, set()).add(row.volume)
    cases = [
        Case(
            patient=patient,
            volumes=tuple(sorted(volumes[patient])),
            reference=ours[patient],
            candidate=theirs[patient],
            difference=float(difference),
            beyond_tail=tail is not None and bool(difference < -tail),
        )
        for patient, difference in zip(paired.patients, paired.by_patient, strict=True)
    ]
    return tuple(sorted(cases, key=lambda case: (case.difference, case.patient)))


def headline(judged: Sequence[Judged]) -> tuple[Judged, Differences] | None:
    """The first claim with paired differences, and its first endpoint: what patients are ranked by."""
    for one in judged:
        if found := differences(one):
            return one, found[0]
    return None
