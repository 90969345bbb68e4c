"""A U-Net that corrects an image: what it adds starts at zero."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..bench.network import as_channels, as_complex

_LEVELS = 4


class ResidualUNet(nn.Module):
    """x + U-Net(x) on complex images, as MONAI's `BasicUNet`; untrained, it returns its input.

    Args:
        features: width of the first level; those below are 1, 2, 4 and 8 times as wide.
        norm: MONAI's name of a normalisation, None for none. Instance normalisation forgets how loud an image is.
        told: channels of real pictures that go in beside the image.
    """

    def __init__(self, features: int, norm: str | None = "instance", told: int = 0) -> None:
        super().__init__()
        from monai.networks.nets import BasicUNet

        self.unet = BasicUNet(
            spatial_dims=2,
            in_channels=2 + told,
            out_channels=2,
            features=tuple(features * factor for factor in (1, 1, 2, 4, 8, 1)),
            norm=(norm, {"affine": True}) if norm else None,
        ).to(memory_format=torch.channels_last)
        nn.init.zeros_(self.unet.final_conv.weight)
        nn.init.zeros_(self.unet.final_conv.bias)

    def forward(self, image: Tensor, *told: Tensor) -> Tensor:
        """(slice, ky, kx) complex → the same, any size: padded for the pooling and cropped again.

        Args:
            image: complex.
            told: (slice, ky, kx) real, or what broadcasts to it.
        """
        channels = torch.cat([as_channels(image), *(one.expand(image.shape).unsqueeze(-3) for one in told)], dim=-3)
        return image + as_complex(on_padded(self.unet, channels, 2**_LEVELS).float())


def on_padded(module: nn.Module, channels: Tensor, step: int) -> Tensor:
    """A module's output for (slice, channel, y, x) of any size, which it gets padded with zeros to multiples of `step`."""
    height, width = channels.shape[-2:]
    # Instance normalisation needs more than one pixel at the coarsest level.
    padding = [max(-(-size // step), 2) * step - size for size in (width, height)]
    padded = nn.functional.pad(channels, (0, padding[0], 0, padding[1])).contiguous(memory_format=torch.channels_last)
    out: Tensor = module(padded)
    return out[..., :height, :width]
