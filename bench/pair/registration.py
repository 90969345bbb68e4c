"""Where the candidate's pixels lie on the reference's: by both headers, and by the movement in the plane that is left.

Images are never resampled for a measurement, since interpolation smooths noise: it is positions that are carried over.
Resampled copies serve to find the movement alone, a rotation and a translation. Movement through the plane is not estimated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from ..acquisition import Images
from ..errors import HalfscanError

Array = npt.NDArray[np.float64]
Slice = TypeVar("Slice")
Shown = list[tuple[Array, Array]]
"""Slices of the reference, and the candidate's on the same pixels."""
AGREE = 0.8
"""Correlation below which two series don't show the same thing well enough to be compared."""
_TILT = 0.035
"""By which directions of two stacks may differ: 2°."""
_APART = 0.25
"""Of the reference's step: slices farther from each other don't show the same."""
_CONTENT = 0.1
"""Of the brightest slice's energy: slices below that show nothing."""
_UPSAMPLED = 20
"""Steps a pixel in which a translation is sought."""
_TURN_DEG, _TURN_STEP_DEG = 10.0, 0.05
"""How far a rotation is sought, and how finely."""
_GAIN = 0.2
"""Share of what correlation lacks to 1 that a rotation must remove to be believed."""
_FILTER = 1.0
"""Standard deviation of the filter through which both series are compared [px]."""
_COARSE = 192
"""Pixels a side, at most, of the images that a rotation is sought in."""
_MOST = 8
"""Slices that a movement is sought in, spread over the stack."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Registration:
    """The candidate brought onto the reference."""

    shift_mm: tuple[float, float]
    """Down the rows and along the columns, of the candidate's positions at the picture's middle: the median over slices."""
    rotation_deg: float
    """Of the candidate's positions about the picture's middle, from the rows' direction to the columns'."""
    spread_mm: float
    """Half the range between the quartiles of the slices' shifts, the larger of both directions."""
    apart_mm: float
    """By which slices that are compared lie apart, by their headers, at most."""
    correlation_before: float
    """Of both series' pixels, by their headers alone."""
    correlation: float
    """The same after the movement."""
    slices: tuple[tuple[int, int], ...]
    """(slice of the reference, of the candidate) that lie at one place."""
    to_reference: Array
    """(3, 4) that takes (slice, row, column, 1) of the candidate to (slice, row, column) of the reference."""
    reason: str | None
    """Why both series do not show the same thing; None: they do."""

    def as_dict(self) -> dict[str, object]:
        """For the record of a study."""
        return {
            "method": "positions of both headers, then the rotation and translation in the plane that correlate best",
            "shift_mm": list(self.shift_mm),
            "rotation_deg": self.rotation_deg,
            "spread_mm": self.spread_mm,
            "slices_apart_mm": self.apart_mm,
            "correlation_before": self.correlation_before,
            "correlation": self.correlation,
            "slices": len(self.slices),
            "reason": self.reason,
            "through_plane_mm": None,
            "through_plane_reason": "not estimated: slices are too thick for it",
        }


def with_content(slices: Sequence[Slice], energies: Sequence[float]) -> list[Slice]:
    """Those that show something, by their energies."""
    return [one for one, energy in zip(slices, energies, strict=True) if energy > _CONTENT * max(energies) > 0]


def overlap(reference: Images, candidate: Images) -> tuple[Array, list[tuple[int, int]]]:
    """By both headers: the (3, 4) that takes the candidate's indices to the reference's, and the slices that lie at one place.

    Raises:
        HalfscanError: positions that are not stated, directions that differ, or slices that don't overlap.
    """
    ours, theirs = reference.affine_mm, candidate.affine_mm
    if ours is None or theirs is None:
        raise HalfscanError(
            "a header does not say where its slices lie (ImagePositionPatient, ImageOrientationPatient, PixelSpacing, and of one "
            "slice SliceThickness)"
        )
    # NaN compares as false.
    if not _angle(ours, theirs) <= _TILT:
        raise HalfscanError("both series lie in other directions: scan them in the same")
    back = _followed(_inverse(ours), theirs)
    pairs = [(at, number) for at, number, apart in _nearest(reference, candidate, back) if apart <= _APART]
    if not pairs:
        raise HalfscanError("both series share no slice: theirs lie more than a quarter of a step apart")
    return back, pairs


