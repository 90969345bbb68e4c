"""DICOM series: finished images, whose k-space is made from them. See `dicom.md`."""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..bench.acquisition import Acquisition, Images, Provenance, Timing
from ..bench.errors import HalfscanError, one_line
from ..bench.identity import public_id
from .dicom_file import Frame, open_file
from .dicom_stack import affine_mm, stacks
from .images import CAVEAT, Plane, image_stack, kspace_of
from .source import BESIDE, Source, check_contrast, open_all, pseudonyms
from .survey import survey

log = logging.getLogger(__name__)

SUFFIXES = (".dcm", ".dicom", ".ima")
"""Names that promise DICOM; files without a suffix are as common."""
_MARK = b"DICM"
_INDEX = "DICOMDIR"


@dataclass(frozen=True, kw_only=True)
class Dicom(Source):
    """A file, or a folder and all below it: a volume a series, or several where a series has several images a position.

    Raises:
        HalfscanError: settings that can't be.
    """

    series: tuple[int, ...] | None = None
    """Only series of these numbers; None: all."""
    phase_axis: str | None = None
    """ROW or COL, of files that do not say: whether phase encoding ran along a row of pixels or a column; None: a column."""
    contrast: str | None = None
    """One short word such as T2-FLAIR, of all series; a header's own words may name a patient."""
    public_dataset: str | None = None
    """Name of the published data set that these are of: pseudonyms are then unsalted hashes that others can pair."""
    name: str = "dicom"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.phase_axis not in (None, "ROW", "COL"):
            raise HalfscanError(f"dataset.phase_axis={self.phase_axis} must be ROW or COL, as InPlanePhaseEncodingDirection is")
        check_contrast(self.contrast)

    def recognises(self, path: Path) -> bool:
        if path.is_file():
            return path.name != _INDEX and _marked(path) is True
        if not path.is_dir():
            return False
        inside = sorted(one for one in path.iterdir() if not one.name.startswith(".") and one.name != _INDEX)
        files = [one for one in inside if one.is_file() and one.suffix.lower() not in BESIDE]
        # A folder of other data may have DICOM somewhere below it, and is not of this kind for that.
        return any(self.recognises(one) for one in files or inside if one.is_file() or not files)

    def volumes(self) -> Sequence[Acquisition]:
        """All volumes, by the path of their first file.

        Raises:
            HalfscanError: naming every file and series that can't be used.
        """
        by_series, refused = self._frames()
        volumes: list[Acquisition] = []
        try:
            volumes = open_all(by_series, self._open)
        except HalfscanError as error:
            refused.append(one_line(error))
        if refused:
            raise HalfscanError("; ".join(refused))
        return volumes

    def patient_in(self, file: Path) -> str | None:
        """What `patient_pattern` finds in a file's path below `dataset.path`; None without a pattern.

        Raises:
            HalfscanError: it finds nothing.
        """
        if self.patient_pattern is None:
            return None
        root = Path(self.path).expanduser()
        below = file.relative_to(root).as_posix() if root.is_dir() else file.name
        found = re.search(self.patient_pattern, below)
        if found is None or found.group(1) is None:
            raise HalfscanError(f"{file}: dataset.patient_pattern={self.patient_pattern!r} finds no patient in its path")
        return found.group(1)

    def _frames(self) -> tuple[list[list[Frame]], list[str]]:
        """The magnitude images of each series, and why some files can't be read. What else there is is named in the log."""
        by_series: dict[str, list[Frame]] = defaultdict(list)
        refused: list[str] = []
        aside: Counter[str] = Counter()
        for file in self._candidates(refused, aside):
            try:
                opened = open_file(file)
            except HalfscanError as error:
                refused.append(one_line(error))
                continue
            if isinstance(opened, str):
                aside[opened] += 1
                continue
            for frame in opened:
                if self.series is not None and frame.series_number not in self.series:
                    aside["image of another series"] += 1
                elif frame.kind is not None:
                    aside[frame.kind] += 1
                else:
                    by_series[frame.series].append(frame)
        said = ", ".join(f"{count} × {kind}" for kind, count in sorted(aside.items()))
        if not by_series and not refused:
            raise HalfscanError(f"dataset.path={self.path}: no MR image that could be read" + f" ({said})" * bool(said))
        if said:
            log.warning("dataset.path: left aside: %s", said)
        return list(by_series.values()), refused

    def _candidates(self, refused: list[str], aside: Counter[str]) -> Iterator[Path]:
        """Files that are DICOM by their first bytes."""
        path = Path(self.path).expanduser()
        if not path.exists():
            raise HalfscanError(f"dataset.path={self.path}: no such file or folder")
        marked = {file: _marked(file) for file in (_below(path, refused) if path.is_dir() else [path])}
        promised = {_kin(file) for file, found in marked.items() if found}
        for file, found in marked.items():
            if found:
                yield file
            elif found is None:
                refused.append(f"{file}: can't be read (permission denied)")
            elif file == path or _kin(file) in promised or file.suffix.lower() in SUFFIXES or not file.stat().st_size:
                # Among the slices of a series, it most likely is a spoilt one: the others would make a whole-looking volume.
                refused.append(f"{file}: does not begin as DICOM: is it whole? Mend it, or move it away")
            else:
                aside["file of another kind"] += 1

    def _open(self, frames: list[Frame]) -> Iterator[Acquisition]:
        volumes = stacks(frames)
        times = {stack[0].time for stack in volumes}
        for number, stack in enumerate(volumes):
            first = stack[0]
            along = first.phase or self.phase_axis or "COL"
            unsaid = None if first.phase or self.phase_axis else "which axis was phase encoded is not stated: COL was taken"
            ky, kx = _in_plane(along, (first.pixels.rows, first.pixels.columns))
            images = self.central(image_stack(first.file, (len(stack), ky, kx), partial(_plane, stack, along)))
            shown = image_stack(first.file, (len(stack), first.pixels.rows, first.pixels.columns), partial(_plane, stack, "COL"))
            files = list(dict.fromkeys(frame.file for frame in stack))
            found = survey(files, images, (tuple(frame.index for frame in stack), along, self.max_slices))
            kspace = kspace_of(images)
            timing = _unanimous([frame.timing for frame in stack])
            if len(times) > 1:
                # The header's duration is that of all temporal positions together.
                timing = replace(timing, total_s=None, total_within_s=None)
            lossy = "lossily compressed" if any(frame.lossy for frame in stack) else None
            derived = "computed from other images (DERIVED)" if any(frame.derived for frame in stack) else None
            patient, volume = self._names(first, number if len(volumes) > 1 else None)
            yield Acquisition(
                kspace=kspace,
                patient=patient,
                volume=volume,
                digest=hashlib.sha256(f"{found.digest} image to k-space".encode()).hexdigest(),
                provenance=Provenance.PROCESSED,
                # Of an image, nobody knows which lines were: none is padding that could be told from the others.
                acquired=np.ones(kspace.size("ky"), dtype=bool),
                images=Images(
                    stack=self.central(shown),
                    affine_mm=affine_mm(self.central_part(stack)),
                    acquired_mm=_acquired_mm(stack),
                    caveat="; ".join(filter(None, (lossy, derived))) or None,
                ),
                timing=timing,
                voxel_mm=_voxel_mm(first, along),
                field_strength_t=_one([frame.field_strength_t for frame in stack]),
                contrast=self.contrast,
                file_name=first.file.name,
                caveat="; ".join(filter(None, (CAVEAT, lossy, unsaid))),
            )

    def _names(self, first: Frame, number: int | None) -> tuple[str, str]:
        """Pseudonyms of patient and volume: a series' own number is no name to publish."""
        stated = self.patient_in(first.file) or first.patient or first.study or first.series
        suffix = "" if number is None else f"_{number}"
        if self.public_dataset:
            series = public_id(self.public_dataset, first.series)
            return pseudonyms(stated, f"{series}{suffix}", self.public_dataset)
        return pseudonyms(stated, f"{first.series}{suffix}", None)


