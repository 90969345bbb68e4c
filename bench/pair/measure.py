"""What can be measured of two series without a truth: SNR and CNR in regions, and how blurred they look.

A region's SNR is its mean over its standard deviation, its CNR the difference of two means over the root mean square of both
standard deviations, as in the comparisons that shortened protocols were cleared by (SubtleMR, K191688). Structure inside a
region counts as noise, in both arms alike. A filter raises SNR: read it beside the blur, which noise in turn lowers.
Blur: Crété-Roffet et al., SPIE 6492:64920I, 2007, as `skimage.measure.blur_effect` has it, 0 sharp to 1 blurred.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..acquisition import Acquisition, Images
from ..quantity import Quantity
from .registration import AGREE, Registration
from .tables import ARMS, Arm, Region

Array = npt.NDArray[np.float64]
SMALLEST = 16
"""Pixels of a region: the standard deviation of fewer is not known to 20 %."""
_SAME = 0.02
"""Share by which the sizes of both series' voxels may differ."""
_CONTENT = 0.1


@dataclass(frozen=True, kw_only=True)
class Patch:
    """A region in one series."""

    pixels: int
    mean: float
    deviation: float


Patches = Mapping[str, Patch | str]
"""Region → what was found there, or why nothing was."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Place:
    """Where a region lies in one series."""

    slice: int
    inside: npt.NDArray[np.bool_]
    """(row, column) pixels whose centres lie in it."""


def places(reference: Images, candidate: Images, registration: Registration, region: Region) -> dict[Arm, Place | str]:
    """A region's pixels in both series, or why it has none in one."""
    inside = np.zeros(reference.stack.shape[1:], bool)
    inside[region.row : region.row + region.height, region.column : region.column + region.width] = True
    return {
        "reference": Place(slice=region.slice, inside=inside),
        "candidate": _carried(candidate, registration, region),
    }


def _carried(candidate: Images, registration: Registration, region: Region) -> Place | str:
    if not registration.agrees:
        said = f"both series agree by a correlation of {registration.correlation:.2f} alone"
        return f"{said}: {AGREE} is needed to carry a region over"
    slices, rows, columns = candidate.stack.shape
    middle = ((rows - 1) / 2, (columns - 1) / 2)
    heights = [float((registration.to_reference @ [number, *middle, 1])[0]) for number in range(slices)]
    nearest = int(np.argmin([abs(height - region.slice) for height in heights]))
    if abs(heights[nearest] - region.slice) > 0.5:
        return "the candidate has no slice within half a slice's step of the region's"
    down, along = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    matrix = registration.to_reference[1:]
    start = matrix[:, 0] * nearest + matrix[:, 3]
    row, column = (matrix[at, 1] * down + matrix[at, 2] * along + start[at] for at in range(2))
    inside = (row >= region.row - 0.5) & (row < region.row + region.height - 0.5)
    inside &= (column >= region.column - 0.5) & (column < region.column + region.width - 0.5)
    return Place(slice=nearest, inside=inside)


def patches(
    reference: Images, candidate: Images, registration: Registration, regions: Sequence[Region]
) -> dict[Arm, dict[str, Patch | str]]:
    """Every region in both series, each on its own pixels."""
    found: dict[Arm, dict[str, Patch | str]] = {arm: {} for arm in ARMS}
    for region in regions:
        for arm, place in places(reference, candidate, registration, region).items():
            images = reference if arm == "reference" else candidate
            found[arm][region.name] = place if isinstance(place, str) else _patch(plane(images, place.slice)[place.inside])
    return found


def _patch(values: Array) -> Patch | str:
    if values.size < SMALLEST:
        return f"a region of {values.size} pixels is too small for a standard deviation: {SMALLEST} are needed"
    deviation = float(values.std(ddof=1))
    if not deviation:
        return "a region without any variation has no SNR"
    return Patch(pixels=values.size, mean=float(values.mean()), deviation=deviation)


