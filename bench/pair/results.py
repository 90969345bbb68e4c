"""A study of pairs measured: a row a pair and arm, and the record of what the rows rest on."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..claims.types import Evidence
from ..quantity import Quantity
from ..rows import Row, split_scores
from .agreement import Agreement
from .measure import Patch, patches, scores
from .outlines import write_outlines
from .registration import Registration, register
from .study import Pair, Study
from .tables import ARMS, Arm

SCANNER = "scanner"
"""What reconstructed the images: whatever the scanner has, which its header need not say."""
CAVEAT = "they are finished images: what the scanner's reconstruction did to them is not known"
_UNKNOWN = (
    *("sampling", "nominal_acceleration", "acceleration", "acs_lines", "lines_sampled", "lines_acquired", "mask_hash"),
    *("mask_replicate", "full_s", "full_recorded_s", "clinical", "clinical_s", "train_seed", "combination", "device", "threads"),
    *(f"reduction_{baseline}{end}" for baseline in ("full", "clinical") for end in ("", "_low", "_high")),
    *("recon_s_per_slice", "energy_j", "flops", "truth_source"),
)
_WHY = {
    "acceleration": "the images don't say which lines were sampled",
    **dict.fromkeys(("full_s", "reduction_full"), "no full scan was made beside both"),
    **dict.fromkeys(("clinical_s", "reduction_clinical"), "seconds are held against the reference that was scanned"),
    "recon_s_per_slice": "the scanner reconstructed the images",
    "energy_j": "the scanner reconstructed the images",
    "flops": "the scanner reconstructed the images",
}
_WEIGHTING = 0.1
"""Share by which TR or TE may differ without a word."""
_VIEW = 0.95
"""Share of the reference's field of view that is as good as all of it."""


@dataclass(frozen=True, kw_only=True)
class Results:
    """What was measured."""

    rows: Mapping[Arm, Sequence[Row]]
    record: Mapping[str, Any]
    """All that the rows rest on: registrations, regions, readers."""


def _caveats(pair: Pair) -> list[str]:
    """What limits a comparison without making it none."""
    ours, theirs = (pair.arms[arm] for arm in ARMS)
    said = []
    for name, one, other in (
        ("TR", ours.timing.tr_s, theirs.timing.tr_s),
        ("TE", ours.timing.te_s, theirs.timing.te_s),
    ):
        if one is not None and other is not None and abs(one / other - 1) > _WEIGHTING:
            said.append(f"{name} of {1000 * one:g} and {1000 * other:g} ms: another weighting")
    if pair.told_apart:
        said.append("patients are told apart by the study's table, and not by headers")
    affines = [one.affine_mm for one in pair.images]
    views = [
        np.linalg.norm(affine[:, 1:3], axis=0) * one.stack.shape[1:]
        for affine, one in zip(affines, pair.images, strict=True)
        if affine is not None
    ]
    if any(second < _VIEW * first for first, second in zip(*views, strict=True)):
        first, second = (" × ".join(f"{side:.0f}" for side in view) for view in views)
        said.append(f"fields of view of {first} and {second} mm: the candidate's is smaller")
    if any(one.acquired_mm is None for one in pair.images):
        said.append("what resolution was acquired is not stated")
    return said


def outline(study: Study, pictures: Path, advance: Callable[[], None] = lambda: None) -> list[Registration]:
    """Draws the outlines of all regions in both series, and measures nothing.

    Args:
        study: opened.
        pictures: folder of a PNG a pair and slice.
        advance: called after each pair.
    """
    found = []
    for number, pair in enumerate(study.pairs, 1):
        ours, theirs = pair.images
        found.append(register(ours, theirs))
        # By the pair's number in its table: its name may be a patient's.
        write_outlines(pictures, f"pair{number:03d}", pair.arms, found[-1], pair.regions)
        advance()
    return found


def measure(study: Study, advance: Callable[[], None] = lambda: None) -> Results:
    """Registers and measures every pair.

    Args:
        study: opened.
        advance: called after each pair.
    """
    scored = [_measure_pair(pair, advance) for pair in study.pairs]
    names = {name for one in scored for name in one.scores["reference"]}
    said = _assumed([one.registration for one in scored], study)
    return Results(
        rows={
            arm: [_row(study, pair, arm, one, names, said) for pair, one in zip(study.pairs, scored, strict=True)] for arm in ARMS
        },
        record={
            "schema_version": 1,
            "series": study.series,
            "pairs": [_record(pair, one) for pair, one in zip(study.pairs, scored, strict=True)],
            "agreement": [_kappa(one) for one in study.agreement],
        },
    )


@dataclass(frozen=True, kw_only=True)
class _Measured:
    registration: Registration
    patches: Mapping[Arm, Mapping[str, Patch | str]]
    scores: Mapping[Arm, Mapping[str, Quantity]]


