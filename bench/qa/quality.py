"""SNR, resolution and lesions of one volume, as metrics of the profile `qa`."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..errors import HalfscanError
from ..operators import forward
from ..quantity import Quantity
from ..reconstruction import ReconInput
from .replicas import in_phase, noise_map
from .response import Template, lesion_templates, off_target, point_widths
from .sites import Site, object_mask, place_sites

FloatArray = npt.NDArray[np.float64]
NOWHERE = "no site fits into the object"
NO_NOISE = "the noise covariance of these data was not measured"
DEAF = "the image does not follow the noise of its data"
FAINT = "below an SNR of 4 a magnitude's own noise passes for signal"
LOWEST_SNR = 4.0
"""Where a magnitude is 3 % too bright by its own noise (Gudbjartsson and Patz, Magn Reson Med 34:910, 1995)."""
MISSED = 0.5
"""A lesion that keeps less than this share of its contrast is lost."""
ROUNDING = 1e-6
"""Of an image or a signal: what single precision leaves where nothing changed."""
DARKEST = 1e-3
"""Gain of a place that is shown black, so that contrast can be related to it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Volume:
    """What the measures need of one volume, its maps fixed."""

    data: ReconInput
    """Sampled k-space; all slices."""
    reconstruct: Callable[[Tensor], Tensor]
    """Sampled k-space → image on its scale, everything else as it was."""
    object_image: Tensor
    """(slice, ky, kx) complex image of the full data: where the object is, and its phase."""
    object_maps: Tensor
    """(slice, coil, ky, kx) sensitivities of the full data, through which known signals are put in."""
    noise_free: Tensor | None = None
    """Sampled k-space without noise, where it exists: what replicas are drawn about."""
    digest: str
    """Of the k-space: the same sites and the same noise for every model at this volume."""


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """Measures nothing."""


@dataclass(frozen=True, kw_only=True)
class Quality:
    """Puts points, lesions and noise into the sampled k-space, and looks at what the reconstruction makes of them.

    Raises:
        HalfscanError: a setting out of range.
    """

    replicas: int = 100
    """Reconstructions with new noise."""
    sites: int = 6
    """Points and lesions a slice, at most."""
    spacing: int = 16
    """Between them [pixels]; half of it caps the widths that can be told."""
    point_amplitude: float = 0.5
    """Of the image at the site."""
    lesion_contrast: float = 0.2
    """Of the image at the site."""
    lesion_radius: float = 3.0
    """[pixels]"""

    def __post_init__(self) -> None:
        if self.replicas < 2:
            raise HalfscanError(f"qa.replicas={self.replicas} must be at least 2")
        if self.sites < 1 or self.spacing < 12:
            raise HalfscanError(f"qa.sites={self.sites} must be at least 1 and qa.spacing={self.spacing} at least 12")
        for name in ("point_amplitude", "lesion_contrast", "lesion_radius"):
            if not 0 < getattr(self, name) <= 100:
                raise HalfscanError(f"qa.{name}={getattr(self, name)} must be above 0, and at most 100")
        if self.spacing < (needed := math.ceil(3 * self.lesion_radius + 1)):
            raise HalfscanError(
                f"qa.lesion_radius={self.lesion_radius} needs qa.spacing of at least {needed}, and it is {self.spacing}: "
                "lesions would lie in each other's patches"
            )

    def measure(self, one: Volume) -> dict[str, Quantity]:
        """`metric@qa` → value: bias, snr, fwhm [pixels], point_contrast, off_target, lesion_contrast, _missed, _dprime.

        SNR and bias are medians over the object, widths, contrasts and detectability medians over the sites.
        """
        truth = one.object_image.abs().double().cpu().numpy()
        inside = object_mask(truth)
        seed = int.from_bytes(hashlib.sha256(one.digest.encode()).digest()[:7], "big")
        sites = place_sites(inside, self.sites, self.spacing, margin=math.ceil(self.lesion_radius) + 1, seed=seed)
        local = np.array([truth[site.slice, site.y, site.x] for site in sites])
        base = one.reconstruct(one.data.kspace)
        templates = lesion_templates(truth.shape, sites, self.lesion_radius)
        shown = _real(base, base)
        gains = [template.product(shown, template.values) / template.product(truth, template.values) for template in templates]
        # Contrast is relative: what makes everything brighter makes nothing easier to see.
        expected = local * np.maximum(gains, DARKEST)
        lesions = _real(_change(one, _lesions(truth.shape, templates, self.lesion_contrast * local), base), base)
        found = self._points(one, base, sites, local, expected) | self._lesion_contrast(lesions, templates, expected)
        found["off_target@qa"] = self._off_target(one, base, dict(zip(sites, local, strict=True)))
        clean = one.data.kspace if one.noise_free is None else one.noise_free
        if one.data.noise_cov is None:
            image = one.reconstruct(clean)
            found["bias@qa"] = self._bias(_real(image, image), truth, inside)
            return found | {name: Quantity.unmeasured("1", NO_NOISE) for name in ("snr@qa", "lesion_dprime@qa")}
        noise = noise_map(
            one.reconstruct,
            clean,
            one.data.mask,
            one.data.noise_cov,
            replicas=self.replicas,
            seed=seed,
            observers=[partial(_observe, template) for template in templates],
        )
        exact = base.is_complex() and one.noise_free is not None
        spread = noise.observed.numpy().std(axis=0, ddof=1)
        return found | {
            "bias@qa": self._bias(noise.mean.numpy(), truth, inside),
            "snr@qa": _snr(truth[inside], noise.standard_deviation.numpy()[inside], exact),
            "lesion_dprime@qa": _dprime(lesions, spread, templates, self.lesion_contrast * local),
        }

    def _bias(self, image: FloatArray, truth: FloatArray, inside: npt.NDArray[np.bool_]) -> Quantity:
        """Share by which the brightness is off, each averaged over a lesion's size so that noise does not pass for it."""
        from scipy import ndimage

        size = (1, *2 * (2 * math.ceil(self.lesion_radius) + 1,))
        error = ndimage.uniform_filter(image - truth, size)[inside] / ndimage.uniform_filter(truth, size)[inside]
        return _median(np.abs(error))

    def _points(
        self, one: Volume, base: Tensor, sites: list[Site], local: FloatArray, expected: FloatArray
    ) -> dict[str, Quantity]:
        amplitudes = self.point_amplitude * local
        response = _real(_change(one, _dots(base, sites, amplitudes), base), base)
        heights = np.array([response[site.slice, site.y, site.x] for site in sites])
        widths = point_widths(response, sites, amplitudes, self._reach)
        lost = f"{np.isinf(widths).sum()} of {len(sites)} points have no width: their responses are too wide or too faint"
        return {
            "fwhm@qa": _median(widths, "px", unbounded=lost),
            "point_contrast@qa": _median(_recovered(heights / (self.point_amplitude * expected))),
        }

    def _off_target(self, one: Volume, base: Tensor, local: dict[Site, float]) -> Quantity:
        """Of one point a slice: among several, the ghost of one would hide where another lies."""
        alone = list({site.slice: site for site in reversed(local)}.values())
        change = _change(one, _dots(base, alone, [self.point_amplitude * local[site] for site in alone]), base)
        beyond = [off_target(change.abs().double().cpu().numpy(), alone, self._reach)] if alone else []
        return _median(beyond, unbounded="the points leave no response where they were put")

    @property
    def _reach(self) -> int:
        """Pixels around a site that belong to it."""
        return self.spacing // 2 - 1

    def _lesion_contrast(self, lesions: FloatArray, templates: list[Template], expected: FloatArray) -> dict[str, Quantity]:
        """Height of the response, fitted with the lesion's own shape, over the height that was put in."""
        heights = [template.product(lesions, template.values) / np.square(template.values).sum() for template in templates]
        contrasts = np.array(heights) / (self.lesion_contrast * expected)
        missed = [float((contrasts < MISSED).mean())] if templates else []
        return {
            "lesion_contrast@qa": _median(_recovered(contrasts)),
            "lesion_missed@qa": _median(missed),
        }


