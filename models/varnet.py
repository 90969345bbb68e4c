"""The end-to-end variational network: unrolled steps that learn maps, data consistency and image from one another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from ..bench.errors import HalfscanError, NotApplicable
from ..bench.network import NetworkInput, network_input
from ..bench.operators import combine
from ..bench.reconstruction import Combination, ReconInput, ReconResult, check_combination, from_coils
from ..bench.sampling.mask import Mask
from .learned import Learned, restored, slice_by_slice, with_samples
from .varnet_network import Sensitivities, VariationalNetwork, monai_unet


class CombinedVarNet(nn.Module):
    """The network's coil images, combined by maps that it did not make: what it learns is the phase, too."""

    def __init__(self, varnet: VariationalNetwork) -> None:
        super().__init__()
        self.varnet = varnet

    def coil_images(self, data: NetworkInput) -> Tensor:
        """(slice, coil, ky, kx) complex."""
        images: Tensor = self.varnet.coil_images(data.kspace, data.mask, data.acs)
        return images

    def forward(self, data: NetworkInput) -> Tensor:
        assert data.maps is not None
        return combine(self.coil_images(data), data.maps)


@dataclass(frozen=True, kw_only=True)
class VarNet(Learned):
    """E2E-VarNet.

    Source: Sriram et al., MICCAI (2020), arXiv:2004.06688. Its network has the weights' names and the outputs of
    `monai.apps.reconstruction`'s VariationalNetworkModel. Deviation: trained towards the complex image that sensitivity maps
    combine, not towards the SSIM of a root sum of squares.

    Raises:
        HalfscanError: a setting out of range, or weights that are not there.
    """

    shipped: ClassVar[str | None] = "varnet"

    cascades: int = 8
    """Unrolled steps, each with a U-Net of its own."""
    features: int = 8
    """Width of their first level."""
    map_features: int = 4
    """Width of the U-Net that makes maps."""
    combination: Combination = "mvue"
    """How its coil images become one: by ESPIRiT's maps, or `rss` as published."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_combination(self.combination, "model.combination")
        for name in ("cascades", "features", "map_features"):
            if getattr(self, name) < 1:
                raise HalfscanError(f"model.{name}={getattr(self, name)} must be at least 1")

    @property
    def needs_maps(self) -> bool:
        return self.combination == "mvue"

    def check(self, mask: Mask, coils: int) -> None:
        """Refuses masks without a centre: the network makes its maps from the ACS lines.

        Raises:
            NotApplicable: no ACS lines.
        """
        if mask.acs is None:
            raise NotApplicable("model=varnet makes its maps from the ACS lines and there are none: raise sampling.acs_lines")

    def make(self) -> nn.Module:
        maps = Sensitivities(monai_unet(self.map_features))
        return CombinedVarNet(VariationalNetwork((monai_unet(self.features) for _ in range(self.cascades)), maps))

    def __call__(self, data: ReconInput) -> ReconResult:
        given = network_input(data)
        network = self.ready.to(data.kspace.device)
        assert isinstance(network, CombinedVarNet)
        images = slice_by_slice(network.coil_images, given, self.turns)
        if self.keep_samples:
            images = with_samples(images, given)
        return from_coils(restored(images, given), data, self.combination)
