"""A paragraph for the methods section of a paper or a protocol, to be pasted: only what was done, in the past tense."""

from __future__ import annotations

from collections.abc import Sequence

from ..claims.types import Endpoint, Evidence
from ..table import fitting_profile
from .gather import Judged, SweepRecord
from .statements import clinical, first_of_each, once, truth_in_words


def methods(record: SweepRecord) -> str:
    """A paragraph for a paper's methods section: only what was done, in the past tense."""
    if not record.cells:
        return "No cell of this sweep has finished: there is nothing to describe."
    prospective = all(cell.first.evidence == Evidence.PROSPECTIVE for cell in record.cells)
    if prospective:
        sentences = [_pairs(record)]
    else:
        sentences = [_data(record), _sampling(record), _seconds(record), _models(record), _scores(record)]
    sentences += _claims(record)
    sentences.append(_software(record))
    return " ".join(sentences)


def _pairs(record: SweepRecord) -> str:
    """Of scans that were really made: nothing was undersampled, modelled or reconstructed here."""
    cell = record.cells[0]
    arms = " and ".join(once(one.first.protocol for one in record.cells))
    names = once(name for cell in record.cells for name in cell.rows.metrics)
    read = [name for name in names if name.startswith("reader_")]
    measured = [name for name in names if name not in read]
    said = (
        f"Of {_count(cell.patients, 'patient')} ({_count(len(cell.rows), 'pair')} of series) the scanner's finished images of "
        f"both protocols ({arms}) were compared. Scan seconds are those that the scanner recorded. {_some(measured)} were "
        "measured on each series' own pixels, in regions that a rigid movement in the plane carried over, and needed no truth; "
    )
    said += f"{_some(read)} are means over readers; " if read else ""
    said += "pairs were averaged into patients, and means over patients carry Student's 95 % interval."
    return said + (f" Of these data, {cell.first.caveat}." if cell.first.caveat else "")


def _data(record: SweepRecord) -> str:
    said = []
    for cell in first_of_each(record.cells):
        row = cell.first
        said.append(
            f"{row.provenance.capitalize()} k-space of {_count(cell.patients, 'patient')} ({_count(len(cell.rows), 'volume')}, "
            f"{_count(row.coils, 'coil')}) came from the data set {row.dataset}."
        )
        if row.caveat:
            said.append(f"Of these data, {row.caveat}.")
    return " ".join(said)


def _sampling(record: SweepRecord) -> str:
    achieved: dict[tuple[str | None, float | None, int | None], list[float]] = {}
    for cell in record.cells:
        row = cell.first
        if cell.acceleration is not None:
            achieved.setdefault((row.sampling, row.nominal_acceleration, row.acs_lines), []).append(cell.acceleration)
    said = [
        f"{name} R = {nominal:g} with {lines} ACS lines (achieved {_span(found)})"
        for (name, nominal, lines), found in achieved.items()
    ]
    kinds = once(cell.first.evidence for cell in record.cells)
    how = {"prospective": "scanned so"}.get(kinds[0], "undersampled afterwards") if len(kinds) == 1 else "undersampled"
    return f"It was {how} with {_some(said)}; all models at one of these shared their masks."


def _span(values: Sequence[float]) -> str:
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    return low if low == high else f"{low} to {high}"


def _seconds(record: SweepRecord) -> str:
    names = sorted({cell.first.protocol for cell in record.cells})
    return (
        f"Scan seconds were modelled for the protocol{'s' if len(names) > 1 else ''} {', '.join(names)}, with calibration lines, "
        f"whole shots, dummies and preparation, against full sampling and {clinical(record.cells)}."
    )


def _models(record: SweepRecord) -> str:
    names = once(cell.first.model for cell in record.cells)
    seeds = sorted({cell.first.train_seed for cell in record.cells if cell.first.train_seed is not None})
    trained = f" (networks with training seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))})" if seeds else ""
    devices = once(f"{cell.first.device}, {cell.first.threads} threads" for cell in record.cells)
    return f"Images were reconstructed by {', '.join(names)}{trained} on {'; '.join(devices)}."


def _scores(record: SweepRecord) -> str:
    profile = fitting_profile(record.cells)
    return (
        f"They were scored in the profile {profile} against the truth ({truth_in_words(record.cells[0])}); slices were averaged "
        "into volumes and volumes into patients, and means over patients carry Student's 95 % interval."
    )


def _claims(record: SweepRecord) -> list[str]:
    tested = [one for one in record.judged if one.arms is not None]
    family = sum(one.verdict.registered_at is not None for one in tested)
    return [_claim(one, family if one.verdict.registered_at is not None else 1) for one in tested]


def _claim(one: Judged, family: int) -> str:
    """Only the legs that the claim has."""
    claim, verdict = one.claim, one.verdict
    when = "registered before the sweep started" if verdict.registered_at else "stated after the sweep had started"
    arms = f"with {verdict.candidate_protocol} as candidate and {verdict.reference_protocol} as reference"
    said = [f"The claim {claim.claim_id} was {when}, {arms}"]
    if claim.time_target is not None:
        said.append(f"it claimed a reduction of scan seconds by {100 * claim.time_target:g} % against {claim.time_baseline}")
    if claim.endpoints:
        kinds = [f"{end.metric} ({_margin(end)}{_tail(end)})" for end in claim.endpoints]
        seeds = f", training seeds crossed with patients ({verdict.seeds})" if claim.scope == "method" else ""
        said.append(
            f"its endpoints, all required, were {', '.join(kinds)}, as paired effects of {verdict.patients} patients{seeds} at a "
            f"one-sided level of {claim.alpha:g}, where Student's t test and a studentized bootstrap of 10,000 resamples had to "
            "agree"
        )
    if claim.ladder:
        steps = ", ".join(f"{step:g}" for step in sorted(claim.ladder))
        said.append(f"the candidate's accelerations {steps} were tested from the smallest up, to the first that failed")
    if family > 1:
        said.append(f"the {family} claims of the sweep shared the level (Holm; a ladder takes an even share)")
    return f"{'; '.join(said)}; the verdict was: {verdict.words}."


def _margin(end: Endpoint) -> str:
    kind = "ratio" if end.scale == "log_ratio" else "difference"
    return f"{kind}, margin {end.margin:g}" if end.margin is not None else f"{kind}, at least {end.at_least:g}"


def _tail(end: Endpoint) -> str:
    if end.tail_margin is None:
        return ""
    required = "reported" if end.tail_required is None else f"{end.tail_required:.0%} of patients required"
    return f", single patients within {end.tail_margin:g}, {required}"


def _software(record: SweepRecord) -> str:
    found = once(one.tags["halfscan.versions"] for one in record.runs.values() if "halfscan.versions" in one.tags)
    used = "; ".join(found).replace("=", " ").replace(" halfscan", "") or "unknown versions"
    return f"Software: {used}. Sweep {record.manifest.sweep_id}."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _some(said: Sequence[str], most: int = 12) -> str:
    more = f" and {len(said) - most} more" if len(said) > most else ""
    return ", ".join(said[:most]) + more
