"""What parallel imaging costs in noise beyond the shorter scan: the geometry factor of unregularised SENSE, exactly."""

from __future__ import annotations

import torch
from torch import Tensor

from .coils import mix, whitening
from .errors import NotApplicable

_SINGULAR = 1e-10
"""Eigenvalues below this share of the largest are zeros: maps of single precision tell nothing smaller."""


def g_factor(maps: Tensor, mask: Tensor, noise_cov: Tensor | None = None) -> Tensor:
    """g = σ / (σ_full √R) of each pixel, R the acceleration that the mask achieves.

    Source: Pruessmann et al., Magn Reson Med 42:952 (1999), whose folded pixels are what a regular mask leaves of the system
    here. Deviation: any mask of whole lines will do, calibration lines included, as each column's Hermitian system is
    inverted whole. Regularised or learned reconstructions have no such number: `qa=standard` measures their noise.

    Args:
        maps: (slice, coil, ky, kx), zero where there is no object.
        mask: (ky, 1) bool.
        noise_cov: (coil, coil); None for white noise of equal coils.

    Returns:
        (slice, ky, kx) float32, 1 where nothing is lost, infinite where the coils can't tell folded pixels apart, 0 outside
        the object.

    Raises:
        NotApplicable: a mask over the plane, which leaves no columns.
    """
    if mask.shape[-1] != 1:
        raise NotApplicable("an analytic g-factor needs a mask of whole lines: measure the noise instead, with qa=standard")
    white = (maps if noise_cov is None else mix(whitening(noise_cov), maps)).to(torch.complex128)
    height = mask.shape[0]
    lines = mask[:, 0].nonzero()[:, 0].double()
    pixels = torch.arange(height, dtype=torch.float64, device=maps.device)
    waves = torch.exp(2j * torch.pi / height * torch.outer(pixels, lines)) / height**0.5
    folding = waves @ waves.mH
    result = torch.zeros(maps.shape[0], *maps.shape[2:], dtype=torch.float32, device=maps.device)
    for slice_maps, into in zip(white, result, strict=True):
        for column in (slice_maps != 0).any(0).any(0).nonzero()[:, 0].tolist():
            seen = (slice_maps[..., column] != 0).any(0)
            one = slice_maps[:, seen, column]
            system = (one.mH @ one) * folding[seen][:, seen]
            share = len(lines) / height
            into[seen, column] = (_variance(system) * one.abs().square().sum(0) * share).sqrt().float()
    return result


def _variance(system: Tensor) -> Tensor:
    """(pixel,) diagonal of the inverse, infinite for the pixels that a singular system mixes up, and for no others."""
    lower, failed = torch.linalg.cholesky_ex(system)
    if not failed:
        variance = torch.cholesky_inverse(lower).diagonal().real
        if variance.max() * system.diagonal().real.max() * _SINGULAR < 1:
            return variance
    values, vectors = torch.linalg.eigh(system)
    lost, parts = values <= _SINGULAR * values[-1], vectors.abs().square()
    variance = (parts[:, ~lost] / values[~lost]).sum(1)
    return torch.where(parts[:, lost].sum(1) > _SINGULAR, torch.inf, variance)
