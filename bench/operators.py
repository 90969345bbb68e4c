"""The linear operators of Cartesian MRI: centred FFT, coil sensitivities, sampling, and their adjoints.

Shapes: images (..., ky, kx); coil images and k-space (..., coil, ky, kx); sensitivity maps (..., coil, ky, kx); sampling
masks broadcast against k-space. Everything is complex64 or complex128 torch, on any device, batched over leading axes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

IMAGE_DIMS = (-2, -1)
COIL_DIM = -3


def to_kspace(image: Tensor, dims: Sequence[int] = IMAGE_DIMS) -> Tensor:
    """Centred, unitary FFT: image → k-space."""
    shifted = torch.fft.ifftshift(image, dim=tuple(dims))
    return torch.fft.fftshift(torch.fft.fftn(shifted, dim=tuple(dims), norm="ortho"), dim=tuple(dims))


def to_image(kspace: Tensor, dims: Sequence[int] = IMAGE_DIMS) -> Tensor:
    """Centred, unitary inverse FFT: k-space → image; the adjoint and the inverse of `to_kspace`."""
    shifted = torch.fft.ifftshift(kspace, dim=tuple(dims))
    return torch.fft.fftshift(torch.fft.ifftn(shifted, dim=tuple(dims), norm="ortho"), dim=tuple(dims))


def expand(image: Tensor, maps: Tensor) -> Tensor:
    """Image (..., ky, kx) → what each coil sees (..., coil, ky, kx)."""
    return maps * image.unsqueeze(COIL_DIM)


def combine(coil_images: Tensor, maps: Tensor) -> Tensor:
    """Adjoint of `expand`: coil images (..., coil, ky, kx) → image (..., ky, kx).

    With maps of unit norm over the coils this is the minimum-variance unbiased estimate (MVUE) for white noise.
    """
    return (maps.conj() * coil_images).sum(COIL_DIM)


def root_sum_of_squares(coil_images: Tensor) -> Tensor:
    """Coil images (..., coil, ky, kx) → real magnitude image (..., ky, kx)."""
    return torch.linalg.vector_norm(coil_images, dim=COIL_DIM)


def sample(kspace: Tensor, mask: Tensor) -> Tensor:
    """Zeroes what is not sampled; self-adjoint.

    A selection, not a product: NaN or infinity in an unsampled place must not leak through 0 · NaN.
    """
    return torch.where(mask, kspace, torch.zeros((), dtype=kspace.dtype, device=kspace.device))


def forward(image: Tensor, maps: Tensor, mask: Tensor) -> Tensor:
    """The encoding A = M F S: image (..., ky, kx) → sampled k-space (..., coil, ky, kx)."""
    return sample(to_kspace(expand(image, maps)), mask)


def adjoint(kspace: Tensor, maps: Tensor, mask: Tensor) -> Tensor:
    """Aᴴ = Sᴴ Fᴴ M: k-space (..., coil, ky, kx) → image (..., ky, kx)."""
    return combine(to_image(sample(kspace, mask)), maps)


def centre_crop(image: Tensor, size: tuple[int, int]) -> Tensor:
    """The central (ky, kx) part of an image; the centre pixel n//2 stays the centre pixel."""
    for dim, length in zip(IMAGE_DIMS, size, strict=True):
        n = image.shape[dim]
        if length > n:
            raise ValueError(f"can't crop {n} pixels to {length}")
        image = image.narrow(dim, n // 2 - length // 2, length)
    return image
