"""MONAI's U-Net on the zero-filled image: the first network, and the simplest."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn

from ..bench.errors import HalfscanError
from ..bench.operators import adjoint, centre_crop
from ..bench.reconstruction import ReconInput, ReconResult, Reconstructor
from ..bench.sampling.mask import Mask

_LEVELS = 4


class ResidualUNet(nn.Module):
    """x + U-Net(x), where the U-Net starts at zero: untrained, it returns its input."""

    def __init__(self, features: int) -> None:
        super().__init__()
        from monai.networks.nets import BasicUNet

        widths = tuple(features * factor for factor in (1, 1, 2, 4, 8, 1))
        self.unet = BasicUNet(spatial_dims=2, in_channels=2, out_channels=2, features=widths)
        nn.init.zeros_(self.unet.final_conv.weight)
        nn.init.zeros_(self.unet.final_conv.bias)

    def forward(self, image: Tensor) -> Tensor:
        """(slice, 2, ky, kx) → the same, any size: padded for the pooling and cropped again."""
        height, width = image.shape[-2:]
        step = 2**_LEVELS
        # Instance normalisation needs more than one pixel at the coarsest level.
        padding = [max(-(-size // step), 2) * step - size for size in (width, height)]
        padded = nn.functional.pad(image, (0, padding[0], 0, padding[1]))
        return image + self.unet(padded)[..., :height, :width]


@dataclass(frozen=True, kw_only=True)
class UNet:
    """U-Net on the zero-filled image, complex in and out, coils combined by maps; every slice normalised by its peak.

    Source: Ronneberger et al., MICCAI (2015), as `monai.networks.nets.BasicUNet`; Zbontar et al., arXiv:1811.08839, for its use
    as a baseline. Deviations: complex images as two channels, a residual, no data consistency.

    Raises:
        HalfscanError: a width below 1, or weights that are not there.
    """

    features: int = 16
    """Width of the first level."""
    weights: str | None = None
    """File of finished weights (safetensors); None: trained before the first cell that needs it."""
    network: nn.Module | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.features < 1:
            raise HalfscanError(f"model.features={self.features} must be at least 1")
        if self.weights is not None and not Path(self.weights).is_file():
            raise HalfscanError(f"model.weights={self.weights}: no such file; null trains them")

    @property
    def needs_maps(self) -> bool:
        return True

    def check(self, mask: Mask, coils: int) -> None:
        """Every mask and any number of coils will do."""

    def build(self, seed: int) -> nn.Module:
        """The untrained network; equal seeds give equal weights."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return ResidualUNet(self.features)

    def with_network(self, network: nn.Module) -> Reconstructor:
        """The same reconstruction with a trained network."""
        return replace(self, network=network)

    @cached_property
    def _ready(self) -> nn.Module:
        if self.network is not None:
            return self.network
        from ..bench.training import load_weights

        network = self.build(0).eval()
        if self.weights is not None:
            load_weights(network, Path(self.weights))
        return network

    def __call__(self, data: ReconInput) -> ReconResult:
        from ..bench.pipeline import as_channels, as_complex, peak

        assert data.maps is not None
        image = adjoint(data.kspace, data.maps, data.mask)
        scale = peak(image)
        with torch.no_grad():
            improved = as_complex(self._ready.to(image.device)(as_channels(image / scale)))
        # What was sampled of an empty slice is empty, whatever the network makes of zeros.
        improved = torch.where(image.abs().amax((-2, -1), keepdim=True) > 0, improved * scale, torch.zeros_like(improved))
        return ReconResult(image=centre_crop(improved, data.field_of_view), kind="complex", combination="mvue")