def _recovered(contrasts: FloatArray) -> FloatArray:
    """1 less the distance from what was put in: too much contrast is as wrong as too little."""
    return 1 - np.abs(1 - contrasts)


def _snr(truth: FloatArray, deviation: FloatArray, exact: bool) -> Quantity:
    """Median of the object's own signal over the image's noise: brightness that a model adds is no signal.

    Args:
        exact: neither the truth nor the image's noise is that of a magnitude with noise in it.
    """
    if np.median(deviation) <= ROUNDING * np.median(truth):
        return Quantity.unmeasured("1", DEAF)
    found = _median(np.divide(truth, deviation, out=np.full_like(truth, np.inf), where=deviation > 0), unbounded=DEAF)
    if not exact and found.value is not None and found.value < LOWEST_SNR:
        return Quantity.unmeasured("1", FAINT)
    return found


def _dprime(lesions: FloatArray, spread: FloatArray, templates: list[Template], heights: FloatArray) -> Quantity:
    """Median of what the observer sees of a lesion over the spread of what it sees of noise.

    A place that follows neither its lesion nor its noise is remembered: nothing is detected there.
    """
    signal = np.array([template.product(lesions, template.observer) for template in templates])
    least = ROUNDING * heights * np.array([np.square(template.observer).sum() for template in templates])
    unbounded = np.where(signal > least, np.inf, 0.0)
    return _median(np.divide(signal, spread, out=unbounded, where=spread > least), unbounded=DEAF)


def _observe(template: Template, images: Tensor) -> Tensor:
    seen: Tensor = template.product(images, torch.from_numpy(template.observer))
    return seen


def _lesions(shape: tuple[int, ...], templates: list[Template], heights: FloatArray) -> FloatArray:
    added = np.zeros(shape)
    for template, height in zip(templates, heights, strict=True):
        added[template.plane, template.rows, template.columns] += height * template.values
    return added


def _dots(base: Tensor, sites: Sequence[Site], heights: FloatArray | Sequence[float]) -> FloatArray:
    added = np.zeros(tuple(base.shape))
    for site, height in zip(sites, heights, strict=True):
        added[site.slice, site.y, site.x] = height
    return added


def _change(one: Volume, added: FloatArray, base: Tensor) -> Tensor:
    """Image with a signal in phase with the object, less the one without."""
    signal = torch.from_numpy(added).to(one.object_image.real.dtype).to(one.object_image.device) * torch.sgn(one.object_image)
    return one.reconstruct(one.data.kspace + forward(signal, one.object_maps, one.data.mask)) - base


def _real(image: Tensor, base: Tensor) -> FloatArray:
    found: FloatArray = in_phase(image, base).double().cpu().numpy()
    return found


def _median(values: FloatArray | Sequence[float], unit: str = "1", *, unbounded: str = NOWHERE) -> Quantity:
    """Median, null where there is no value, and where the median itself has no bound (`unbounded` says why)."""
    if not len(values):
        return Quantity.unmeasured(unit, NOWHERE)
    middle = float(np.median(values))
    return Quantity(value=middle, unit=unit, method="measured") if math.isfinite(middle) else Quantity.unmeasured(unit, unbounded)
