"""What all simulated data share: rendering without inverse crime, background phase, coloured noise of a stated level."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..bench.acquisition import ComplexArray

if TYPE_CHECKING:
    from torch import Tensor

FINER = 2
"""The truth is rendered on a grid this much finer, then cropped in k-space: no inverse crime."""


def render(coil_images: npt.NDArray[np.complexfloating], matrix: tuple[int, int]) -> ComplexArray:
    """Fine coil images (coil, y, x) → k-space (coil, ky, kx) of a coarser matrix, as a scanner would sample it."""
    from ..bench.operators import centre_crop, to_kspace

    fine = coil_images.shape[-2] * coil_images.shape[-1]
    kspace = centre_crop(to_kspace(_tensor(coil_images)), matrix)
    # A unitary FFT of more pixels spreads the same image over more samples.
    return np.asarray(kspace.numpy() * np.sqrt(matrix[0] * matrix[1] / fine), dtype=np.complex64)


def smooth_phase(shape: tuple[int, int], x: float, y: float, xyy: float) -> npt.NDArray[np.complex64]:
    """(ky, kx) unit phasors: linear along both axes and one cubic term, in multiples of π at the edges."""
    v, u = (np.linspace(-1, 1, n) for n in shape)
    phase = np.pi * (x * u[None] + y * v[:, None] + xyy * u[None] * v[:, None] ** 2)
    return np.exp(1j * phase).astype(np.complex64)


def noise_covariance(noise_free: ComplexArray, snr: float, correlation: float) -> ComplexArray:
    """(coil, coil) covariance of the k-space noise.

    Args:
        noise_free: (slice, coil, ky, kx) k-space.
        snr: peak of the root sum of squares over the noise standard deviation of one channel [1].
        correlation: between neighbouring coils [1].
    """
    from ..bench.operators import root_sum_of_squares, to_image

    peak = float(root_sum_of_squares(to_image(_tensor(noise_free))).max())
    n = noise_free.shape[1]
    neighbours = np.eye(n, k=1) + np.eye(n, k=-1)
    if n > 2:
        neighbours[0, -1] = neighbours[-1, 0] = 1  # the loops stand on a ring
    correlated = np.eye(n) + correlation * neighbours
    return (correlated * (peak / snr) ** 2).astype(np.complex64)


def coloured_noise(covariance: ComplexArray, shape: tuple[int, ...], rng: np.random.Generator) -> ComplexArray:
    """(slice, coil, ky, kx) complex Gaussian noise of a (coil, coil) covariance."""
    draws = rng.standard_normal((*shape, 2), dtype=np.float32).view(np.complex64)[..., 0] / np.sqrt(np.float32(2))
    return np.einsum("cd,sdyx->scyx", np.linalg.cholesky(covariance), draws, optimize=True).astype(np.complex64)


def _tensor(array: npt.NDArray[np.complexfloating]) -> Tensor:
    import torch

    return torch.from_numpy(np.ascontiguousarray(array))
