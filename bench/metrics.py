"""Image metrics, each named with the profile that fixes its convention: a score without it means nothing.

A metric is a pure function of (truth, image) and gives one value a volume; aggregation lives in `claims`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .errors import HalfscanError
from .quantity import Quantity
from .reconstruction import Combination, check_combination

Volume = npt.NDArray[np.floating]
"""(slice, ky, kx) magnitude."""

SSIM_WINDOW = 7


def nmse(truth: Volume, image: Volume) -> float:
    """‖truth − image‖² / ‖truth‖² over the volume."""
    # Not by a norm: BLAS adds in an order that hangs on the number of its threads.
    return _power(truth - image) / _power(truth)


def psnr(truth: Volume, image: Volume) -> float:
    """Peak signal-to-noise ratio over the volume [dB], peak = the truth's maximum."""
    from skimage.metrics import peak_signal_noise_ratio

    return float(peak_signal_noise_ratio(truth, image, data_range=truth.max()))


def ssim(truth: Volume, image: Volume) -> float:
    """Mean over slices of the structural similarity: uniform 7 × 7 window, K1 0.01, K2 0.03, range = volume maximum."""
    from skimage.metrics import structural_similarity

    peak = truth.max()
    slices = [
        structural_similarity(reference, candidate, win_size=SSIM_WINDOW, data_range=peak)
        for reference, candidate in zip(truth, image, strict=True)
    ]
    return float(np.mean(slices))


def _power(volume: Volume) -> float:
    return float(np.square(volume, dtype=np.float64).sum())


def nmse_object(truth: Volume, image: Volume) -> float:
    """NMSE over the pixels of the object alone: background noise neither helps nor hurts."""
    inside = object_mask(truth)
    return nmse(truth[inside], image[inside])


def object_mask(truth: Volume) -> npt.NDArray[np.bool_]:
    """(slice, ky, kx) where the object is: above 10% of the maximum, closed by 3 pixels, holes filled."""
    from scipy import ndimage

    def one(bright: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        return np.asarray(ndimage.binary_fill_holes(ndimage.binary_closing(bright, iterations=3)) | bright)

    return np.stack([one(reference > 0.1 * truth.max()) for reference in truth])


METRICS: Mapping[str, tuple[Callable[[Volume, Volume], float], str]] = {
    "ssim": (ssim, "1"),
    "psnr": (psnr, "dB"),
    "nmse": (nmse, "1"),
    "nmse_object": (nmse_object, "1"),
}
"""Name → function and unit. All profiles score these."""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """The convention of a score.

    Formulas and crop are those of fastMRI's `evaluate`: centre crop to a square of the image's width, which for
    fastMRI is the phase-encode axis, and the maximum taken after cropping. Deviation: where the other axis is shorter,
    fastMRI raises; here it stays whole.

    Raises:
        HalfscanError: an unknown truth combination.
    """

    name: str
    truth: Combination
    """How the truth's coils are combined; a candidate combined otherwise is marked."""

    def __post_init__(self) -> None:
        check_combination(self.truth, f"metrics.{self.name}.truth")

    def score(self, truth: Volume, image: Volume) -> dict[str, Quantity]:
        """All metrics of one volume, keyed `metric@profile`; None with a reason where one is not defined.

        Args:
            truth: (slice, ky, kx) magnitude.
            image: magnitude of the same shape.
        """
        reason = _unscorable(truth, image)
        cropped = [_crop(volume.astype(np.float64)) for volume in (truth, image)]
        scores = {}
        for metric, (function, unit) in METRICS.items():
            name = f"{metric}@{self.name}"
            small = metric == "ssim" and min(cropped[0].shape[1:]) < SSIM_WINDOW
            if reason or small:
                why = reason or f"the image {cropped[0].shape[1:]} is smaller than the {SSIM_WINDOW} pixel window"
                scores[name] = Quantity.unmeasured(unit, why)
                continue
            with np.errstate(divide="ignore"):
                value = function(cropped[0], cropped[1])
            if math.isfinite(value):
                scores[name] = Quantity(value=value, unit=unit, method="measured")
            else:
                scores[name] = Quantity.unmeasured(unit, "the image equals the truth: PSNR is infinite")
        return scores


def _unscorable(truth: Volume, image: Volume) -> str | None:
    if truth.shape != image.shape:
        raise HalfscanError(f"the reconstruction has the shape {image.shape} and the truth {truth.shape}: they must agree")
    if not np.isfinite(image).all():
        return "the reconstruction holds NaN or infinity"
    if not truth.any():
        return "the truth is all zeros"
    return None


def _crop(volume: Volume) -> Volume:
    width = volume.shape[-2]
    readout = volume.shape[-1]
    if readout <= width:
        return volume
    # fastMRI's start: (n - width) // 2
    start = (readout - width) // 2
    return volume[..., start : start + width]


def metric_names(profiles: Sequence[Profile]) -> list[str]:
    """`metric@profile` for all of them, in the order of the table."""
    return [f"{metric}@{profile.name}" for profile in profiles for metric in METRICS]
