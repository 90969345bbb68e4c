"""How loud the noise of k-space is: what the data bring of it, or an estimate from the samples themselves."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_EDGE = 0.1
"""Share of the readout, at both of its ends together, whose samples are taken for noise."""
_RAYLEIGH_MEDIAN = math.sqrt(2 * math.log(2))


def noise_level(kspace: Tensor, noise_cov: Tensor | None) -> Tensor:
    """(slice,) standard deviation of the noise in a real or imaginary part of a sample, root mean square over the coils.

    Without a measured covariance the samples at the ends of the readout speak, by the median of their magnitudes (Rayleigh):
    there is little signal there, so that the estimate is somewhat high, by 4 % on simulated heads with an SNR of 70 and by
    13 % on a measured one. K-space that was filtered there is quieter than it seems.

    Args:
        kspace: (slice, coil, ky, kx), zero where not sampled.
        noise_cov: (coil, coil) covariance of the samples, None where nobody measured it.
    """
    if noise_cov is not None:
        variance = noise_cov.diagonal().real.mean() / 2
        return variance.sqrt().to(kspace.real.dtype).expand(len(kspace))
    return torch.stack([_estimate(one) for one in kspace])


def _estimate(kspace: Tensor) -> Tensor:
    # The largest byte: many times faster than `any`.
    measured = (kspace != 0).view(torch.uint8).flatten(0, 1).amax(0).nonzero()[:, 0]
    if not len(measured):
        return kspace.real.new_zeros(())
    # Zero-filled ends of the readout hold nothing, noise neither.
    first, last = int(measured.min()), int(measured.max()) + 1
    width = max(1, round((last - first) * _EDGE / 2))
    ends = torch.cat([kspace[..., first : first + width], kspace[..., last - width : last]], -1).abs()
    sampled = ends.amax(0) > 0
    medians = ends[:, sampled].median(-1).values / _RAYLEIGH_MEDIAN
    return medians.square().mean().sqrt()
