"""What a network is given, the same in training and at work, and what a model must offer so that its network can be trained."""

from __future__ import annotations

import cmath
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from .noise import noise_level
from .operators import adjoint, root_sum_of_squares, sample, to_image
from .reconstruction import ReconInput, Reconstructor


@dataclass(frozen=True, kw_only=True, eq=False)
class NetworkInput:
    """Slices side by side, each with its own mask, divided by the peak of what its samples alone show."""

    kspace: Tensor
    """(slice, coil, ky, kx) complex64, zero where not sampled."""
    mask: Tensor
    """(slice, ky, 1 or kx) bool."""
    acs: Tensor
    """(slice, ky, 1) bool, the fully sampled central lines."""
    maps: Tensor | None
    """(slice, coil, ky, kx) sensitivity maps."""
    noise: Tensor
    """(slice,) standard deviation of the noise in a real or imaginary part of a sample."""
    scale: Tensor
    """(slice, 1, 1) what k-space and noise were divided by; 1 where a slice is empty."""

    def part(self, some: slice) -> NetworkInput:
        """Some of the slices."""
        return NetworkInput(
            kspace=self.kspace[some],
            mask=self.mask[some],
            acs=self.acs[some],
            maps=None if self.maps is None else self.maps[some],
            noise=self.noise[some],
            scale=self.scale[some],
        )

    def turned(self, angle: float) -> NetworkInput:
        """The same as a receiver would give it whose phase is `angle` [rad] ahead; so is the image, then."""
        return replace(self, kspace=self.kspace * cmath.exp(1j * angle))

    @property
    def zero_filled(self) -> Tensor:
        """(slice, ky, kx) Aᴴy; its peak is 1."""
        assert self.maps is not None
        return adjoint(self.kspace, self.maps, self.mask.unsqueeze(1))


def normalised(kspace: Tensor, mask: Tensor, acs: Tensor, maps: Tensor | None, noise: Tensor) -> NetworkInput:
    """The input of a network; arguments as its fields, on any scale."""
    sampled = sample(kspace, mask.unsqueeze(1))
    image = root_sum_of_squares(to_image(sampled)) if maps is None else adjoint(sampled, maps, mask.unsqueeze(1))
    scale = peak(image)
    return NetworkInput(
        kspace=sampled / scale.unsqueeze(1), mask=mask, acs=acs, maps=maps, noise=noise / scale[:, 0, 0], scale=scale
    )


def network_input(data: ReconInput) -> NetworkInput:
    """What a network gets of a volume's sampled data."""
    slices, _, height, _ = data.kspace.shape
    acs = torch.zeros(height, 1, dtype=torch.bool, device=data.kspace.device)
    if data.acs is not None:
        acs[data.acs[0] : data.acs[1]] = True
    return normalised(
        data.kspace,
        data.mask.expand(slices, -1, -1),
        acs.expand(slices, -1, -1),
        data.maps,
        noise_level(data.kspace, data.noise_cov),
    )


def peak(image: Tensor) -> Tensor:
    """(slice, 1, 1) largest magnitude of each slice, 1 for an empty one."""
    largest = image.abs().amax((-2, -1), keepdim=True)
    return torch.where(largest > 0, largest, torch.ones_like(largest))


def as_channels(image: Tensor) -> Tensor:
    """Complex (..., ky, kx) → real (..., 2, ky, kx)."""
    return torch.stack([image.real, image.imag], dim=-3)


def as_complex(channels: Tensor) -> Tensor:
    """The inverse of `as_channels`."""
    return torch.complex(channels[..., 0, :, :], channels[..., 1, :, :])


@runtime_checkable
class Trainable(Reconstructor, Protocol):
    """A reconstruction whose network is to be trained first."""

    @property
    def weights(self) -> str | None:
        """Finished weights; None: train."""
        ...

    def build(self, seed: int) -> nn.Module:
        """The untrained network: `NetworkInput` → (slice, ky, kx) complex image; equal seeds give equal weights."""
        ...

    def with_network(self, network: nn.Module) -> Reconstructor:
        """The same reconstruction with a trained network."""
        ...


@runtime_checkable
class Convertible(Trainable, Protocol):
    """A model for which others publish weights."""

    def converted(self, state: Mapping[str, Tensor]) -> tuple[dict[str, int], dict[str, Tensor]]:
        """The settings that published weights were made with, and the weights under the names that they have here.

        Raises:
            HalfscanError: they are of another network.
        """
        ...
