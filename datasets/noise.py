"""Noise that a scan was preceded by, as its covariance between coils."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..bench.acquisition import ComplexArray
from ..bench.errors import HalfscanError


def noise_covariance(noise: npt.NDArray[np.complexfloating]) -> npt.NDArray[np.complex128]:
    """(coil, coil) E[n nᴴ] of (coil, sample) noise; of a receiver's noise the mean is zero, and nothing is subtracted."""
    values = noise.astype(np.complex128)
    return values @ values.conj().T / values.shape[1]


def checked_covariance(file: Path, name: str, covariance: npt.NDArray[np.complex128]) -> ComplexArray:
    """A noise covariance, if it is one.

    Raises:
        HalfscanError: not Hermitian and positive definite.
    """
    power = np.linalg.eigvalsh(covariance)
    symmetric = np.allclose(covariance, covariance.conj().T, rtol=1e-4, atol=1e-6 * abs(power[-1]))
    if not symmetric or power[0] <= 1e-7 * power[-1]:
        raise HalfscanError(
            f"{file}: the covariance of {name} is not Hermitian and positive definite: some coils carry no noise of their own"
        )
    return covariance.astype(np.complex64)
