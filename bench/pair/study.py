"""A study of pairs: every series opened and checked before anything is measured."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..acquisition import Acquisition, Dataset, Images, record_digest
from ..configuration import build
from ..errors import HalfscanError, one_line
from ..identity import private_id
from .agreement import Agreement, agreements
from .registration import overlap
from .tables import ARMS, Arm, PairLine, Reading, Region

_NAMED = 16
"""Characters of a digest that tell series apart."""
_LACKING = 0.05
"""Share of the reference's slices that the candidate may lack."""
_FIELD = 0.02
"""Share by which field strengths of one scanner may be written differently."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Pair:
    """Two series of one patient, and what is to be looked at."""

    contrast: str | None
    arms: Mapping[Arm, Acquisition]
    regions: tuple[Region, ...]
    readings: tuple[Reading, ...]
    told_apart: bool
    """Whether the table says whose series they are, and no header does."""

    @property
    def images(self) -> tuple[Images, Images]:
        """The reference's and the candidate's."""
        ours, theirs = (self.arms[arm].images for arm in ARMS)
        assert ours is not None
        assert theirs is not None
        return ours, theirs


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
                [[float(one) for one in images.affine_mm.ravel()] for images in pair.images if images.affine_mm is not None],
                [[images.acquired_mm, images.caveat] for images in pair.images],
            ]
            for pair in self.pairs
        ]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


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
            if line.patient is not None:
                # Only now: headers that name two patients are refused, whatever the table says.
                arms = {arm: replace(one, patient=private_id(line.patient)) for arm, one in arms.items()}
            pairs[line.name] = Pair(
                contrast=line.contrast or arms["reference"].contrast,
                arms=arms,
                regions=regions.get(line.name, ()),
                readings=readings.get(line.name, ()),
                told_apart=line.patient is not None,
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
    return found[0]


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
    if slices - len(common) > _LACKING * slices:
        raise HalfscanError(f"the candidate shows {len(common)} of the reference's {slices} slices: less was scanned, not faster")
    for region in regions:
        if region.slice >= slices or region.row + region.height > rows or region.column + region.width > columns:
            raise HalfscanError(f"region {region.name} lies outside the reference's {slices} slices of {rows} × {columns} pixels")
