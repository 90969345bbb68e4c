"""The mask between an FFT and its inverse as a convolution, at lengths that FFTs like.

FᴴMF repeats after the matrix, whose size may be awkward for FFTs (230, 322, 372). For an object of limited extent any length
will do that keeps its ends apart.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_LARGEST_PRIME = 13
"""FFTs whose length has no larger prime factor are quick."""
_AWKWARD = 2.5
"""Others take about so many times as long: measured are 1.5 (272) to 8 (222), 2 at 368 and 4 to 5 at 230 and 322."""


class Convolution:
    """FᴴMF of a mask over the lines (ky,) or the plane (ky, kx).

    Source: the embedding of Toeplitz matrices in circulant ones, Fessler et al., IEEE Trans Signal Process 53:3393 (2005).
    """

    def __init__(self, mask: Tensor) -> None:
        self._kernel = torch.fft.ifftn(torch.fft.ifftshift(mask).to(torch.complex128))
        self._transfers: dict[tuple[int, ...], Tensor] = {}

    def lengths(self, extents: Sequence[int]) -> tuple[int, ...]:
        """Of the quickest FFTs along each axis for an object that reaches so far."""
        return tuple(fft_length(period, extent) for period, extent in zip(self._kernel.shape, extents, strict=True))

    def transfer(self, lengths: tuple[int, ...]) -> Tensor:
        """(*lengths, 2) transfer function for images that are zero-padded to these lengths, in the order of FFTs.

        Real, and given twice: for the real and the imaginary part, as torch takes its time over complex numbers.
        """
        if lengths not in self._transfers:
            kernel = self._kernel
            for axis, length in enumerate(lengths):
                period = kernel.shape[axis]
                if length != period:
                    # All that objects take which these lengths are for.
                    reach = (length - 1) // 2
                    lags = torch.arange(-reach, reach + 1, device=kernel.device)
                    padded = kernel.new_zeros(*kernel.shape[:axis], length, *kernel.shape[axis + 1 :])
                    kernel = padded.index_copy_(axis, lags % length, kernel.index_select(axis, lags % period))
            self._transfers[lengths] = torch.fft.fftn(kernel).real.float().unsqueeze(-1).repeat_interleave(2, -1)
        return self._transfers[lengths]


def fft_length(period: int, extent: int) -> int:
    """The quickest FFT to convolve `extent` samples with a kernel that repeats after `period`.

    Its period itself, or four to seven times a power of two that keep the first and the last sample apart: lengths between
    these, products of small primes too, take as long as the next of these (measured from 224 to 1024) or nearly so.
    """
    apart = 2 * extent - 1
    step = 2 ** max((apart - 1).bit_length() - 3, 0)
    apart = step * -(-apart // step)
    takes = period if _largest_prime(period) <= _LARGEST_PRIME else _AWKWARD * period
    return period if takes <= apart else apart


def _largest_prime(number: int) -> int:
    largest, factor = 1, 2
    while number > 1:
        if number % factor:
            factor += 1
        else:
            number, largest = number // factor, factor
    return largest
