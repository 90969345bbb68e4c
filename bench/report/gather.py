"""Everything that the store knows of a sweep, in one object: what the page says, it says of this."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..claims.judge import at_step, shown_step
from ..claims.pairing import ArmRows, check_arms, choose_arm
from ..claims.record import from_record
from ..claims.types import ClaimSpec, Verdict
from ..errors import HalfscanError, one_line
from ..manifest import SweepManifest
from ..rows import Row
from ..table import CellSummary, summarise_sweep
from ..tracking import Child, Store
from ..verify import restored
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
    """Claim that the sweep was started with → why there is no verdict on it."""
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
    verdicts = [(restored(claim), from_record(verdict)) for claim, verdict in store.read_verdicts(parent)]
    judged = [_judged(claim, verdict, cells) for claim, verdict in verdicts]
    known = {one.claim.claim_id for one in judged}
    carried = [restored(claim) for claim in store.read_claims(parent)]
    order = [claim.claim_id for claim in carried]
    return SweepRecord(
        manifest=manifest,
        cells=cells,
        judged=sorted(judged, key=lambda one: order.index(one.claim.claim_id) if one.claim.claim_id in order else len(order)),
        unjudged={claim.claim_id: why_not_judged(claim, cells) for claim in carried if claim.claim_id not in known},
        runs=store.describe_children(parent),
        pictures=read_pictures(store, parent),
    )


def _judged(claim: ClaimSpec, verdict: Verdict, cells: Sequence[CellSummary]) -> Judged:
    shown = shown_step(claim, verdict)
    if claim.untestable is not None:
        return Judged(claim=claim, shown=shown, verdict=verdict, arms=None)
    reference, candidate = (cells_of(selector, cells) for selector in (shown.reference, shown.candidate))
    arms = (
        choose_arm(_rows(reference), "reference", shown.reference),
        choose_arm(_rows(candidate), "candidate", shown.candidate),
    )
    return Judged(claim=claim, shown=shown, verdict=verdict, arms=arms, cells=(reference, candidate))


def cells_of(selector: Mapping[str, object], cells: Sequence[CellSummary]) -> tuple[CellSummary, ...]:
    """The cells that an arm may lie in."""
    return tuple(cell for cell in cells if cell.rows.may_hold(selector))


def _rows(cells: Sequence[CellSummary]) -> list[Row]:
    return [row for cell in cells for row in cell.rows.rows()]


def why_not_judged(claim: ClaimSpec, cells: Sequence[CellSummary]) -> str:
    """Why a registered claim has no verdict, as the judge would say it."""
    steps = [at_step(claim, acceleration) for acceleration in sorted(claim.ladder)] or [claim]
    try:
        for step in steps:
            arms = []
            for name, selector in (("reference", step.reference), ("candidate", step.candidate)):
                # Without such a cell, one row of each: the refusal lists what there is.
                rows = _rows(cells_of(selector, cells)) or [cell.first for cell in cells]
                arms.append(choose_arm(rows, name, selector))
            check_arms(*arms)
    except HalfscanError as error:
        return one_line(error)
    return "it was not judged yet: run `halfscan verify`"