def _measure_pair(pair: Pair, advance: Callable[[], None]) -> _Measured:
    ours, theirs = pair.images
    registration = register(ours, theirs)
    found = patches(ours, theirs, registration, pair.regions)
    scored = scores(pair.arms, found, pair.regions, registration)
    for arm in ARMS:
        for item in sorted({reading.item for reading in pair.readings}):
            given = [reading.score for reading in pair.readings if (reading.arm, reading.item) == (arm, item)]
            scored[arm][f"reader_{item}@pair"] = (
                # Whatever was read, it was not the same thing twice.
                Quantity.unmeasured("1", registration.reason)
                if registration.reason is not None
                else Quantity(value=statistics.fmean(given), unit="1", method="measured")
            )
    advance()
    return _Measured(registration=registration, patches=found, scores=scored)


def _row(study: Study, pair: Pair, arm: Arm, measured: _Measured, names: Collection[str], said: Mapping[str, str]) -> Row:
    acquisition = pair.arms[arm]
    assert acquisition.images is not None
    timing = acquisition.timing
    seconds, within = timing.total_s, timing.total_within_s or 0.0
    absent = {name: Quantity.unmeasured("1", "no reader scored it") for name in names - measured.scores[arm].keys()}
    metrics, reasons = split_scores(dict(sorted({**measured.scores[arm], **absent}.items(), key=_place)))
    if seconds is None:
        reasons["scan_s"] = "no duration of a whole scan that all its images state (AcquisitionDuration, or the vendor's own tag)"
    unknown: dict[str, Any] = dict.fromkeys(_UNKNOWN)
    return Row(
        **unknown,
        dataset=study.dataset,
        patient=acquisition.patient,
        # One name for both, by which they find each other.
        volume=pair.arms["reference"].volume,
        contrast=pair.contrast,
        provenance=acquisition.provenance,
        evidence=Evidence.PROSPECTIVE,
        caveat="; ".join(filter(None, (CAVEAT, acquisition.images.caveat, *_caveats(pair)))),
        field_strength_t=acquisition.field_strength_t,
        slices=acquisition.images.stack.shape[0],
        coils=1,
        protocol=arm,
        sequence=timing.sequence,
        scan_s=seconds,
        scan_low_s=None if seconds is None else seconds - within,
        scan_high_s=None if seconds is None else seconds + within,
        model=SCANNER,
        truth_shares_noise=False,
        assumptions=said,
        metrics=metrics,
        reasons={**reasons, **_WHY},
    )


_ORDER = ("snr@pair", "cnr@pair", "blur@pair")


def _place(scored: tuple[str, Quantity]) -> tuple[int, str]:
    name = scored[0]
    return (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)


def _assumed(registrations: Sequence[Registration], study: Study) -> dict[str, str]:
    """What the scores rest on, in words for every table that shows them."""
    moved = [float((one.shift_mm[0] ** 2 + one.shift_mm[1] ** 2) ** 0.5) for one in registrations]
    turned = max(abs(one.rotation_deg) for one in registrations)
    agree = [one.correlation for one in registrations]
    lost = sum(one.reason is not None for one in registrations)
    said = {
        "registration": (
            f"movement in the plane, {statistics.median(moved):.2f} mm in the median, {max(moved):.2f} mm and {turned:.1f}° at "
            f"most; correlation from {min(agree):.2f}" + (f"; {lost} of {len(agree)} pairs don't agree" if lost else "")
        )
    }
    for one in study.agreement:
        kappa, (first, second) = one.kappa, one.readers
        interval = "" if kappa.low is None or kappa.high is None else f" ({kappa.low:.2f} to {kappa.high:.2f})"
        value = f"{kappa.value:.2f}{interval}" if kappa.value is not None else f"null ({kappa.reason})"
        said[f"readers {first} and {second} on {one.item}"] = f"weighted kappa {value}, {one.cases} cases"
    if any(pair.readings for pair in study.pairs):
        said["readers"] = "whether they knew which series was which is not recorded here"
    return said


def _record(pair: Pair, measured: _Measured) -> dict[str, Any]:
    found = measured.patches
    return {
        "patient": pair.arms["reference"].patient,
        "volume": pair.arms["reference"].volume,
        "candidate_volume": pair.arms["candidate"].volume,
        "registration": measured.registration.as_dict(),
        "voxel_mm": {arm: pair.arms[arm].voxel_mm for arm in ARMS},
        "seconds": {arm: pair.arms[arm].timing.total_s for arm in ARMS},
        "regions": [
            {
                "region": region.name,
                "against": region.against,
                **{
                    arm: asdict(patch) if isinstance(patch := found[arm][region.name], Patch) else {"reason": patch}
                    for arm in ARMS
                },
            }
            for region in pair.regions
        ],
        "readings": [asdict(reading) for reading in pair.readings],
    }


def _kappa(one: Agreement) -> dict[str, Any]:
    return {"item": one.item, "readers": list(one.readers), "cases": one.cases, "kappa": one.kappa.as_dict()}