def scores(
    pair: Mapping[Arm, Acquisition], found: Mapping[Arm, Patches], regions: Sequence[Region]
) -> dict[Arm, dict[str, Quantity]]:
    """`snr@pair`, `cnr@pair` and `blur@pair` of both arms; what one arm lacks is null in both."""
    unlike = _unlike(pair)
    scored: dict[Arm, dict[str, Quantity]] = {}
    for arm in ARMS:
        scored[arm] = {
            "snr@pair": _mean([_snr(found[arm][region.name]) for region in regions], "no region was drawn"),
            "cnr@pair": _mean(
                [_cnr(found[arm][one.name], found[arm][one.against]) for one in regions if one.against],
                "no region was drawn against another",
            ),
        }
    images = {arm: pair[arm].images for arm in ARMS}
    for arm, one in images.items():
        assert one is not None
        scored[arm]["blur@pair"] = Quantity.unmeasured("1", unlike) if unlike else _blur(one)
    for name in scored["reference"]:
        reasons = [unlike] if unlike else [why for arm in ARMS if (why := scored[arm][name].reason)]
        if reasons:
            for arm in ARMS:
                scored[arm][name] = Quantity.unmeasured("1", reasons[0])
    return scored


def _unlike(pair: Mapping[Arm, Acquisition]) -> str | None:
    """Why neither SNR nor blur of both series compare."""
    sizes = {arm: _voxel(pair[arm]) for arm in ARMS}
    ours, theirs = (sizes[arm] for arm in ARMS)
    if ours is None or theirs is None:
        return "a header does not say how large its voxels are"
    if any(abs(one / two - 1) > _SAME for one, two in zip(ours, theirs, strict=True)):
        said = " and ".join(" × ".join(f"{side:.3g}" for side in size) for size in (ours, theirs))
        return f"voxels of {said} mm: SNR and blur of unlike voxels don't compare"
    return None


def _voxel(acquisition: Acquisition) -> tuple[float, float, float] | None:
    """(slice thickness, between rows, between columns) [mm]."""
    images, size = acquisition.images, acquisition.voxel_mm
    if images is None or images.affine_mm is None or size is None:
        return None
    rows, columns = np.linalg.norm(images.affine_mm[:, 1:3], axis=0)
    return size[0], float(rows), float(columns)


def _snr(patch: Patch | str) -> float | str:
    return patch if isinstance(patch, str) else patch.mean / patch.deviation


def _cnr(one: Patch | str, other: Patch | str) -> float | str:
    if isinstance(one, str) or isinstance(other, str):
        return one if isinstance(one, str) else str(other)
    return abs(one.mean - other.mean) / math.sqrt((one.deviation**2 + other.deviation**2) / 2)


def _mean(values: Sequence[float | str], none: str) -> Quantity:
    """Over regions; one that is missing leaves no mean."""
    reason = next((value for value in values if isinstance(value, str)), None if values else none)
    if reason is not None:
        return Quantity.unmeasured("1", reason)
    return Quantity(value=math.fsum(map(float, values)) / len(values), unit="1", method="measured")


def _blur(images: Images) -> Quantity:
    """Mean over the slices that show something."""
    from skimage.measure import blur_effect

    planes = range(images.stack.shape[0])
    energies = [float((plane(images, number) ** 2).sum()) for number in planes]
    shown = [number for number, energy in zip(planes, energies, strict=True) if energy > _CONTENT * max(energies) > 0]
    if not shown:
        return Quantity.unmeasured("1", "the series is empty")
    values: list[Any] = [blur_effect(plane(images, number)) for number in shown]
    return Quantity(value=float(np.mean(values)), unit="1", method="measured")


def plane(images: Images, number: int) -> Array:
    """(row, column) magnitudes of one slice."""
    return np.abs(images.stack.read({"slice": number})).astype(np.float64)
