"""E2E-VarNet with the weights that fastMRI's authors publish: their U-Net inside our loop."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..bench.errors import HalfscanError
from ..bench.reconstruction import Combination
from .varnet import CombinedVarNet, VarNet
from .varnet_network import NormalisedUNet, Sensitivities, VariationalNetwork

_SLOPE = 0.2
_RENAMED = (("sens_net.norm_unet.", "coil_sensitivity_model.conv_net."), ("cascades.", "cascades."))
_AROUND = ("varnet.", "module.")
"""What training frameworks put before a weight's name."""
_FIRST = "down_sample_layers.0.layers.0.weight"


class FastMriUNet(nn.Module):
    """The U-Net of fastMRI's VarNet, with its weights' names: (batch, 2, y, x) → the same.

    Source: github.com/facebookresearch/fastMRI (MIT), `fastmri/models/unet.py`; sizes here are multiples of 2^pools.

    Args:
        features: width of the first level; each below is twice as wide.
        pools: levels below the first.
    """

    def __init__(self, features: int, pools: int) -> None:
        super().__init__()
        widths = [features << level for level in range(pools + 1)]
        self.down_sample_layers = nn.ModuleList(
            [_Block(2 if level == 0 else widths[level - 1], widths[level]) for level in range(pools)]
        )
        self.conv = _Block(widths[-2] if pools else 2, widths[-1])
        ups = list(reversed(widths[:-1]))
        self.up_transpose_conv = nn.ModuleList([_Up(2 * width, width) for width in ups])
        blocks: list[nn.Module] = [_Block(2 * width, width) for width in ups]
        # The last level ends in the output, and its weights lie a name deeper.
        self.up_conv = nn.ModuleList([*blocks[:-1], nn.Sequential(blocks[-1], nn.Conv2d(features, 2, kernel_size=1))])

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for down in self.down_sample_layers:
            x = down(x)
            skips.append(x)
            x = F.avg_pool2d(x, 2)
        x = self.conv(x)
        for up, block in zip(self.up_transpose_conv, self.up_conv, strict=True):
            x = block(torch.cat([up(x), skips.pop()], 1))
        return x


class _Normalised(nn.Module):
    """Instance normalisation and leaky ReLU, without weights."""

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu_(F.instance_norm(x), _SLOPE)


class _Block(nn.Module):
    """Two convolutions; the places between them are those of the published file (normalisation, activation, dropout)."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(before, after, kernel_size=3, padding=1, bias=False),
            _Normalised(),
            nn.Identity(),
            nn.Identity(),
            nn.Conv2d(after, after, kernel_size=3, padding=1, bias=False),
            _Normalised(),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out


class _Up(nn.Module):
    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.ConvTranspose2d(before, after, kernel_size=2, stride=2, bias=False), _Normalised())

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out


@dataclass(frozen=True, kw_only=True)
class FastMriVarNet(VarNet):
    """E2E-VarNet as `fastmri.models.VarNet`, whose published weights `halfscan weights convert` turns into safetensors.

    Source: Sriram et al., MICCAI (2020), arXiv:2004.06688. They were trained on magnitude images (root sum of squares) of
    k-space with twice oversampled readouts; other data are not what they know.

    Raises:
        HalfscanError: a setting out of range, or weights that are not there.
    """

    shipped: ClassVar[str | None] = None

    cascades: int = 12
    """Unrolled steps, each with a U-Net of its own."""
    features: int = 18
    """Width of their first level."""
    map_features: int = 8
    """Width of the U-Net that makes maps."""
    pools: int = 4
    """Levels of a step's U-Net below its first."""
    map_pools: int = 4
    """Of the U-Net that makes maps."""
    combination: Combination = "rss"
    """How its coil images become one: `rss` as published, or by ESPIRiT's maps."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("pools", "map_pools"):
            if not 1 <= getattr(self, name) <= 4:
                raise HalfscanError(f"model.{name}={getattr(self, name)} must lie between 1 and 4")

    def make(self) -> nn.Module:
        def unet(features: int, pools: int) -> NormalisedUNet:
            return NormalisedUNet(FastMriUNet(features, pools), FastMriUNet.__call__, correction=1)

        maps = Sensitivities(unet(self.map_features, self.map_pools), apart=False)
        return CombinedVarNet(VariationalNetwork((unet(self.features, self.pools) for _ in range(self.cascades)), maps))

    def converted(self, state: Mapping[str, Tensor]) -> tuple[dict[str, int], dict[str, Tensor]]:
        """The settings that published weights were made with, and the weights under the names that they have here.

        Args:
            state: fastMRI's state dict of a VarNet.

        Raises:
            HalfscanError: it is of another network.
        """
        named: dict[str, Tensor] = {}
        for name, value in state.items():
            bare = re.sub(rf"^({'|'.join(map(re.escape, _AROUND))})+", "", name)
            for theirs, ours in _RENAMED:
                if bare.startswith(theirs):
                    named[f"varnet.{ours}{bare.removeprefix(theirs)}"] = value.float().contiguous()
        cascades = {int(found[1]) for name in named if (found := re.match(r"varnet\.cascades\.(\d+)\.", name))}
        units = {"": "varnet.cascades.0.model.unet.", "map_": "varnet.coil_sensitivity_model.conv_net.unet."}
        if cascades != set(range(len(cascades))) or any(f"{unit}{_FIRST}" not in named for unit in units.values()):
            raise HalfscanError(f"the weights are not those of fastMRI's VarNet: {len(named)} of {len(state)} have its names")
        settings = {"cascades": len(cascades)}
        for prefix, unit in units.items():
            settings[f"{prefix}features"] = len(named[f"{unit}{_FIRST}"])
            levels = {
                name.removeprefix(f"{unit}down_sample_layers.").split(".")[0] for name in named if name.startswith(f"{unit}down")
            }
            settings[f"{prefix}pools"] = len(levels)
        named |= {f"varnet.cascades.{index}.zeros": torch.zeros(1, 1, 1, 1, 1) for index in cascades}
        return settings, named