def register(reference: Images, candidate: Images) -> Registration:
    """Finds the movement in the plane.

    Raises:
        HalfscanError: as `overlap` does.
    """
    back, pairs = overlap(reference, candidate)
    assert reference.affine_mm is not None
    step, *spacing = np.linalg.norm(reference.affine_mm[:, :3], axis=0)
    apart = max(apart for _, _, apart in _nearest(reference, candidate, back) if apart <= _APART) * float(step)
    spread_out = [pairs[at] for at in np.unique(np.linspace(0, len(pairs) - 1, _MOST).round().astype(int))]
    shown = [_both(reference, at, candidate, number, back) for at, number in spread_out]
    seen = with_content(shown, [min(float((one**2).sum()), float((two**2).sum())) for one, two in shown])
    if not seen:
        nothing: dict[str, float] = dict.fromkeys(("rotation_deg", "spread_mm", "correlation_before", "correlation"), 0.0)
        return Registration(
            shift_mm=(0.0, 0.0),
            apart_mm=apart,
            slices=tuple(pairs),
            to_reference=back,
            reason="one of both series is empty",
            **nothing,
        )
    before = _correlation(seen)
    rotation, movement, shifts, after, at_end = _movement(seen, np.array(spacing))
    if after <= before:
        rotation, movement, after = 0.0, np.eye(2, 3), before
    middle = (np.array(seen[0][0].shape) - 1) / 2
    down, along = (float(one) for one in (movement @ [*middle, 1] - middle) * spacing)
    quartiles = np.percentile(shifts, [25, 75], axis=0)
    in_plane = np.concatenate([[[1.0, 0.0, 0.0, 0.0]], np.insert(movement, 0, 0.0, axis=1)])
    reason = f"both series agree by a correlation of {after:.2f} alone, and {AGREE} is needed" if after < AGREE else None
    if at_end and rotation:
        reason = f"one of both series is turned by {_TURN_DEG:g}° or more"
    return Registration(
        shift_mm=(down, along),
        rotation_deg=rotation,
        spread_mm=float(((quartiles[1] - quartiles[0]) / 2 * spacing).max()),
        apart_mm=apart,
        correlation_before=before,
        correlation=after,
        slices=tuple(pairs),
        to_reference=_followed(in_plane, back),
        reason=reason,
    )


def _movement(seen: Shown, spacing: Array) -> tuple[float, Array, Array, float, bool]:
    """(rotation in degrees, (2, 3) in the plane, shifts of the slices, correlation, whether the rotation is at the end of those
    that are sought)."""
    from scipy.optimize import minimize_scalar

    coarse = _coarse(seen)
    found = minimize_scalar(
        lambda degrees: -_tried(coarse, spacing, degrees, 4)[2],
        bounds=(-_TURN_DEG, _TURN_DEG),
        method="bounded",
        options={"xatol": _TURN_STEP_DEG},
    )
    degrees = float(found.x)
    straight, turned = (_tried(seen, spacing, one, _UPSAMPLED) for one in (0.0, degrees))
    if 1 - turned[2] < (1 - _GAIN) * (1 - straight[2]):
        return degrees, *turned, abs(degrees) > _TURN_DEG - 0.5
    return 0.0, *straight, False


