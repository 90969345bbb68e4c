"""Where the candidate's pixels lie on the reference's: by both headers, and by the movement in the plane that is left.

Images are never resampled for a measurement, since interpolation smooths noise: it is positions that are carried over.
Resampled copies serve to find the movement alone, a rotation and a translation. Movement through the plane is not estimated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..acquisition import Images
from ..errors import HalfscanError

Array = npt.NDArray[np.float64]
AGREE = 0.7
"""Correlation below which two series don't show the same thing well enough to carry a region over."""
_TILT = 0.035
"""By which directions of two stacks may differ: 2°."""
_CONTENT = 0.1
"""Of the brightest slice's energy: slices below that show nothing to align."""
_UPSAMPLED = 20
"""Steps a pixel in which a translation is sought."""
_TURN_DEG, _TURN_STEP_DEG = 10.0, 0.05
"""How far a rotation is sought, and how finely."""
_GAIN = 0.2
"""Share of what correlation lacks to 1 that a rotation must remove to be believed."""
_FILTER = 1.0
"""Standard deviation of the filter through which both series are compared [px]."""
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
    correlation_before: float
    """Of both series' pixels, by their headers alone."""
    correlation: float
    """The same after the movement."""
    slices: int
    """That were compared."""
    to_reference: Array
    """(3, 4) that takes (slice, row, column, 1) of the candidate to (slice, row, column) of the reference."""

    @property
    def agrees(self) -> bool:
        return self.correlation >= AGREE

    def as_dict(self) -> dict[str, object]:
        """For the record of a study."""
        return {
            "method": "positions of both headers, then the rotation and translation in the plane that correlate best",
            "shift_mm": list(self.shift_mm),
            "rotation_deg": self.rotation_deg,
            "spread_mm": self.spread_mm,
            "correlation_before": self.correlation_before,
            "correlation": self.correlation,
            "slices": self.slices,
            "through_plane_mm": None,
            "through_plane_reason": "not estimated: slices are too thick for it",
        }


def overlap(reference: Images, candidate: Images) -> tuple[Array, list[tuple[int, int]]]:
    """By both headers: the (3, 4) that takes the candidate's indices to the reference's, and the slices that lie at one place.

    Raises:
        HalfscanError: positions that are not stated, directions that differ, or slices that don't overlap.
    """
    ours, theirs = reference.affine_mm, candidate.affine_mm
    if ours is None or theirs is None:
        raise HalfscanError("a header does not say where its slices lie (ImagePositionPatient, ImageOrientationPatient)")
    if _angle(ours, theirs) > _TILT:
        raise HalfscanError("both series lie in other directions: scan them in the same")
    back = _followed(_inverse(ours), theirs)
    pairs = _overlapping(reference, candidate, back)
    if not pairs:
        raise HalfscanError("both series share no slice: they lie at other places of the patient")
    return back, pairs


