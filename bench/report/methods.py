"""A paragraph for the methods section of a paper or a protocol, to be pasted: only what was done, in the past tense."""

from __future__ import annotations

from collections.abc import Sequence

from ..table import fitting_profile
from .gather import SweepRecord
from .statements import first_of_each, once, truth_in_words


def methods(record: SweepRecord) -> str:
    """A paragraph for a paper's methods section: only what was done, in the past tense."""
    if not record.cells:
        return "No cell of this sweep has finished: there is nothing to describe."
    sentences = [_data(record), _sampling(record), _seconds(record), _models(record), _scores(record)]
    sentences += _claims(record)
    sentences.append(_software(record))
    return " ".join(sentences)


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
    spec = {
        (cell.first.sampling, cell.first.nominal_acceleration, cell.first.acs_lines): cell.acceleration for cell in record.cells
    }
    said = [
        f"{name} R = {nominal:g} with {acs} ACS lines (achieved {achieved:.2f})"
        for (name, nominal, acs), achieved in spec.items()
    ]
    how = "scanned" if all(cell.first.evidence == "prospective" for cell in record.cells) else "undersampled afterwards"
    return f"It was {how} with {_some(said)}; all models at one of these shared their masks."


def _seconds(record: SweepRecord) -> str:
    names = sorted({cell.first.protocol for cell in record.cells})
    return (
        f"Scan seconds were modelled for the protocol{'s' if len(names) > 1 else ''} {', '.join(names)}, with calibration lines, "
        f"whole shots, dummies and preparation, against full sampling and {record.cells[0].first.clinical}."
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
    said = []
    for one in record.judged:
        if one.arms is None:
            continue
        margins = [
            f"{end.metric} {f'by {end.margin:g}' if end.margin is not None else f'better by {end.at_least:g}'}"
            for end in one.claim.endpoints
        ]
        when = "registered before the sweep started" if one.verdict.registered_at else "stated after the sweep had started"
        tests = "Student's t test and a studentized bootstrap of 10,000 resamples had to agree"
        said.append(
            f"The claim {one.claim.claim_id} was {when}; its endpoints and margins were {', '.join(margins) or 'none'}, compared "
            f"as paired differences of patients at a one-sided level of {one.claim.alpha:g}, where {tests}; the verdict was: "
            f"{one.verdict.words}."
        )
    return said


def _software(record: SweepRecord) -> str:
    found = once(one.tags["halfscan.versions"] for one in record.runs.values() if "halfscan.versions" in one.tags)
    used = "; ".join(found).replace("=", " ").replace(" halfscan", "") or "unknown versions"
    return f"Software: {used}. Sweep {record.manifest.sweep_id}."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _some(said: Sequence[str], most: int = 12) -> str:
    more = f" and {len(said) - most} more" if len(said) > most else ""
    return ", ".join(said[:most]) + more