def _coarse(seen: Shown) -> Shown:
    """Block means, of images that are larger than a rotation needs."""
    factor = -(-max(seen[0][0].shape) // _COARSE)
    if factor == 1:
        return seen

    def means(image: Array) -> Array:
        rows, columns = (size // factor for size in image.shape)
        cut = image[: rows * factor, : columns * factor]
        blocks: Array = cut.reshape(rows, factor, columns, factor).mean((1, 3))
        return blocks

    return [(means(one), means(two)) for one, two in seen]


def _tried(seen: Shown, spacing: Array, degrees: float, upsampled: int) -> tuple[Array, Array, float]:
    """A rotation with the translation that fits it: (2, 3) in the plane, shifts of the slices, correlation."""
    movement = _turn(degrees, spacing, (np.array(seen[0][0].shape) - 1) / 2)
    shifts = _shifts([(one, _moved(two, movement)) for one, two in seen] if degrees else seen, upsampled)
    movement[:, 2] += np.median(shifts, axis=0)
    return movement, shifts, _correlation([(one, _moved(two, movement)) for one, two in seen])


def _turn(degrees: float, spacing: Array, middle: Array) -> Array:
    """The (2, 3) of pixels that rotates millimetres about the middle."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.array([[cosine, -sine], [sine, cosine]]) * spacing / spacing[:, None]
    return np.concatenate([matrix, (middle - matrix @ middle)[:, None]], axis=1)


def _moved(image: Array, movement: Array) -> Array:
    """An image whose every pixel's position has moved so."""
    from scipy.ndimage import affine_transform

    back = np.linalg.inv(movement[:, :2])
    moved: Array = affine_transform(image, back, -back @ movement[:, 2], order=1)
    return moved


def _shifts(seen: Shown, upsampled: int) -> Array:
    """(slices, 2) pixels by which the second of each must move to lie on the first."""
    from skimage.registration import phase_cross_correlation

    # Not whitened: noise would weigh as much as what is seen.
    return np.array([phase_cross_correlation(one, two, upsample_factor=upsampled, normalization=None)[0] for one, two in seen])


def _angle(ours: Array, theirs: Array) -> float:
    """The largest between directions of the same name, in radians."""
    with np.errstate(all="ignore"):
        one, two = (affine[:, :3] / np.linalg.norm(affine[:, :3], axis=0) for affine in (ours, theirs))
    return float(np.arccos(np.clip((one * two).sum(axis=0), -1, 1)).max())


def _inverse(affine: Array) -> Array:
    matrix = np.linalg.inv(affine[:, :3])
    return np.concatenate([matrix, -matrix @ affine[:, 3:]], axis=1)


def _followed(second: Array, first: Array) -> Array:
    """The (3, 4) of one after the other."""
    return np.concatenate([second[:, :3] @ first[:, :3], second[:, :3] @ first[:, 3:] + second[:, 3:]], axis=1)


def _nearest(reference: Images, candidate: Images, back: Array) -> list[tuple[int, int, float]]:
    """(slice of the reference, the candidate's nearest to it, how many of the reference's steps they lie apart)."""
    middle = [(size - 1) / 2 for size in candidate.stack.shape[1:]]
    places = np.array([(back @ [number, *middle, 1])[0] for number in range(candidate.stack.shape[0])])
    found = []
    for at in range(reference.stack.shape[0]):
        number = int(np.abs(places - at).argmin())
        found.append((at, number, float(abs(places[number] - at))))
    return found


def _both(reference: Images, at: int, candidate: Images, number: int, back: Array) -> tuple[Array, Array]:
    """A slice of the reference, and the candidate's on the same pixels by their headers; zero where either saw nothing."""
    from scipy.ndimage import affine_transform, gaussian_filter

    in_plane = np.linalg.inv(back[1:, 1:3])
    start = -in_plane @ (back[1:, 0] * number + back[1:, 3])
    ours, theirs = reference.plane(at), candidate.plane(number)

    def resampled(image: Array) -> Array:
        found: Array = affine_transform(image, in_plane, start, output_shape=ours.shape, order=1)
        return found

    # Beyond the candidate's field of view the reference would pull the translation towards its middle.
    seen = np.where(resampled(np.ones_like(theirs)) > 0.5, ours, 0.0)
    # Filtered alike: else whatever is interpolated has less noise, and agrees better for that alone.
    return gaussian_filter(seen, _FILTER), gaussian_filter(resampled(theirs), _FILTER)


def _correlation(seen: Sequence[tuple[Array, Array]]) -> float:
    """Pearson's, over all pixels of all slices."""
    ones, twos = (np.concatenate([both[at].ravel() for both in seen]) for at in range(2))
    spread = float(ones.std() * twos.std())
    return float(((ones - ones.mean()) * (twos - twos.mean())).mean() / spread) if spread else 0.0