def register(reference: Images, candidate: Images) -> Registration:
    """Finds the movement in the plane.

    Raises:
        HalfscanError: as `overlap` does.
    """
    from scipy.optimize import minimize_scalar

    back, pairs = overlap(reference, candidate)
    spread_out = [pairs[at] for at in np.unique(np.linspace(0, len(pairs) - 1, _MOST).round().astype(int))]
    shown = [_both(reference, at, candidate, number, back) for at, number in spread_out]
    energies = [min(float((one**2).sum()), float((two**2).sum())) for one, two in shown]
    seen = [both for both, energy in zip(shown, energies, strict=True) if energy > _CONTENT * max(energies) > 0]
    if not seen:
        # Nothing to see in one of them: nothing agrees.
        nothing: dict[str, float] = dict.fromkeys(("rotation_deg", "spread_mm", "correlation_before", "correlation"), 0.0)
        return Registration(shift_mm=(0.0, 0.0), slices=0, to_reference=back, **nothing)
    assert reference.affine_mm is not None
    spacing = np.linalg.norm(reference.affine_mm[:, 1:3], axis=0)
    middle = (np.array(seen[0][0].shape) - 1) / 2
    before = _correlation(seen)

    def tried(degrees: float, upsampled: int) -> tuple[float, Array, Array]:
        """(correlation, in-plane (2, 3), shifts of the slices) of a rotation with the translation that fits it."""
        turned = _turn(degrees, spacing, middle)
        rotated = [(one, _moved(two, turned)) for one, two in seen] if degrees else seen
        shifts = _shifts(rotated, upsampled)
        found = turned.copy()
        found[:, 2] += np.median(shifts, axis=0)
        return _correlation([(one, _moved(two, found)) for one, two in seen]), found, shifts

    best = minimize_scalar(
        lambda degrees: -tried(degrees, 4)[0],
        bounds=(-_TURN_DEG, _TURN_DEG),
        method="bounded",
        options={"xatol": _TURN_STEP_DEG},
    )
    straight, turned = tried(0.0, _UPSAMPLED), tried(float(best.x), _UPSAMPLED)
    believed = 1 - turned[0] < (1 - _GAIN) * (1 - straight[0])
    rotation, (after, found, shifts) = (float(best.x), turned) if believed else (0.0, straight)
    if after <= before:
        rotation, after, found = 0.0, before, np.eye(2, 3)
    at_middle = found @ [*middle, 1] - middle
    quartiles = np.percentile(shifts, [25, 75], axis=0)
    down, along = (float(one) for one in at_middle * spacing)
    in_plane = np.concatenate([[[1.0, 0.0, 0.0, 0.0]], np.insert(found, 0, 0.0, axis=1)])
    return Registration(
        shift_mm=(down, along),
        rotation_deg=rotation,
        spread_mm=float(((quartiles[1] - quartiles[0]) / 2 * spacing).max()),
        correlation_before=before,
        correlation=after,
        slices=len(seen),
        to_reference=_followed(in_plane, back),
    )


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


def _shifts(seen: Sequence[tuple[Array, Array]], upsampled: int) -> Array:
    """(slices, 2) pixels by which the second of each must move to lie on the first."""
    from skimage.registration import phase_cross_correlation

    # Not whitened: noise would weigh as much as what is seen.
    return np.array([phase_cross_correlation(one, two, upsample_factor=upsampled, normalization=None)[0] for one, two in seen])


def _angle(ours: Array, theirs: Array) -> float:
    """The largest between directions of the same name, in radians."""
    one, two = (affine[:, :3] / np.linalg.norm(affine[:, :3], axis=0) for affine in (ours, theirs))
    return float(np.arccos(np.clip((one * two).sum(axis=0), -1, 1)).max())


def _inverse(affine: Array) -> Array:
    matrix = np.linalg.inv(affine[:, :3])
    return np.concatenate([matrix, -matrix @ affine[:, 3:]], axis=1)


def _followed(second: Array, first: Array) -> Array:
    """The (3, 4) of one after the other."""
    return np.concatenate([second[:, :3] @ first[:, :3], second[:, :3] @ first[:, 3:] + second[:, 3:]], axis=1)


def _overlapping(reference: Images, candidate: Images, back: Array) -> list[tuple[int, int]]:
    """(slice of the reference, the candidate's nearest to it, within half a step)."""
    middle = np.array([(size - 1) / 2 for size in candidate.stack.shape[1:]])
    places = [float((back @ [number, *middle, 1])[0]) for number in range(candidate.stack.shape[0])]
    found = []
    for at in range(reference.stack.shape[0]):
        nearest = int(np.argmin([abs(place - at) for place in places]))
        if abs(places[nearest] - at) <= 0.5:
            found.append((at, nearest))
    return found


def _plane(images: Images, number: int) -> Array:
    return np.abs(images.stack.read({"slice": number})).astype(np.float64)


def _both(reference: Images, at: int, candidate: Images, number: int, back: Array) -> tuple[Array, Array]:
    """A slice of the reference, and the candidate's on the same pixels by their headers; zero where either saw nothing."""
    from scipy.ndimage import affine_transform, gaussian_filter

    in_plane = np.linalg.inv(back[1:, 1:3])
    start = -in_plane @ (back[1:, 0] * number + back[1:, 3])
    ours, theirs = _plane(reference, at), _plane(candidate, number)

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
