"""What can be measured of two series without a truth: SNR and CNR in regions, and how blurred they look.

A region's SNR is its mean over its standard deviation, its CNR the difference of two means over the root mean square of both
standard deviations, as in the comparisons that shortened protocols were cleared by (SubtleMR, K191688). Structure inside a
region counts as noise, in both arms alike. A filter raises SNR: read it beside the blur, which noise in turn lowers.
Blur: Crété-Roffet et al., SPIE 6492:64920I, 2007, as `skimage.measure.blur_effect` has it, 0 sharp to 1 blurred, over the
slices and the rectangle that both series show: air around an object changes it as much as a filter does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..acquisition import Acquisition, Images
from ..quantity import Quantity
from .registration import Registration, with_content
from .tables import ARMS, Arm, Region

Array = npt.NDArray[np.float64]
Box = tuple[slice, slice]
SMALLEST = 16
"""Pixels of a region: the standard deviation of fewer is not known to 20 %."""
_SAME = 0.01
"""Share by which the sizes of both series' voxels may differ, and their volume."""
_ACQUIRED = 0.05
"""Share by which the sizes of the acquired pixels may: headers count lines in ways of their own."""
_WHOLE = 0.9
"""Share of a region that the candidate must show."""


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
    if registration.reason is not None:
        return registration.reason
    number = dict(registration.slices).get(region.slice)
    if number is None:
        return "the candidate has no slice within a quarter of a step of the region's"
    rows, columns = candidate.stack.shape[1:]
    down, along = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    matrix = registration.to_reference[1:]
    start = matrix[:, 0] * number + matrix[:, 3]
    row, column = (matrix[at, 1] * down + matrix[at, 2] * along + start[at] for at in range(2))
    inside = (row >= region.row - 0.5) & (row < region.row + region.height - 0.5)
    inside &= (column >= region.column - 0.5) & (column < region.column + region.width - 0.5)
    whole = region.height * region.width / abs(float(np.linalg.det(matrix[:, 1:3])))
    if inside.sum() < _WHOLE * whole - 1:
        return "the region lies partly outside the candidate's field of view"
    return Place(slice=number, inside=inside)


def patches(
    reference: Images, candidate: Images, registration: Registration, regions: Sequence[Region]
) -> dict[Arm, dict[str, Patch | str]]:
    """Every region in both series, each on its own pixels."""
    found: dict[Arm, dict[str, Patch | str]] = {arm: {} for arm in ARMS}
    for region in regions:
        for arm, place in places(reference, candidate, registration, region).items():
            images = reference if arm == "reference" else candidate
            found[arm][region.name] = place if isinstance(place, str) else _patch(images.plane(place.slice)[place.inside])
    return found


def _patch(values: Array) -> Patch | str:
    if values.size < SMALLEST:
        return f"a region of {values.size} pixels is too small for a standard deviation: {SMALLEST} are needed"
    deviation = float(values.std(ddof=1))
    if not deviation:
        return "a region without any variation has no SNR"
    return Patch(pixels=values.size, mean=float(values.mean()), deviation=deviation)


def scores(
    pair: Mapping[Arm, Acquisition], found: Mapping[Arm, Patches], regions: Sequence[Region], registration: Registration
) -> dict[Arm, dict[str, Quantity]]:
    """`snr@pair`, `cnr@pair` and `blur@pair` of both arms; what one arm lacks is null in both."""
    unlike = registration.reason or _unlike(pair)
    against = [(one.name, one.against) for one in regions if one.against]
    # Contrast that has turned round is no contrast kept: it has the reference's sign.
    signs = {both: _sign(found["reference"], *both) for both in against}
    scored: dict[Arm, dict[str, Quantity]] = {}
    for arm in ARMS:
        scored[arm] = {
            "snr@pair": _mean([_snr(found[arm][region.name]) for region in regions], "no region was drawn"),
            "cnr@pair": _mean(
                [_cnr(found[arm][one], found[arm][other], signs[one, other]) for one, other in against],
                "no region was drawn against another",
            ),
            "blur@pair": Quantity.unmeasured("1", unlike) if unlike else _blur(_common(pair, arm, registration)),
        }
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
    if _apart(ours, theirs) > _SAME or abs(math.prod(ours) / math.prod(theirs) - 1) > _SAME:
        return f"voxels of {_sized(ours)} and {_sized(theirs)} mm: SNR and blur of unlike voxels don't compare"
    acquired = [images.acquired_mm for arm in ARMS if (images := pair[arm].images) is not None]
    if None not in acquired and _apart(*acquired) > _ACQUIRED:  # type: ignore[arg-type]
        said = " and ".join(_sized(one) for one in acquired if one is not None)
        return f"acquired pixels of {said} mm, interpolated to one size: SNR and blur don't compare"
    return None