def _below(folder: Path, refused: list[str]) -> Iterator[Path]:
    """All files below a folder, by path, but for hidden ones, indices and notes."""

    def unreadable(error: OSError) -> None:
        refused.append(f"{error.filename}: can't be read ({error.strerror})")

    found = []
    for where, folders, files in os.walk(folder, onerror=unreadable):
        folders[:] = [one for one in folders if not one.startswith(".")]
        found += [Path(where) / one for one in files if not one.startswith(".") and one.upper() != _INDEX]
    yield from sorted(one for one in found if one.suffix.lower() not in BESIDE and one.is_file())


def _kin(file: Path) -> tuple[Path, str]:
    """Folder and suffix, which slices of a series share; what follows the last dot of a UID is no suffix."""
    return file.parent, file.suffix.lower() if re.search("[a-z]", file.suffix, re.IGNORECASE) else ""


def _marked(file: Path) -> bool | None:
    """Whether a file begins as DICOM; None where it may not be read."""
    try:
        with file.open("rb") as stream:
            return stream.read(132)[128:] == _MARK
    except OSError:
        return None


def _in_plane(along: str, rows_columns: tuple[Any, Any]) -> tuple[Any, Any]:
    """(ky, kx) of what belongs to (rows, columns): phase encoding along a column counts rows."""
    rows, columns = rows_columns
    return (rows, columns) if along == "COL" else (columns, rows)


def _plane(stack: Sequence[Frame], along: str, index: int) -> Plane:
    plane = stack[index].read()
    return plane if along == "COL" else plane.T


def _voxel_mm(first: Frame, along: str) -> tuple[float, float, float] | None:
    if first.spacing_mm is None or not first.thickness_mm or min(first.spacing_mm) <= 0:
        return None
    rows, columns = first.spacing_mm
    return (first.thickness_mm, *_in_plane(along, (rows, columns)))


def _acquired_mm(stack: Sequence[Frame]) -> tuple[float, float] | None:
    """The field of view over the lines that were acquired of it, down a column and along a row."""
    first, acquired = stack[0], _one([frame.acquired for frame in stack])
    if acquired is None or first.spacing_mm is None:
        return None
    rows, columns = first.spacing_mm
    return rows * first.pixels.rows / acquired[0], columns * first.pixels.columns / acquired[1]


def _unanimous(timings: Sequence[Timing]) -> Timing:
    """Field by field what all images say alike."""
    return Timing(**{one.name: _one([getattr(timing, one.name) for timing in timings]) for one in fields(Timing)})


def _one(values: Sequence[Any]) -> Any:
    return values[0] if len(set(values)) == 1 else None
