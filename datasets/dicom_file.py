"""One DICOM file's images and what its header says of them, from an allow-list of tags: no other is ever looked at.

Source: DICOM PS3.3, MR Image (C.8.3) and Enhanced MR Image (C.8.13) modules. Times there are in ms, the duration in s.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..bench.acquisition import Timing
from ..bench.errors import HalfscanError
from .dicom_duration import PRIVATE_TAGS, duration
from .dicom_pixels import BoundedFile, Pixels, decoded, locate_pixels
from .images import Plane

MR, ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1"
"""Kinds (SOP classes) that are read."""
IDENTIFYING = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID")
"""Read to tell patients, studies and series apart; they leave the reader as pseudonyms alone."""
TAGS = (
    *IDENTIFYING,
    *("SOPClassUID", "ImageType", "SeriesNumber", "EchoNumbers", "TemporalPositionIdentifier"),
    *("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "NumberOfFrames"),
    *("PhotometricInterpretation", "SamplesPerPixel", "LossyImageCompression", "RescaleSlope", "RescaleIntercept"),
    *("AcquisitionMatrix", "MRAcquisitionFrequencyEncodingSteps", "MRAcquisitionPhaseEncodingStepsInPlane"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "InPlanePhaseEncodingDirection"),
    *("RepetitionTime", "EchoTime", "EchoTrainLength", "NumberOfAverages", "AcquisitionDuration", "MagneticFieldStrength"),
    *("ScanningSequence", "SequenceVariant", "EchoPulseSequence", "MultipleSpinEcho", "EchoPlanarPulseSequence"),
    *("ComplexImageComponent", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
)
"""All that is read of a header but for a vendor's own duration. No name, date, institution, device or description."""
GROUPS = (
    *("FrameContentSequence", "PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence"),
    *("PixelValueTransformationSequence", "MRImageFrameTypeSequence", "MRTimingAndRelatedParametersSequence"),
    *("MREchoSequence", "MRAveragesSequence", "MRFOVGeometrySequence"),
)
"""Functional groups of an enhanced file that are looked into."""
_COMPONENTS = {
    **dict.fromkeys(("P", "PHASE", "PHASE MAP"), "phase image"),
    **dict.fromkeys(("R", "REAL"), "real part"),
    **dict.fromkeys(("I", "IMAGINARY"), "imaginary part"),
    "MIXED": "mixed image",
}
_MOST = 1e10


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One image, not yet read."""

    pixels: Pixels
    index: int
    """Among the frames of its file."""
    series: str = field(repr=False)
    patient: str | None = field(repr=False)
    """As the file says; never leaves the reader but as a pseudonym."""
    study: str | None = field(repr=False)
    series_number: int | None
    kind: str | None
    """What else than a magnitude image it is."""
    slope: float
    intercept: float
    position_mm: tuple[float, ...] | None
    """(x, y, z) of the first pixel."""
    orientation: tuple[float, ...] | None
    """Direction cosines of a row, then of a column."""
    spacing_mm: tuple[float, ...] | None
    """Between rows, between columns."""
    thickness_mm: float | None
    phase: Literal["ROW", "COL"] | None
    """Along what phase encoding ran: along a row of pixels, or along a column."""
    echo: float | None
    """Number, or effective time, of the echo: what tells several apart."""
    time: float | None
    """Temporal position."""
    timing: Timing
    field_strength_t: float | None
    lossy: bool
    derived: bool
    """Computed from other images."""
    acquired: tuple[int, int] | None
    """(rows, columns) that were acquired, before the scanner interpolated."""

    @property
    def file(self) -> Path:
        return self.pixels.file

    def read(self) -> Plane:
        """(row, column), rescaled."""
        return self.pixels.read(self.index) * np.float64(self.slope) + self.intercept


def open_file(file: Path) -> list[Frame] | str:
    """The images of a file, or the kind of file it is instead.

    Raises:
        HalfscanError: no DICOM, or images that can't be read; it quotes nothing from the file.
    """
    import pydicom

    with decoded(file), BoundedFile(file) as stream:
        read: list[int | str] = [*TAGS, *PRIVATE_TAGS]
        header = pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=[pydicom.tag.Tag(tag) for tag in read])
        kind = header.get("SOPClassUID") or header.file_meta.get("MediaStorageSOPClassUID")
        if not kind:
            raise HalfscanError(f"{file}: it does not say what kind of DICOM it is: is it whole?")
        if header.file_meta.get("MediaStorageSOPClassUID", kind) != kind:
            raise HalfscanError(f"{file}: it says of two kinds that it is of them: is it whole?")
        if kind not in (MR, ENHANCED_MR):
            known = pydicom.uid.UID(kind)
            # The dictionary's name of a kind, never the number itself, which may name an institution.
            return known.name if known.type == "SOP Class" else "unknown kind"
        pixels = locate_pixels(file, stream, header)
        return list(_frames(file, header, pixels, enhanced=kind == ENHANCED_MR))


def _frames(file: Path, header: Any, pixels: Pixels, *, enhanced: bool) -> Iterator[Frame]:
    series = header.get("SeriesInstanceUID")
    if not series:
        raise HalfscanError(f"{file}: it names no series: is it whole?")
    if not enhanced:
        if pixels.frames != 1:
            raise HalfscanError(f"{file}: {pixels.frames} frames, and this kind of MR image has one: is it whole?")
        yield _frame(file, header, pixels, 0, str(series), _Said(file, (header,)))
        return
    items = header.get("PerFrameFunctionalGroupsSequence") or []
    if len(items) != pixels.frames:
        raise HalfscanError(f"{file}: {pixels.frames} frames, and its header describes {len(items)}: is it whole?")
    shared = (header.get("SharedFunctionalGroupsSequence") or [None])[0]
    for index, item in enumerate(items):
        groups = [_group(item, shared, name) for name in GROUPS]
        said = _Said(file, (*(group for group in groups if group is not None), header))
        yield _frame(file, header, pixels, index, str(series), said)


def _group(item: Any, shared: Any, name: str) -> Any:
    """A functional group of one frame, else that of all."""
    for holder in (item, shared):
        found = None if holder is None else holder.get(name)
        if found:
            return found[0]
    return None


def _frame(file: Path, header: Any, pixels: Pixels, index: int, series: str, said: _Said) -> Frame:
    types = {str(one).upper() for one in said.words("ImageType")[2:]}
    if "MOSAIC" in types:
        raise HalfscanError(f"{file}: a mosaic, many slices in one picture: convert it (dcm2niix) and use dataset=nifti")
    kinds = [_COMPONENTS[one] for one in sorted({*types, *said.words("ComplexImageComponent")}) if one in _COMPONENTS]
    localiser = ["localiser"] if "LOCALIZER" in types else []
    slope, intercept = said.number("RescaleSlope"), said.number("RescaleIntercept")
    thickness, number = said.number("SliceThickness"), said.number("SeriesNumber")
    field_strength = said.number("MagneticFieldStrength")
    phase = {"ROW": "ROW", "COL": "COL", "COLUMN": "COL"}.get(said.word("InPlanePhaseEncodingDirection"))
    return Frame(
        pixels=pixels,
        index=index,
        series=series,
        patient=said.text("PatientID"),
        study=said.text("StudyInstanceUID"),
        series_number=None if number is None else int(number),
        kind=next(iter(kinds + localiser), None),
        slope=1.0 if slope is None else slope,
        intercept=0.0 if intercept is None else intercept,
        position_mm=said.numbers("ImagePositionPatient", 3),
        orientation=said.numbers("ImageOrientationPatient", 6),
        spacing_mm=said.numbers("PixelSpacing", 2),
        thickness_mm=thickness,
        phase=phase,  # type: ignore[arg-type]
        echo=said.number("EchoNumbers", first=True) or said.number("EffectiveEchoTime"),
        time=said.number("TemporalPositionIdentifier") or said.number("TemporalPositionIndex"),
        timing=_timing(said, header),
        field_strength_t=field_strength or None,
        lossy=said.word("LossyImageCompression") == "01",
        derived=said.word("ImageType").upper() == "DERIVED",
        acquired=_acquired(said, phase),
    )


def _acquired(said: _Said, phase: str | None) -> tuple[int, int] | None:
    """AcquisitionMatrix is (frequency rows, frequency columns, phase rows, phase columns), half of them zero."""
    matrix = said.numbers("AcquisitionMatrix", 4)
    if matrix is not None:
        rows, columns = max(matrix[0], matrix[2]), max(matrix[1], matrix[3])
    else:
        frequency, steps = (
            said.number("MRAcquisitionFrequencyEncodingSteps"),
            said.number("MRAcquisitionPhaseEncodingStepsInPlane"),
        )
        rows, columns = (steps or 0, frequency or 0) if phase == "COL" else (frequency or 0, steps or 0)
        rows, columns = (rows, columns) if phase else (0, 0)
    return (int(rows), int(columns)) if min(rows, columns) >= 1 else None


def _timing(said: _Said, header: Any) -> Timing:
    tr_s = _seconds(said.number("RepetitionTime"))
    took = duration(said.number("AcquisitionDuration"), header, tr_s)
    train = _count(said.number("EchoTrainLength")) or _count(said.number("RFEchoTrainLength"))
    return Timing(
        sequence=_sequence(said, train or 1),
        tr_s=tr_s,
        te_s=_seconds(said.number("EffectiveEchoTime") or said.number("EchoTime")),
        echo_train_length=train,
        averages=_count(said.number("NumberOfAverages")),
        total_s=None if took is None else took.seconds,
        total_within_s=None if took is None else took.within_s,
    )


def _sequence(said: _Said, train: int) -> Literal["tse", "gre", "epi"] | None:
    """What the codes leave no doubt about; None for all else."""
    scanning = set(said.words("ScanningSequence"))
    planar, pulses = said.word("EchoPlanarPulseSequence"), said.word("EchoPulseSequence")
    if "EP" in scanning or planar == "YES":
        return "epi"
    if scanning == {"GR"} or (pulses == "GRADIENT" and planar == "NO"):
        return "gre"
    segmented = {"SE"} <= scanning <= {"SE", "IR"} and "SK" in said.words("SequenceVariant") and train > 1
    if segmented or (pulses == "SPIN" and planar == "NO" and said.word("MultipleSpinEcho") == "YES"):
        return "tse"
    return None


def _seconds(milliseconds: float | None) -> float | None:
    return milliseconds / 1000 if milliseconds else None


def _count(value: float | None) -> int | None:
    return int(value) if value is not None and value >= 1 and value == int(value) else None


@dataclass(frozen=True)
class _Said:
    """What a header says of a frame: the first of its parts that says anything."""

    file: Path
    parts: tuple[Any, ...]

    def _first(self, keyword: str) -> Any:
        found = (part.get(keyword) for part in self.parts)
        return next((value for value in found if value is not None and value != ""), None)

    def numbers(self, keyword: str, count: int, *, first: bool = False) -> tuple[float, ...] | None:
        """So many finite numbers, or the `first` so many; None where there is nothing.

        Raises:
            HalfscanError: anything else.
        """
        value = self._first(keyword)
        if value is None:
            return None
        values = [value] if isinstance(value, str | int | float) else list(value)
        try:
            numbers = tuple(float(one) for one in (values[:count] if first else values))
        except (TypeError, ValueError):
            numbers = ()
        if len(numbers) != count or not all(math.isfinite(one) and abs(one) < _MOST for one in numbers):
            raise HalfscanError(f"{self.file}: its {keyword} is not {count} numbers of a scan's size: is it whole?")
        return numbers

    def number(self, keyword: str, *, first: bool = False) -> float | None:
        found = self.numbers(keyword, 1, first=first)
        if found is not None and found[0] < 0 and keyword not in ("RescaleIntercept", "RescaleSlope"):
            raise HalfscanError(f"{self.file}: its {keyword} is below 0: is it whole?")
        return None if found is None else found[0]

    def words(self, keyword: str) -> list[str]:
        """Coded words, to be compared and never kept."""
        value = self._first(keyword)
        if value is None:
            return []
        return [value] if isinstance(value, str) else [str(one) for one in value]

    def word(self, keyword: str) -> str:
        """The first of its words, or nothing."""
        return next(iter(self.words(keyword)), "")

    def text(self, keyword: str) -> str | None:
        value = self._first(keyword)
        return str(value).strip() or None if value is not None else None