def _apart(one: Sequence[float], other: Sequence[float]) -> float:
    return max(abs(ours / theirs - 1) for ours, theirs in zip(one, other, strict=True))


def _sized(size: Sequence[float]) -> str:
    return " × ".join(f"{side:.3g}" for side in size)


def _voxel(acquisition: Acquisition) -> tuple[float, float, float] | None:
    """(slice thickness, between rows, between columns) [mm]."""
    images, size = acquisition.images, acquisition.voxel_mm
    if images is None or images.affine_mm is None or size is None:
        return None
    rows, columns = np.linalg.norm(images.affine_mm[:, 1:3], axis=0)
    return size[0], float(rows), float(columns)


def _snr(patch: Patch | str) -> float | str:
    return patch if isinstance(patch, str) else patch.mean / patch.deviation


def _sign(found: Patches, one: str, other: str) -> float:
    ours, theirs = found[one], found[other]
    return 1.0 if isinstance(ours, str) or isinstance(theirs, str) else math.copysign(1.0, ours.mean - theirs.mean)


def _cnr(one: Patch | str, other: Patch | str, sign: float) -> float | str:
    if isinstance(one, str) or isinstance(other, str):
        return one if isinstance(one, str) else str(other)
    return sign * (one.mean - other.mean) / math.sqrt((one.deviation**2 + other.deviation**2) / 2)


def _mean(values: Sequence[float | str], none: str) -> Quantity:
    """Over regions; one that is missing leaves no mean."""
    reason = next((value for value in values if isinstance(value, str)), None if values else none)
    if reason is not None:
        return Quantity.unmeasured("1", reason)
    return Quantity(value=math.fsum(map(float, values)) / len(values), unit="1", method="measured")


def _common(pair: Mapping[Arm, Acquisition], arm: Arm, registration: Registration) -> list[Array]:
    """What both series show, a slice each, on one's own pixels."""
    ours, theirs = (images.stack.shape[1:] for one in ARMS if (images := pair[one].images) is not None)
    matrix = registration.to_reference[1:]
    # Directions agree to 2°, and a head turns little: the rectangle is that of both axes.
    scale = np.diag(matrix[:, 1:3])
    found = []
    for at, number in registration.slices:
        middle = (np.array(theirs) - 1) / 2
        centre = matrix @ [number, *middle, 1]
        first, last = centre - scale * middle, centre + scale * middle
        low, high = np.maximum(first, 0), np.minimum(last, np.array(ours) - 1)
        if arm == "candidate":
            low, high = (low - first) / scale, (high - first) / scale
        box = tuple(slice(round(float(a)), round(float(b)) + 1) for a, b in zip(low, high, strict=True))
        images = pair[arm].images
        assert images is not None
        found.append(images.plane(at if arm == "reference" else number)[box])
    return found


def _blur(planes: Sequence[Array]) -> Quantity:
    """Mean over the slices that show something."""
    from skimage.measure import blur_effect

    if min(min(one.shape) for one in planes) < SMALLEST:
        return Quantity.unmeasured("1", "both series share too small a field of view")
    shown = with_content(planes, [float((one**2).sum()) for one in planes])
    if not shown:
        return Quantity.unmeasured("1", "the series is empty")
    return Quantity(value=float(np.mean([blur_effect(one) for one in shown])), unit="1", method="measured")
