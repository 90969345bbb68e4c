"""Where the candidate's pixels lie on the reference's: by both headers, and by the translation in the plane that is left.

Images are never resampled for a measurement, since interpolation smooths noise: it is positions that are carried over.
Resampled copies serve to find the translation alone. Rotations and movement through the plane are not estimated.
"""

from __future__ import annotations

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


@dataclass(frozen=True, kw_only=True, eq=False)
class Registration:
    """The candidate brought onto the reference."""

    shift_mm: tuple[float, float]
    """Down the rows and along the columns, added to the candidate's positions: the median over slices."""
    spread_mm: float
    """Half the range between the quartiles of the slices' shifts, the larger of both directions."""
    correlation_before: float
    """Of both series' pixels, by their headers alone."""
    correlation: float
    """The same after the translation."""
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
            "method": "positions of both headers, then a translation in the plane by cross-correlation (median over slices)",
            "shift_mm": list(self.shift_mm),
            "spread_mm": self.spread_mm,
            "correlation_before": self.correlation_before,
            "correlation": self.correlation,
            "slices": self.slices,
            "rotation": None,
            "rotation_reason": "not estimated: a translation in the plane alone",
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
    """Finds the translation in the plane.

    Raises:
        HalfscanError: as `overlap` does.
    """
    back, pairs = overlap(reference, candidate)
    from skimage.registration import phase_cross_correlation

    shown = [_both(reference, at, candidate, number, back) for at, number in pairs]
    energies = [min(float((one**2).sum()), float((two**2).sum())) for one, two in shown]
    seen = [both for both, energy in zip(shown, energies, strict=True) if energy > _CONTENT * max(energies) > 0]
    if not seen:
        # Nothing to see in one of them: nothing agrees.
        nothing: dict[str, float] = dict.fromkeys(("spread_mm", "correlation_before", "correlation"), 0.0)
        return Registration(shift_mm=(0.0, 0.0), slices=0, to_reference=back, **nothing)
    # Not whitened: noise would weigh as much as what is seen.
    shifts = np.array([phase_cross_correlation(one, two, upsample_factor=_UPSAMPLED, normalization=None)[0] for one, two in seen])
    shift = np.median(shifts, axis=0)
    before, after = (_correlation(seen, by) for by in (np.zeros(2), shift))
    if after <= before:
        shift, after = np.zeros(2), before
    assert reference.affine_mm is not None
    spacing = np.linalg.norm(reference.affine_mm[:, 1:3], axis=0)
    moved = back.copy()
    moved[1:, 3] += shift
    quartiles = np.percentile(shifts, [25, 75], axis=0)
    down, along = (float(one) for one in shift * spacing)
    return Registration(
        shift_mm=(down, along),
        spread_mm=float(((quartiles[1] - quartiles[0]) / 2 * spacing).max()),
        correlation_before=before,
        correlation=after,
        slices=len(seen),
        to_reference=moved,
    )


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
    from scipy.ndimage import affine_transform

    in_plane = np.linalg.inv(back[1:, 1:3])
    start = -in_plane @ (back[1:, 0] * number + back[1:, 3])
    ours, theirs = _plane(reference, at), _plane(candidate, number)

    def resampled(image: Array) -> Array:
        found: Array = affine_transform(image, in_plane, start, output_shape=ours.shape, order=1)
        return found

    # Beyond the candidate's field of view the reference would pull the translation towards its middle.
    return np.where(resampled(np.ones_like(theirs)) > 0.5, ours, 0.0), resampled(theirs)


def _correlation(seen: list[tuple[Array, Array]], shift: Array) -> float:
    """Pearson's, over all pixels of all slices."""
    from scipy.ndimage import shift as moved

    ones = np.concatenate([one.ravel() for one, _ in seen])
    twos = np.concatenate([(moved(two, shift, order=1) if shift.any() else two).ravel() for _, two in seen])
    spread = float(ones.std() * twos.std())
    return float(((ones - ones.mean()) * (twos - twos.mean())).mean() / spread) if spread else 0.0
