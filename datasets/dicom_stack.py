"""Images of one DICOM series put in order along their normal: one volume, or one an echo or temporal position."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from ..bench.errors import HalfscanError
from .dicom_file import Frame

_SAME_MM = 0.01
"""Images nearer than that lie at one position."""
_UNEVEN = 0.05
"""Share by which distances of neighbours may differ from their median."""
_TILT = 1e-3
"""By which direction cosines of one stack may differ."""


def stacks(frames: Sequence[Frame]) -> list[list[Frame]]:
    """The volumes of a series, their slices sorted along the normal.

    Raises:
        HalfscanError: a slice is missing or there twice, or its images are not of one stack.
    """
    if len(frames) == 1:
        return [list(frames)]
    normal = _normal(frames)
    placed = sorted(frames, key=lambda frame: (_place(frame, normal), str(frame.file), frame.index))
    if _doubled([_place(frame, normal) for frame in placed]):
        groups: dict[tuple[float, float], list[Frame]] = defaultdict(list)
        for frame in placed:
            groups[frame.echo or 0.0, frame.time or 0.0].append(frame)
        volumes = [groups[key] for key in sorted(groups)]
    else:
        volumes = [placed]
    for volume in volumes:
        _refuse_uneven(volume, [_place(frame, normal) for frame in volume])
    if len({len(volume) for volume in volumes}) > 1:
        counts = ", ".join(str(len(volume)) for volume in volumes)
        raise HalfscanError(f"{_named(frames)}: its echoes or temporal positions have {counts} slices: is one missing?")
    return volumes


def affine_mm(frames: Sequence[Frame]) -> npt.NDArray[np.float64] | None:
    """(3, 4) that takes (slice, row, column, 1) of a sorted stack to the patient's coordinates [mm]; None where it is not said.

    Source: DICOM PS3.3 C.7.6.2.1.1. One slice has its thickness for a step.
    """
    first, last = frames[0], frames[-1]
    if first.orientation is None or first.position_mm is None or last.position_mm is None or first.spacing_mm is None:
        return None
    along_row, down_column = np.array(first.orientation).reshape(2, 3)
    if not _directions(along_row, down_column) or min(first.spacing_mm) <= 0:
        return None
    start = np.array(first.position_mm)
    if len(frames) > 1:
        step = (np.array(last.position_mm) - start) / (len(frames) - 1)
    elif first.thickness_mm:
        step = np.cross(along_row, down_column) * first.thickness_mm
    else:
        return None
    between_rows, between_columns = first.spacing_mm
    return np.stack([step, down_column * between_rows, along_row * between_columns, start], axis=1)


def _named(frames: Sequence[Frame]) -> str:
    number = frames[0].series_number
    return f"{frames[0].file}: its series ({'' if number is None else f'number {number}, '}{len(frames)} images)"


def _normal(frames: Sequence[Frame]) -> npt.NDArray[np.float64]:
    """Direction in which slices follow each other, of images that are of one stack."""
    first = frames[0]
    if any(frame.orientation is None or frame.position_mm is None for frame in frames):
        raise HalfscanError(f"{_named(frames)}: ImagePositionPatient or ImageOrientationPatient is missing in some")
    directions = np.array([frame.orientation for frame in frames])
    if np.abs(directions - directions[0]).max() > _TILT:
        raise HalfscanError(
            f"{_named(frames)} lie in several directions, as a localiser's do: move it away, or name others by dataset.series"
        )
    row, column = directions[0].reshape(2, 3)
    if not _directions(row, column):
        raise HalfscanError(f"{_named(frames)}: ImageOrientationPatient is no pair of directions: is it whole?")
    described: dict[str, Callable[[Frame], object]] = {
        "matrix": lambda frame: (frame.pixels.rows, frame.pixels.columns),
        "PixelSpacing": lambda frame: frame.spacing_mm and tuple(round(one, 4) for one in frame.spacing_mm),
        "SliceThickness": lambda frame: frame.thickness_mm and round(frame.thickness_mm, 3),
        "phase-encoding direction": lambda frame: frame.phase,
    }
    for what, of in described.items():
        if any(of(frame) != of(first) for frame in frames):
            raise HalfscanError(f"{_named(frames)} differ in their {what}: they are not of one volume")
    if len({frame.patient for frame in frames}) > 1:
        raise HalfscanError(f"{_named(frames)} are of several patients by their headers: part them")
    return np.cross(row, column)


def _directions(row: npt.NDArray[np.float64], column: npt.NDArray[np.float64]) -> bool:
    """Whether two vectors are of length 1 and at right angles."""
    return bool(max(abs(row @ row - 1), abs(column @ column - 1), abs(row @ column)) <= 0.01)


def _place(frame: Frame, normal: npt.NDArray[np.float64]) -> float:
    return float(np.asarray(frame.position_mm) @ normal)


def _doubled(places: Sequence[float]) -> bool:
    return bool((np.diff(places) < _SAME_MM).any())


def _refuse_uneven(frames: Sequence[Frame], places: Sequence[float]) -> None:
    if _doubled(places):
        raise HalfscanError(
            f"{_named(frames)}: several lie at one position, and neither EchoNumbers nor TemporalPositionIdentifier tells "
            "them apart (copies, diffusion weightings, phases of a heartbeat): part them, or name others by dataset.series"
        )
    steps = np.diff(places)
    if steps.size and np.abs(steps - np.median(steps)).max() > max(_UNEVEN * float(np.median(steps)), 2 * _SAME_MM):
        raise HalfscanError(
            f"{_named(frames)} lie {steps.min():.4g} to {steps.max():.4g} mm apart: a slice is missing; "
            "restore it, or name others by dataset.series"
        )
