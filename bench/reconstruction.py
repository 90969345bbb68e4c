"""What a reconstruction gets and gives, and how its images are combined over coils."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from torch import Tensor

from .errors import HalfscanError
from .sampling.mask import Mask

Combination: TypeAlias = Literal["rss", "mvue"]
"""How coils become one image: root sum of squares, or weighted by sensitivity maps."""
COMBINATIONS: tuple[Combination, ...] = ("rss", "mvue")


def check_combination(value: str, where: str) -> None:
    """Refuses an unknown coil combination."""
    if value not in COMBINATIONS:
        raise HalfscanError(f"{where}={value} is unknown: use {' or '.join(COMBINATIONS)}")


@dataclass(frozen=True, kw_only=True, eq=False)
class ReconInput:
    """One volume's sampled data. Nothing in here depends on an unsampled line."""

    kspace: Tensor
    """(slice, coil, ky, kx) complex64, zero where not sampled."""
    mask: Tensor
    """(ky, 1) or (ky, kx) bool, broadcasts against k-space."""
    acs: tuple[int, int] | None
    """(start, stop) of the fully sampled lines along ky."""
    acs_readout: tuple[int, int] | None = None
    """(start, stop) of the fully sampled region along kx, None where the lines are whole."""
    maps: Tensor | None
    """(slice, coil, ky, kx) sensitivity maps for methods that ask for them."""
    noise_cov: Tensor | None
    """(coil, coil) noise covariance, None where nobody measured it."""
    field_of_view: tuple[int, int]
    """(ky, kx) that the image is to be cropped to."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ReconResult:
    """A reconstructed volume."""

    image: Tensor
    """(slice, ky, kx), cropped to the field of view; complex64, or float32 for magnitude."""
    kind: Literal["complex", "magnitude"]
    combination: Combination
    scale: float = 1.0
    """Multiply `image` by this to be on the scale of the input k-space."""


@runtime_checkable
class Reconstructor(Protocol):
    """A reconstruction method. What it can't do it declares, so that it is refused before work starts."""

    @property
    def needs_maps(self) -> bool:
        """Whether `ReconInput.maps` must be there."""
        ...

    def check(self, mask: Mask, coils: int) -> None:
        """Refuses what the method can't do.

        Raises:
            NotApplicable: named, with what to do instead.
        """
        ...

    def __call__(self, data: ReconInput) -> ReconResult: ...
