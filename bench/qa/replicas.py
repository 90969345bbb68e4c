"""Pseudo multiple replicas: a reconstruction of the same lines with new noise, many times → the noise of every pixel.

Source: Robson et al., Magn Reson Med 60:895 (2008). For a reconstruction that is linear the map is exact; for a network it is the
noise at this object and this noise level, and says nothing of bias: a constant image has infinite SNR, which is why brightness,
resolution and lesions stand beside it. Deviation: of complex images the noise in phase with the image is taken, not that of the
magnitude, which is smaller where there is little signal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Reconstruct = Callable[[Tensor], Tensor]
"""(slice, coil, ky, kx) sampled k-space → (slice, ky, kx) image; slices must not depend on each other."""

_SLICES_AT_ONCE = 16


@dataclass(frozen=True, kw_only=True, eq=False)
class NoiseMap:
    """Noise of a reconstruction."""

    mean: Tensor
    """(slice, ky, kx) of the replicas' images, as `in_phase` shows them."""
    standard_deviation: Tensor
    """(slice, ky, kx) of the same."""
    observed: Tensor
    """(replica, observer) what observers make of each replica's image."""


def in_phase(image: Tensor, reference: Tensor) -> Tensor:
    """The part of a complex image (..., slice, ky, kx) in phase with a reference (slice, ky, kx); a magnitude image as it is.

    Unlike a magnitude it lets noise cancel: the mean of noise is zero, and noise does not pass for signal.
    """
    return (image * torch.sgn(reference).conj()).real if image.is_complex() else image


def noise_map(
    reconstruct: Reconstruct,
    kspace: Tensor,
    mask: Tensor,
    noise_cov: Tensor,
    *,
    replicas: int,
    seed: int,
    observers: Sequence[Callable[[Tensor], Tensor]] = (),
) -> NoiseMap:
    """Reconstructs `replicas` times with added noise.

    Args:
        reconstruct: with everything but the k-space fixed.
        kspace: (slice, coil, ky, kx), zero where not sampled; free of noise where such data exist, since what a network makes
            of more noise on noisy data is not what it makes of noise.
        mask: broadcasts against k-space.
        noise_cov: (coil, coil) covariance of the k-space samples.
        replicas: at least 2; a map needs 800 or more, a median over an object 100.
        seed: of the noise, which is drawn over the full grid, so that masks share it.
        observers: (copy, slice, ky, kx) images → (copy,).
    """
    base = reconstruct(kspace)
    start = in_phase(base, base).double().cpu()
    total, squares = torch.zeros_like(start), torch.zeros_like(start)
    observed = []
    for noisy in _replicas(kspace, mask, noise_cov, replicas, seed):
        copies = noisy.shape[0]
        images = in_phase(reconstruct(noisy.flatten(0, 1)).reshape(copies, *base.shape), base).double().cpu()
        # Changes, not images: of a faint noise on a bright image the squares would leave rounding alone.
        change = images - start
        total += change.sum(0)
        squares += change.square().sum(0)
        observed += [torch.stack([observer(images) for observer in observers], dim=1)] if observers else []
    variance = (squares - total.square() / replicas) / (replicas - 1)
    return NoiseMap(
        mean=start + total / replicas,
        standard_deviation=variance.clamp(min=0).sqrt(),
        observed=torch.cat(observed) if observed else torch.zeros(replicas, 0, dtype=torch.float64),
    )


def _replicas(kspace: Tensor, mask: Tensor, noise_cov: Tensor, replicas: int, seed: int) -> Iterator[Tensor]:
    """(copies, slice, coil, ky, kx) noisy k-space, a few copies at a time."""
    generator = torch.Generator().manual_seed(seed)
    # Not Cholesky's root: a coil that stands twice, or is dead, makes the covariance singular.
    power, vectors = torch.linalg.eigh(noise_cov.to(torch.complex128).cpu())
    root = (vectors * power.clamp(min=0).sqrt()).to(torch.complex64)
    zero = torch.zeros((), dtype=torch.complex64)
    together = max(1, _SLICES_AT_ONCE // kspace.shape[0])
    for start in range(0, replicas, together):
        copies = min(together, replicas - start)
        white = torch.randn(copies, *kspace.shape, 2, generator=generator) / math.sqrt(2)
        coloured = torch.einsum("cd,rsdyx->rscyx", root, torch.view_as_complex(white))
        yield kspace + torch.where(mask.cpu(), coloured, zero).to(kspace.device)
