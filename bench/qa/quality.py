"""SNR, resolution and lesions of one volume, as metrics of the profile `qa`."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
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
from .replicas import noise_map
from .response import Template, lesion_templates, point_widths
from .sites import Site, object_mask, place_sites

FloatArray = npt.NDArray[np.float64]
NOWHERE = "no site fits into the object"
NO_NOISE = "the noise covariance of these data was not measured"


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
    digest: str
    """Of the k-space: the same sites and the same noise for every model at this volume."""


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """Measures nothing: the scores say so."""

    def measure(self, one: Volume) -> dict[str, Quantity]:
        return {}


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
    """Between them [pixels]."""
    point_amplitude: float = 0.5
    """Of the image at the site."""
    lesion_contrast: float = 0.2
    """Of the image at the site."""
    lesion_radius: float = 3.0
    """[pixels]"""

    def __post_init__(self) -> None:
        if self.replicas < 2:
            raise HalfscanError(f"qa.replicas={self.replicas} must be at least 2")
        if self.sites < 1 or self.spacing < 4:
            raise HalfscanError(f"qa.sites={self.sites} must be at least 1 and qa.spacing={self.spacing} at least 4")
        for name in ("point_amplitude", "lesion_contrast", "lesion_radius"):
            if not 0 < getattr(self, name) <= 100:
                raise HalfscanError(f"qa.{name}={getattr(self, name)} must be above 0, and at most 100")

    def measure(self, one: Volume) -> dict[str, Quantity]:
        """`metric@qa` → value: snr, fwhm [pixels], point_contrast, lesion_contrast, lesion_dprime.

        SNR is the median over the object, the others are medians over the sites.
        """
        truth = one.object_image.abs().double().cpu().numpy()
        inside = object_mask(truth)
        seed = int.from_bytes(hashlib.sha256(one.digest.encode()).digest()[:7], "big")
        sites = place_sites(inside, self.sites, self.spacing, margin=math.ceil(self.lesion_radius) + 1, seed=seed)
        local = np.array([truth[site.slice, site.y, site.x] for site in sites])
        base = _magnitude(one, one.data.kspace)
        templates = lesion_templates(truth.shape, sites, self.lesion_radius)
        lesions = _response(one, _lesions(truth.shape, templates, self.lesion_contrast * local), base)
        found = self._points(one, truth, base, sites, local) | self._lesion_contrast(lesions, templates, local)
        if one.data.noise_cov is None:
            return found | {name: Quantity.unmeasured("1", NO_NOISE) for name in ("snr@qa", "lesion_dprime@qa")}
        noise = noise_map(
            one.reconstruct,
            one.data.kspace,
            one.data.mask,
            one.data.noise_cov,
            replicas=self.replicas,
            seed=seed,
            observers=[partial(_observe, template) for template in templates],
        )
        deviation, spread = noise.standard_deviation.numpy(), noise.observed.numpy().std(axis=0, ddof=1)
        usable = inside & (deviation > 0)
        signal = np.array([template.product(lesions, template.observer) for template in templates])
        seen = spread > 0
        return found | {
            "snr@qa": _median(base[usable] / deviation[usable], "no pixel of the object has noise"),
            "lesion_dprime@qa": _median(signal[seen] / spread[seen], NOWHERE),
        }

    def _points(
        self, one: Volume, truth: FloatArray, base: FloatArray, sites: list[Site], local: FloatArray
    ) -> dict[str, Quantity]:
        amplitudes = self.point_amplitude * local
        points = np.zeros(truth.shape)
        for site, amplitude in zip(sites, amplitudes, strict=True):
            points[site.slice, site.y, site.x] = amplitude
        response = _response(one, points, base)
        heights = np.array([response[site.slice, site.y, site.x] for site in sites])
        widths = point_widths(response, sites, amplitudes, self.spacing // 2 - 1)
        return {
            "fwhm@qa": _median(widths, "no point's response has a width", "px"),
            "point_contrast@qa": _median(heights / amplitudes, NOWHERE),
        }

    def _lesion_contrast(self, lesions: FloatArray, templates: list[Template], local: FloatArray) -> dict[str, Quantity]:
        """Height of the response, fitted with the lesion's own shape, over the height that was put in."""
        heights = [template.product(lesions, template.values) / np.square(template.values).sum() for template in templates]
        return {"lesion_contrast@qa": _median(np.array(heights) / (self.lesion_contrast * local), NOWHERE)}


def _observe(template: Template, images: Tensor) -> Tensor:
    seen: Tensor = template.product(images, torch.from_numpy(template.observer))
    return seen


def _lesions(shape: tuple[int, ...], templates: list[Template], heights: FloatArray) -> FloatArray:
    added = np.zeros(shape)
    for template, height in zip(templates, heights, strict=True):
        added[template.plane, template.rows, template.columns] += height * template.values
    return added


def _response(one: Volume, added: FloatArray, base: FloatArray) -> FloatArray:
    """Magnitude image with a signal in phase with the object, less the one without."""
    signal = torch.from_numpy(added).to(one.object_image.real.dtype).to(one.object_image.device) * torch.sgn(one.object_image)
    return _magnitude(one, one.data.kspace + forward(signal, one.object_maps, one.data.mask)) - base


def _magnitude(one: Volume, kspace: Tensor) -> FloatArray:
    image: FloatArray = one.reconstruct(kspace).abs().double().cpu().numpy()
    return image


def _median(values: FloatArray, absent: str, unit: str = "1") -> Quantity:
    kept = values[np.isfinite(values)]
    if not kept.size:
        return Quantity.unmeasured(unit, absent)
    return Quantity(value=float(np.median(kept)), unit=unit, method="measured")
