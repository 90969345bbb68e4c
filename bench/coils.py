"""Coils that see one another's noise, and more of them than there is to see: prewhitening and compression."""

from __future__ import annotations

import torch
from torch import Tensor

from .errors import HalfscanError


def whitening(noise_cov: Tensor) -> Tensor:
    """(slice or 1, coil, coil) W with W Σ Wᴴ = σ² I, σ² the coils' mean variance: white noise of equal coils stays as it is.

    Source: Pruessmann et al., Magn Reson Med 46:638 (2001), appendix. Deviation: scaled to keep the mean variance, so that a
    Tikhonov weight means the same with it and without.

    Args:
        noise_cov: (coil, coil) or (slice, coil, coil) covariance of the k-space samples.

    Raises:
        HalfscanError: a covariance that is not positive definite.
    """
    covariance = (noise_cov if noise_cov.ndim == 3 else noise_cov[None]).to(torch.complex128)
    lower, failed = torch.linalg.cholesky_ex(covariance)
    if failed.any():
        raise HalfscanError("the noise covariance is not positive definite: measure it anew, or set model.prewhiten=false")
    unit = torch.eye(covariance.shape[-1], dtype=covariance.dtype, device=covariance.device)
    variance = covariance.diagonal(dim1=-2, dim2=-1).real.mean(-1)[:, None, None]
    inverse = torch.linalg.solve_triangular(lower, unit.expand_as(lower), upper=False)
    return (inverse * variance.sqrt()).to(torch.complex64)


def compression(kspace: Tensor, virtual_coils: int) -> Tensor:
    """(slice, virtual coil, coil) orthonormal rows: the combinations of coils that hold most of a slice's energy.

    Source: Huang et al., Magn Reson Imaging 26:133 (2008). Deviation: principal components of all sampled lines.

    Args:
        kspace: (slice, coil, ky, kx), zero where not sampled; whitened, so that noise counts alike in every direction.
        virtual_coils: how many are kept, at most the number of coils.
    """
    samples = kspace.flatten(2)
    # The eigenvectors of a slice without signal are arbitrary but finite.
    _, vectors = torch.linalg.eigh((samples @ samples.mH).to(torch.complex128))
    return vectors[..., -virtual_coils:].mH.to(kspace.dtype)


def fewer(maps: Tensor, negligible: float) -> Tensor:
    """(system, set, virtual coil, *space) maps with nearly the same AᴴA: rotated to where few coils hold all sensitivity.

    A rotation of the coils changes no AᴴA. Along a column sensitivities are smooth: of 8 to 32 coils around a head 6 or 7 are
    left. AᴴA changes by the power that is left out at most, and Aᴴy keeps all coils.

    Source: Zhang et al., Magn Reson Med 69:571 (2013), for data. Deviation: of the maps, and as many coils as are needed.

    Args:
        maps: (system, set, coil, *space).
        negligible: share of a system's power, that of its strongest virtual coil, that may be left out of any pixel.
    """
    coils = maps.movedim(2, 1).flatten(2)
    _, vectors = torch.linalg.eigh(coils @ coils.mH)
    rotated = (vectors.mH @ coils).view(*coils.shape[:2], maps.shape[1], *maps.shape[3:])
    # From the weakest coil on, as eigenvalues ascend: together they have no more than the sum of their largest powers.
    power = rotated.real.square().addcmul_(rotated.imag, rotated.imag).flatten(3).amax(3).sum(2)
    weak = power.cumsum(1) < negligible * power[:, -1:]
    # Each system leaves out its own, whichever others it came with.
    least = int(weak.sum(1).min())
    kept = rotated[:, least:]
    kept.masked_fill_(weak[:, least:].reshape(len(weak), -1, *[1] * (rotated.ndim - 2)), 0)
    return kept.movedim(1, 2)


def mix(mixing: Tensor, coils: Tensor) -> Tensor:
    """(..., coil, ky, kx) → (..., new coil, ky, kx) by matrices (..., new coil, coil)."""
    mixed = mixing @ coils.flatten(-2)
    return mixed.reshape(*mixed.shape[:-1], *coils.shape[-2:])
