"""Pseudo multiple replicas: a reconstruction of the same lines with new noise, many times → the noise of every pixel.

Source: Robson et al., Magn Reson Med 60:895 (2008). For a reconstruction that is linear the map is exact; for a network it is the
noise at this object and this noise level, and says nothing of bias: a constant image has infinite SNR, which is why resolution
and lesions stand beside it.
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

    standard_deviation: Tensor
    """(slice, ky, kx) of the magnitude image."""
    observed: Tensor
    """(replica, observer) what observers make of each replica's magnitude image."""


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
        kspace: (slice, coil, ky, kx), zero where not sampled.
        mask: broadcasts against k-space.
        noise_cov: (coil, coil) covariance of the k-space samples.
        replicas: at least 2; a map needs 800 or more, a median over an object 100.
        seed: of the noise, which is drawn over the full grid, so that masks share it.
        observers: (copy, slice, ky, kx) images → (copy,).
    """
    total = torch.zeros(kspace.shape[0], *kspace.shape[2:], dtype=torch.float64)
    squares = torch.zeros_like(total)
    observed = []
    count = 0
    for noisy in _replicas(kspace, mask, noise_cov, replicas, seed):
        copies = noisy.shape[0]
        flat = reconstruct(noisy.flatten(0, 1)).abs().double().cpu()
        images = flat.reshape(copies, -1, *flat.shape[1:])
        if count == 0:
            total, squares = (torch.zeros(images.shape[1:], dtype=torch.float64) for _ in range(2))
        total += images.sum(0)
        squares += images.square().sum(0)
        count += copies
        observed += [torch.stack([observer(images) for observer in observers], dim=1)] if observers else []
    variance = (squares - total.square() / count) / (count - 1)
    return NoiseMap(
        standard_deviation=variance.clamp(min=0).sqrt(),
        observed=torch.cat(observed) if observed else torch.zeros(count, 0, dtype=torch.float64),
    )


def _replicas(kspace: Tensor, mask: Tensor, noise_cov: Tensor, replicas: int, seed: int) -> Iterator[Tensor]:
    """(copies, slice, coil, ky, kx) noisy k-space, a few copies at a time."""
    generator = torch.Generator().manual_seed(seed)
    root = torch.linalg.cholesky(noise_cov.to(torch.complex128).cpu()).to(torch.complex64)
    zero = torch.zeros((), dtype=torch.complex64)
    together = max(1, _SLICES_AT_ONCE // kspace.shape[0])
    for start in range(0, replicas, together):
        copies = min(together, replicas - start)
        white = torch.randn(copies, *kspace.shape, 2, generator=generator) / math.sqrt(2)
        coloured = torch.einsum("cd,rsdyx->rscyx", root, torch.view_as_complex(white))
        yield kspace + torch.where(mask.cpu(), coloured, zero).to(kspace.device)
