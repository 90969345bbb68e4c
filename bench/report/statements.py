"""What a reader must know beside the numbers: what is assumed, what nobody measured and why, and where all of it comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ..claims.types import Evidence
from ..table import CellSummary, data_in_words, fits, fitting_profile, label, protocol_of
from .gather import SweepRecord

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One line: what, and what is said of it."""

    what: str
    said: str


_STATES = {"FAILED": "its run failed", "KILLED": "its run was killed", "RUNNING": "its run was still open"}


def assumed(record: SweepRecord) -> list[Statement]:
    """Of the seconds, the truth and the claims; each once."""
    found = []
    for protocol in sorted(set(map(protocol_of, record.cells))):
        cells = [cell for cell in record.cells if protocol_of(cell) == protocol]
        for column in ("assumptions", "timing"):
            stated: dict[str, list[str]] = {}
            for name, words in once(pair for cell in cells for texts in cell.rows.texts(column) for pair in texts.items()):
                stated.setdefault(name, []).append(words)
            found += [Statement(what=f"{protocol}: {name}", said="; or ".join(words)) for name, words in stated.items()]
    found += [Statement(what="mask", said=warning) for warning in once(one for cell in record.cells for one in cell.warnings)]
    if any(cell.first.truth_shares_noise for cell in record.cells):
        said = "the full scan, whose noise the sampled lines share; more lines share more of it"
        found.append(Statement(what="truth", said=said))
    for one in record.judged:
        found += [
            Statement(
                what=f"{one.claim.claim_id}: margin of {endpoint.metric}",
                said=f"{endpoint.margin:g}, {endpoint.margin_rationale}",
            )
            for endpoint in one.claim.endpoints
            if endpoint.margin is not None
        ]
    return found


def not_measured(record: SweepRecord) -> list[Statement]:
    """Everything that is null, and why; and every cell without a result."""
    names: dict[str, set[str]] = {}
    for cell in record.cells:
        for reasons in cell.rows.texts("reasons"):
            for name, reason in reasons.items():
                names.setdefault(reason, set()).add(name)
    found = [Statement(what=", ".join(sorted(columns)), said=reason) for reason, columns in sorted(names.items())]
    if any(cell.patients == 1 for cell in record.cells):
        found.append(Statement(what="confidence intervals", said="one patient: there is no spread to compute them from"))
    if record.cells:
        found.append(
            Statement(
                what="confidence interval of scan seconds",
                said="seconds are as the scanner recorded them: their range is that of all pairs and of rounding"
                if record.cells[0].first.evidence == Evidence.PROSPECTIVE
                else "seconds are deterministic given mask and protocol: their range is that of what is assumed",
            )
        )
    for one in record.judged:
        found += [
            Statement(what=f"{one.claim.claim_id}: {result.metric}", said=result.effect.reason or "no reason recorded")
            for result in one.verdict.endpoints
            if result.effect.value is None
        ]
    found += [Statement(what=f"claim {name}", said=why) for name, why in record.unjudged.items()]
    if record.pictures.reason:
        found.append(Statement(what="pictures", said=record.pictures.reason))
    finished = {cell.entry.key for cell in record.cells}
    for entry in record.manifest.cells:
        if entry.key not in finished:
            run = record.runs.get(entry.key)
            state = "it never started" if run is None else _STATES.get(run.status, f"its run is {run.status.lower()}")
            if run is not None and run.status == "FINISHED":
                state += ", and its rows were not there when the sweep was closed"
            found.append(Statement(what=f"cell {' '.join(entry.overrides) or 'without overrides'}", said=state))
    return found


def limits(cells: Sequence[CellSummary]) -> list[str]:
    """What forbids or limits conclusions from a sweep's data, each data set by its name."""
    said = []
    for cell in first_of_each(cells):
        row = cell.first
        if row.evidence == Evidence.SIMULATED:
            said.append(f"The k-space of {row.dataset} is {data_in_words(row)}")
        if row.caveat:
            said.append(f"Of {row.dataset}: {row.caveat}.")
    profile = fitting_profile(cells) if cells else ""
    unfit = once(cell.first.model for cell in cells if not fits(cell.first, profile))
    if unfit and profile != "qa":
        said.append(
            f"Images of {', '.join(unfit)} are combined over coils otherwise than the truth of the profile {profile}: their "
            "scores are not comparable with the others'."
        )
    return said


