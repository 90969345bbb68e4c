"""What all learned reconstructions share: weights from a file or a training, and the way from samples to an image."""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from ..bench.errors import HalfscanError
from ..bench.network import NetworkInput, network_input
from ..bench.operators import centre_crop, combine, expand, to_image, to_kspace
from ..bench.reconstruction import ReconInput, ReconResult
from ..bench.sampling.mask import Mask
from ..bench.training.weights import SHIPPED, load_weights

_FOLDER = Path(__file__).parent / "weights"


@dataclass(frozen=True, kw_only=True)
class Learned:
    """A reconstruction by a network: `NetworkInput` → complex image, combined by sensitivity maps.

    Raises:
        HalfscanError: weights that are not there.
    """

    shipped: ClassVar[str | None] = None
    """Name of the weights that come with the model, in `models/weights`."""
    at_work: ClassVar[tuple[str, ...]] = ("keep_samples", "turns")
    """Settings that no training depends on."""

    weights: str | None = None
    """File of finished weights (safetensors), or `shipped`; None: trained before the first cell that needs them."""
    keep_samples: bool = False
    """Whether sampled lines stay as they were measured, with their noise, and the network fills in the others alone: what a truth
    with noise of its own wants, and a reader who trusts samples more than networks."""
    turns: int = 1
    """Phases of the receiver, even around the circle, at which the network sees the data; its images are averaged. To networks on
    real and imaginary parts these are other scans of the same object, and their errors differ; each costs a run."""
    network: nn.Module | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.turns < 1:
            raise HalfscanError(f"model.turns={self.turns} must be at least 1")
        if self.weights == SHIPPED:
            if self.shipped is None:
                raise HalfscanError(f"model.weights=shipped: none come with {type(self).__name__}; null trains them")
            object.__setattr__(self, "weights", str(_FOLDER / f"{self.shipped}.safetensors"))
        if self.weights is not None and not Path(self.weights).is_file():
            raise HalfscanError(f"model.weights={self.weights}: no such file; null trains them")

    @property
    def needs_maps(self) -> bool:
        return True

    def check(self, mask: Mask, coils: int) -> None:
        """Every mask and any number of coils will do."""

    def make(self) -> nn.Module:
        """The network with whatever weights torch's generator gives it."""
        raise NotImplementedError(f"{type(self).__name__} must define make()")

    def build(self, seed: int) -> nn.Module:
        """The untrained network; equal seeds give equal weights."""
        return seeded(self.make, seed)

    def with_network(self, network: nn.Module) -> Self:
        """The same reconstruction with a trained network."""
        return replace(self, network=network)

    @cached_property
    def ready(self) -> nn.Module:
        """The network to reconstruct with."""
        if self.network is not None:
            return self.network
        network = self.build(0).eval()
        if self.weights is not None:
            load_weights(network, Path(self.weights))
        return network

    def prepared(self, given: NetworkInput) -> NetworkInput:
        """What the network is given of a volume: its data as they are."""
        return given

    def __call__(self, data: ReconInput) -> ReconResult:
        given = self.prepared(network_input(data))
        image = slice_by_slice(self.ready.to(data.kspace.device), given, self.turns)
        if self.keep_samples:
            assert given.maps is not None
            image = combine(with_samples(expand(image, given.maps), given), given.maps)
        return ReconResult(image=centre_crop(restored(image, given), data.field_of_view), kind="complex", combination="mvue")


def with_samples(images: Tensor, given: NetworkInput) -> Tensor:
    """(slice, coil, ky, kx) coil images of a network whose sampled lines are those that were measured, bit by bit in k-space."""
    return to_image(torch.where(given.mask.unsqueeze(1), given.kspace, to_kspace(images)))


def slice_by_slice(network: Callable[[NetworkInput], Tensor], given: NetworkInput, turns: int = 1) -> Tensor:
    """A network's output, without gradients, as the mean over receivers' phases.

    One slice at a time on a CPU, whose memory the matrices of many would fill.
    """
    step = len(given.kspace) if given.kspace.is_cuda else 1
    parts = [given.part(slice(start, start + step)) for start in range(0, len(given.kspace), step)]
    with torch.no_grad():
        return torch.cat([_turned_mean(network, part, turns) for part in parts])


def _turned_mean(network: Callable[[NetworkInput], Tensor], given: NetworkInput, turns: int) -> Tensor:
    mean = network(given) / turns
    for turn in range(1, turns):
        angle = 2 * math.pi * turn / turns
        mean += network(given.turned(angle)) * (cmath.exp(-1j * angle) / turns)
    return mean


def restored(image: Tensor, given: NetworkInput) -> Tensor:
    """(slice, ...) a network's output on the scale of the data; of an empty slice nothing, whatever a network makes of zeros."""
    empty = given.kspace.abs().amax((1, 2, 3)) == 0
    shape = (-1,) + (1,) * (image.ndim - 1)
    return torch.where(empty.view(shape), torch.zeros_like(image), image * given.scale.view(shape))


def seeded(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    """What `make` gives with torch's generator seeded; the generator is as before afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()
