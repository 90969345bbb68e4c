"""Everything that the store knows of a sweep, in one object: what the page says, it says of this."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from ..claims.judge import at_step, judge, shown_step
from ..claims.pairing import ArmRows, Paired, check_arms, choose_arm, pair
from ..claims.record import from_record
from ..claims.types import ClaimSpec, Verdict
from ..claims.word import Registration
from ..errors import HalfscanError, one_line
from ..manifest import SweepManifest
from ..rows import Row
from ..table import CellSummary, summarise_sweep
from ..tracking import Child, Store
from ..verify import carried_claims, restored
from .pictures import Pictures, read_pictures


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A claim, its verdict, and the rows that it rests on."""

    claim: ClaimSpec
    """As it was stated."""
    shown: ClaimSpec
    """What the verdict's endpoints are about: of a ladder the last step that holds, else its first."""
    verdict: Verdict
    arms: tuple[ArmRows, ArmRows] | None
    """Reference and candidate; None for a claim that can't be tested."""
    cells: tuple[tuple[CellSummary, ...], tuple[CellSummary, ...]] = ((), ())
    """The cells that the arms are made of, several with several training seeds."""


@dataclass(frozen=True, kw_only=True)
class SweepRecord:
    """A sweep as an outsider can read it."""

    manifest: SweepManifest
    cells: Sequence[CellSummary]
    """The finished ones, in the order of the sweep."""
    judged: Sequence[Judged]
    """Those that the sweep was started with come first."""
    unjudged: Mapping[str, str]
    """Claim that the sweep was started with, or that was judged later → why there is no verdict on it."""
    runs: Mapping[str, Child]
    """Key of a cell → its run, finished or not."""
    pictures: Pictures


def read_record(store: Store, parent: str) -> SweepRecord:
    """Reads a sweep from the store alone.

    Raises:
        HalfscanError: it was never finished, or what the store holds is damaged.
    """
    manifest, rows = store.read_sweep(parent)
    cells = summarise_sweep(manifest, rows)
    registration = Registration(hashes=manifest.claims, started=manifest.created_at, known_before=manifest.known_before)
    carried = {claim.claim_id: claim for claim in carried_claims(store, parent)}
    judged, unjudged = [], {}
    stored = store.read_verdicts(parent)
    order = [*manifest.claims, *(name for name in stored if name not in manifest.claims)]
    for name in order:
        found = _judged(stored[name], cells) if name in stored else None
        if isinstance(found, Judged):
            judged.append(found)
        elif found is not None:
            unjudged[name] = found
        elif name in carried:
            unjudged[name] = _why_not_judged(carried[name], cells, registration)
        else:
            unjudged[name] = "its statement is not in the store, where `halfscan run` puts it again"
    return SweepRecord(
        manifest=manifest,
        cells=cells,
        judged=judged,
        unjudged=unjudged,
        runs=store.describe_children(parent),
        pictures=read_pictures(store, parent),
    )


def stored_claims(store: Store, parent: str) -> list[ClaimSpec]:
    """All claims whose statements the store has: those that the sweep was started with, then those that were judged later."""
    claims = {claim.claim_id: claim for claim in carried_claims(store, parent)}
    for name, found in store.read_verdicts(parent).items():
        with suppress(HalfscanError, ValueError, KeyError):
            claims.setdefault(name, restored(json.loads(found["claim.json"])))
    return list(claims.values())


def _judged(found: Mapping[str, bytes], cells: Sequence[CellSummary]) -> Judged | str:
    """A stored verdict with its rows, or why it does not count."""
    try:
        claim, record = restored(json.loads(found["claim.json"])), json.loads(found["verdict.json"])
        if "withdrawn" in record:
            return f"its verdict is withdrawn: {record['withdrawn']}"
        verdict = from_record(record)
    except (HalfscanError, ValueError, KeyError):
        return "its verdict in the store is damaged: judge it again with `halfscan verify`"
    shown = shown_step(claim, verdict)
    if claim.untestable is not None:
        return Judged(claim=claim, shown=shown, verdict=verdict, arms=None)
    reference, candidate = (cells_of(selector, cells) for selector in (shown.reference, shown.candidate))
    try:
        arms = (
            choose_arm(_rows(reference), "reference", shown.reference),
            choose_arm(_rows(candidate), "candidate", shown.candidate),
        )
        check_arms(*arms)
        same = _gives(verdict, shown, *arms)
    except HalfscanError as error:
        return one_line(error)
    if not same:
        return "its verdict was given on other rows than the sweep has now: judge it again with `halfscan verify`"
    return Judged(claim=claim, shown=shown, verdict=verdict, arms=arms, cells=(reference, candidate))


def _gives(verdict: Verdict, shown: ClaimSpec, reference: ArmRows, candidate: ArmRows) -> bool:
    """Whether the verdict's numbers are those of these rows: patients, seeds, and every endpoint's mean difference."""
    if verdict.patients != len({row.patient for row in candidate.rows}) or verdict.seeds != len(candidate.seeds):
        return False
    effects = {result.metric: result.effect.value for result in verdict.endpoints}
    for endpoint in shown.endpoints:
        paired, effect = pair(reference, candidate, endpoint), effects.get(endpoint.metric)
        if isinstance(paired, Paired) and effect is not None:
            mean = float(paired.by_patient.mean())
            if not math.isclose(mean, effect, rel_tol=1e-9, abs_tol=1e-12):
                return False
    return True


def cells_of(selector: Mapping[str, object], cells: Sequence[CellSummary]) -> tuple[CellSummary, ...]:
    """The cells that an arm may lie in."""
    return tuple(cell for cell in cells if cell.rows.may_hold(selector))


def _rows(cells: Sequence[CellSummary]) -> list[Row]:
    return [row for cell in cells for row in cell.rows.rows()]


def _why_not_judged(claim: ClaimSpec, cells: Sequence[CellSummary], registration: Registration) -> str:
    """Why a registered claim has no verdict, in the judge's own words."""
    steps = [at_step(claim, acceleration) for acceleration in claim.ladder] or [claim]
    arms = [arm for step in steps for arm in (step.reference, step.candidate)]
    # Of a cell that no arm lies in one row: a refusal lists what there is.
    rows = [row for cell in cells for row in (cell.rows.rows() if any(cell.rows.may_hold(arm) for arm in arms) else [cell.first])]
    try:
        judge([claim], rows, registration, resamples=2)
    except HalfscanError as error:
        return one_line(error)
    return "it was not judged yet: run `halfscan verify`"
