"""A study of pairs: every series opened and checked before anything is measured, then a row a pair and arm."""

from __future__ import annotations

import hashlib
import json
import statistics
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..acquisition import Acquisition, Dataset, record_digest
from ..claims.types import Evidence
from ..configuration import build
from ..errors import HalfscanError, one_line
from ..identity import private_id
from ..quantity import Quantity
from ..rows import Row, split_scores
from .agreement import Agreement, agreements
from .measure import Patch, patches, scores
from .outlines import write_outlines
from .registration import Registration, overlap, register
from .tables import ARMS, Arm, PairLine, Reading, Region

SCANNER = "scanner"
"""What reconstructed the images: whatever the scanner has, which its header need not say."""
CAVEAT = "they are finished images: what the scanner's reconstruction did to them is not known"
_UNKNOWN = (
    *("sampling", "nominal_acceleration", "acceleration", "acs_lines", "lines_sampled", "lines_acquired", "mask_hash"),
    *("mask_replicate", "full_s", "full_recorded_s", "clinical", "clinical_s", "train_seed", "combination", "device", "threads"),
    *(f"reduction_{baseline}{end}" for baseline in ("full", "clinical") for end in ("", "_low", "_high")),
    *("recon_s_per_slice", "energy_j", "truth_source"),
)
_WHY = {
    "acceleration": "the images don't say which lines were sampled",
    **dict.fromkeys(("full_s", "reduction_full"), "no full scan was made beside both"),
    **dict.fromkeys(("clinical_s", "reduction_clinical"), "seconds are held against the reference that was scanned"),
    "recon_s_per_slice": "the scanner reconstructed the images",
    "energy_j": "the scanner reconstructed the images",
}
_NAMED = 16
"""Characters of a digest that tell series apart."""
_WEIGHTING = 0.1
"""Share by which TR or TE may differ without a word."""
_VIEW = 0.95
"""Share of the reference's field of view that is as good as all of it."""
_FIELD = 0.02
"""Share by which field strengths of one scanner may be written differently."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Pair:
    """Two series of one patient, and what is to be looked at."""

    contrast: str | None
    arms: Mapping[Arm, Acquisition]
    regions: tuple[Region, ...]
    readings: tuple[Reading, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Study:
    """All pairs, opened and checked."""

    dataset: str
    pairs: tuple[Pair, ...]
    agreement: tuple[Agreement, ...]

    @property
    def series(self) -> list[str]:
        """A name of every series, of its images alone: who sees it again, in another pair or with other regions, has seen it."""
        return sorted(pair.arms[arm].digest[:_NAMED] for pair in self.pairs for arm in ARMS)

    @property
    def digest(self) -> str:
        """SHA-256 of all that is measured and how it is described."""
        content = [
            [
                [pair.arms[arm].digest for arm in ARMS],
                record_digest([pair.arms[arm] for arm in ARMS]),
                pair.contrast,
                [asdict(region) for region in pair.regions],
                [asdict(reading) for reading in pair.readings],
                [[float(one) for one in images.affine_mm.ravel()] for images in _images(pair) if images.affine_mm is not None],
            ]
            for pair in self.pairs
        ]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Results:
    """What was measured."""

    rows: Mapping[Arm, Sequence[Row]]
    record: Mapping[str, Any]
    """All that the rows rest on: registrations, regions, readers."""


def open_study(
    lines: Sequence[PairLine],
    regions: Mapping[str, tuple[Region, ...]],
    readings: Mapping[str, tuple[Reading, ...]],
    dataset: Mapping[str, Any],
    advance: Callable[[], None] = lambda: None,
) -> Study:
    """Opens all series.

    Args:
        lines: the pairs.
        regions: pair → where to measure.
        readings: pair → what readers scored.
        dataset: configuration of the data set that reads a series; its path and series are each line's.
        advance: called after each pair.

    Raises:
        HalfscanError: naming every pair that can't be used, and why.
    """
    pairs: dict[str, Pair] = {}
    refused = []
    for line in lines:
        try:
            arms = {arm: _open(line, arm, dataset) for arm in ARMS}
            _check(arms, regions.get(line.name, ()))
            pairs[line.name] = Pair(
                contrast=line.contrast or arms["reference"].contrast,
                arms=arms,
                regions=regions.get(line.name, ()),
                readings=readings.get(line.name, ()),
            )
        except (HalfscanError, OSError) as error:
            refused.append(f"pair {line.name}: {one_line(error)}")
        advance()
    used: dict[str, str] = {}
    for name, pair in pairs.items():
        for arm in ARMS:
            first = used.setdefault(pair.arms[arm].digest, name)
            if first != name:
                refused.append(f"pair {name}: its {arm} stands in pair {first} already")
    if refused:
        raise HalfscanError("; ".join(refused))
    patients = {name: pair.arms["reference"].patient for name, pair in pairs.items()}
    return Study(dataset=str(dataset["name"]), pairs=tuple(pairs.values()), agreement=tuple(agreements(readings, patients)))


def _open(line: PairLine, arm: Arm, node: Mapping[str, Any]) -> Acquisition:
    chosen = {} if line.series[arm] is None else {"series": [line.series[arm]]}
    if chosen and "series" not in node:
        raise HalfscanError(f"{arm}_series is for DICOM: dataset={node['name']} has no series")
    # The configuration's language would put another text in its place.
    path = str(line.paths[arm])
    if "${" in path:
        raise HalfscanError(f"{path}: ${{ means something else here: rename it")
    dataset: Dataset = build({**node, "path": path, **chosen}, "dataset")
    found = dataset.acquisitions()
    if len(found) != 1:
        raise HalfscanError(
            f"{line.paths[arm]}: holds {len(found)} volumes, and the {arm} must be one: of several series name it by "
            f"{arm}_series, of several echoes or times keep one"
        )
    if found[0].images is None:
        raise HalfscanError(f"{line.paths[arm]}: a pair is of finished images, which dataset={node['name']} does not read")
    return found[0] if line.patient is None else replace(found[0], patient=private_id(line.patient))


def _check(arms: Mapping[Arm, Acquisition], regions: Sequence[Region]) -> None:
    """Refuses two series that are no pair.

    Raises:
        HalfscanError: why not.
    """
    ours, theirs = (arms[arm] for arm in ARMS)
    if ours.patient != theirs.patient:
        raise HalfscanError("its series are of two patients by their headers")
    if ours.digest == theirs.digest:
        raise HalfscanError("both of its series are the same images")
    fields = ours.field_strength_t, theirs.field_strength_t
    if None not in fields and abs(fields[0] / fields[1] - 1) > _FIELD:  # type: ignore[operator]
        raise HalfscanError(f"its series were scanned at {fields[0]:g} T and {fields[1]:g} T: both must be of one scanner")
    sequences = ours.timing.sequence, theirs.timing.sequence
    if None not in sequences and sequences[0] != sequences[1]:
        raise HalfscanError(f"its series are {sequences[0]} and {sequences[1]}: a pair is of one kind of sequence")
    assert ours.images is not None
    assert theirs.images is not None
    _, common = overlap(ours.images, theirs.images)
    slices, rows, columns = ours.images.stack.shape
    if len(common) < slices - 1:
        raise HalfscanError(f"the candidate shows {len(common)} of the reference's {slices} slices: less was scanned, not faster")
    for region in regions:
        if region.slice >= slices or region.row + region.height > rows or region.column + region.width > columns:
            raise HalfscanError(f"region {region.name} lies outside the reference's {slices} slices of {rows} × {columns} pixels")


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
    images = _images(pair)
    views = [np.linalg.norm(one.affine_mm[:, 1:3], axis=0) * one.stack.shape[1:] for one in images]
    if any(second < _VIEW * first for first, second in zip(*views, strict=True)):
        first, second = (" × ".join(f"{side:.0f}" for side in view) for view in views)
        said.append(f"fields of view of {first} and {second} mm: the candidate's is smaller")
    if any(one.acquired_mm is None for one in images):
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
        ours, theirs = _images(pair)
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


def _images(pair: Pair) -> list[Any]:
    return [pair.arms[arm].images for arm in ARMS]


def _measure_pair(pair: Pair, advance: Callable[[], None]) -> _Measured:
    ours, theirs = _images(pair)
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
