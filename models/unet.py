"""MONAI's U-Net on the zero-filled image: the first network, and the simplest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from ..bench.errors import HalfscanError
from ..bench.network import NetworkInput
from .learned import Learned
from .residual_unet import ResidualUNet


class ImageUNet(nn.Module):
    """The zero-filled image, corrected."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.correct = ResidualUNet(features)

    def forward(self, data: NetworkInput) -> Tensor:
        return self.correct(data.zero_filled)


@dataclass(frozen=True, kw_only=True)
class UNet(Learned):
    """U-Net on the zero-filled image, complex in and out, coils combined by maps; every slice normalised by its peak.

    Source: Ronneberger et al., MICCAI (2015), as `monai.networks.nets.BasicUNet`; Zbontar et al., arXiv:1811.08839, for its use
    as a baseline. Deviations: complex images as two channels, a residual, no data consistency.

    Raises:
        HalfscanError: a width below 1, or weights that are not there.
    """

    shipped: ClassVar[str | None] = "unet"

    features: int = 16
    """Width of the first level."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.features < 1:
            raise HalfscanError(f"model.features={self.features} must be at least 1")

    def make(self) -> nn.Module:
        return ImageUNet(self.features)
