"""MoDL: one denoising U-Net, used again and again between exact data consistencies."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..bench.errors import HalfscanError
from ..bench.network import NetworkInput
from .data_consistency import Consistency
from .learned import Learned
from .residual_unet import ResidualUNet
from .withheld import noise_factor

_LEAST, _MOST = 1e-5, 1e2
"""Bounds of λ: single precision inverts the systems of a column above the first."""
_QUIETEST = 1e-5


class UnrolledDenoiser(nn.Module):
    """x ← argmin ‖A x − y‖² + λ ‖x − D(x)‖², from SENSE on; λ and D know how loud the noise is."""

    def __init__(self, features: int, iterations: int) -> None:
        super().__init__()
        self.iterations = iterations
        self.denoise = ResidualUNet(features, norm=None, told=1)
        # λ = (σ / τ)²: τ is what the denoiser leaves, in shares of the peak.
        self.log_weight = nn.Parameter(torch.tensor(7.0))
        self.log_power = nn.Parameter(torch.tensor(2.0))

    def forward(self, data: NetworkInput) -> Tensor:
        assert data.maps is not None
        level = data.noise.clamp(min=_QUIETEST).log()
        weight = (self.log_weight + self.log_power * level).exp().clamp(_LEAST, _MOST)
        solve = Consistency(data.kspace, data.mask, data.maps, weight)
        told = (level / 5 + 1)[:, None, None]
        image = solve(torch.zeros_like(data.maps[:, 0]))
        for _ in range(self.iterations):
            image = solve(self.denoise(image, told))
        return image


@dataclass(frozen=True, kw_only=True)
class Modl(Learned):
    """Model-based deep learning with a weight-shared U-Net.

    Source: Aggarwal et al., IEEE Trans Med Imaging 38:394 (2019). Deviations: a U-Net without normalisation where the paper has
    five layers; λ follows the noise (σ to a learned power near 2), and the denoiser is told it; data consistency is exact.

    Raises:
        HalfscanError: a setting out of range, or weights that are not there.
    """

    shipped: ClassVar[str | None] = "modl"
    at_work: ClassVar[tuple[str, ...]] = (*Learned.at_work, "calibrate")

    features: int = 24
    """Width of the U-Net's first level."""
    iterations: int = 6
    """Times that the denoiser is used."""
    calibrate: bool = False
    """Whether λ and the denoiser take the noise for as loud as lets the network predict withheld lines best; one level for slices
    that are reconstructed together."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("features", "iterations"):
            if getattr(self, name) < 1:
                raise HalfscanError(f"model.{name}={getattr(self, name)} must be at least 1")

    def prepared(self, given: NetworkInput) -> NetworkInput:
        """With the noise as the network had better take it."""
        if not self.calibrate:
            return given
        with torch.no_grad():
            return replace(given, noise=given.noise * noise_factor(self.ready.to(given.kspace.device), given))

    def make(self) -> nn.Module:
        return UnrolledDenoiser(self.features, self.iterations)
