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


def mix(mixing: Tensor, coils: Tensor) -> Tensor:
    """(..., coil, ky, kx) → (..., new coil, ky, kx) by matrices (..., new coil, coil)."""
    mixed = mixing @ coils.flatten(-2)
    return mixed.reshape(*mixed.shape[:-1], *coils.shape[-2:])