def provenance(record: SweepRecord) -> list[Statement]:
    """What the samples are, and what that allows."""
    found = []
    for cell in first_of_each(record.cells):
        row = cell.first
        field = "field strength unknown" if row.field_strength_t is None else f"{row.field_strength_t:g} T"
        coils = "" if row.evidence == Evidence.PROSPECTIVE else f"{row.coils} coils, "
        size = f"{cell.patients} patients, {len(cell.rows)} volumes, {coils}{field}"
        found.append(Statement(what=row.dataset, said=f"{row.provenance}; comparison {row.evidence}; {size}"))
        found.append(Statement(what=row.dataset, said=data_in_words(row)))
        if row.caveat:
            found.append(Statement(what=row.dataset, said=f"{row.caveat}."))
    for words in once(truth_in_words(cell) for cell in record.cells):
        found.append(Statement(what="truth", said=words))
    return found


def truth_in_words(cell: CellSummary) -> str:
    row = cell.first
    if row.truth_source is None:
        return "none: these scores need no truth"
    combined = ", ".join(f"{profile}: {combination}" for profile, combination in sorted(row.truth_combinations.items()))
    return f"{row.truth_source.replace('_', ' ')}, coils combined as each profile names ({combined})"


def versions(record: SweepRecord) -> list[Statement]:
    """What it was made with; more than one value means that the cells differ in it."""
    manifest = record.manifest
    commits = [f"{one.tags.get('halfscan.git_commit', 'unknown')}{_dirt(one.tags)}" for one in record.runs.values()]
    found = [
        Statement(what="sweep", said=f"{manifest.sweep_id}, started {manifest.created_at}, parent run {manifest.parent_run}"),
        *[Statement(what="git commit", said=commit) for commit in once(commits)],
        *[
            Statement(what=name, said=value)
            for name in ("versions", "device", "dataset_digest")
            for value in once(one.tags[f"halfscan.{name}"] for one in record.runs.values() if f"halfscan.{name}" in one.tags)
        ],
    ]
    found += [Statement(what=f"SHA-256 of claim {name}", said=digest) for name, digest in manifest.claims.items()]
    return found


def _dirt(tags: Mapping[str, str]) -> str:
    return ", with changes that no commit holds" if tags.get("halfscan.git_dirty") == "true" else ""


def clinical(cells: Sequence[CellSummary]) -> str:
    """The clinical protocols that scan times are held against; each cell against its own."""
    return " or ".join(once(cell.first.clinical for cell in cells if cell.first.clinical is not None)) or "clinical"


def first_of_each(cells: Sequence[CellSummary]) -> list[CellSummary]:
    """The first cell of each data set."""
    found: dict[tuple[str, str, str | None], CellSummary] = {}
    for cell in cells:
        found.setdefault((cell.first.dataset, cell.first.provenance, cell.first.caveat), cell)
    return list(found.values())


def once(values: Iterable[_T]) -> list[_T]:
    """Each value once, in the order of its first appearance."""
    return list(dict.fromkeys(values))


def digests(record: SweepRecord) -> list[tuple[str, str, str, str, str]]:
    """Of each finished cell: (label, run id, digest of its images, mask hashes, training seed or a dash)."""
    found = []
    for cell in record.cells:
        run = record.runs.get(cell.entry.key)
        seed = "–" if cell.first.train_seed is None else str(cell.first.train_seed)
        masks = sorted({mask[:12] for mask in cell.rows.values("mask_hash") if mask is not None}) or ["–"]
        more = f" and {len(masks) - 3} more" if len(masks) > 3 else ""
        found.append((label(cell), run.run_id if run else "unknown", cell.entry.digest[:16], ", ".join(masks[:3]) + more, seed))
    return found
