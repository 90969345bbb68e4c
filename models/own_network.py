"""A network from anywhere, named in YAML alone, trained and scored like those that come along."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from ..bench.errors import HalfscanError
from ..bench.network import NetworkInput, as_channels, as_complex
from .learned import Learned
from .residual_unet import on_padded

INPUTS = ("image", "data")


class ImageNetwork(nn.Module):
    """The zero-filled image through a module of two channels, real and imaginary part.

    Raises:
        HalfscanError: when called, the module gives something else.
    """

    def __init__(self, module: nn.Module, residual: bool, multiple: int) -> None:
        super().__init__()
        self.module, self._residual, self._multiple = module, residual, multiple

    def forward(self, data: NetworkInput) -> Tensor:
        image = data.zero_filled
        channels = as_channels(image)
        out = on_padded(self.module, channels, self._multiple).float()
        if out.shape != channels.shape:
            raise HalfscanError(f"model.module gives {tuple(out.shape)} for {tuple(channels.shape)}: it must keep the shape")
        return image + as_complex(out) if self._residual else as_complex(out)


@dataclass(frozen=True, kw_only=True)
class OwnNetwork(Learned):
    """Any `torch.nn.Module`.

    Raises:
        HalfscanError: a setting out of range, or weights that are not there; when built, the module can't be made.
    """

    module: Callable[[], nn.Module]
    """Makes the module (in YAML `_target_` with `_partial_: true`), with weights by torch's generator."""
    input: str = "image"
    """`image`: (slice, 2, ky, kx) → the same, real and imaginary part of the zero-filled image, whose peak is 1;
    `data`: `halfscan.bench.network.NetworkInput` → (slice, ky, kx) complex image."""
    residual: bool = True
    """Whether an image network's output is added to its input."""
    multiple: int = 16
    """What an image network's sizes must be multiples of: pictures are padded with zeros, and cropped again."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.input not in INPUTS:
            raise HalfscanError(f"model.input={self.input} is unknown: use {' or '.join(INPUTS)}")
        if self.multiple < 1:
            raise HalfscanError(f"model.multiple={self.multiple} must be at least 1")
        if not callable(self.module) or isinstance(self.module, nn.Module):
            raise HalfscanError("model.module must be made anew for every seed: give it _partial_: true")

    def make(self) -> nn.Module:
        try:
            module = self.module()
        except Exception as error:
            raise HalfscanError(f"model.module can't be made: {error}") from error
        if not isinstance(module, nn.Module):
            raise HalfscanError(f"model.module is a {type(module).__name__} and no torch.nn.Module")
        return ImageNetwork(module, self.residual, self.multiple) if self.input == "image" else module
