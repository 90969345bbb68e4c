"""What a reconstruction gets and gives, and how its images are combined over coils."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor

from .errors import HalfscanError
from .operators import centre_crop, combine, root_sum_of_squares
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
    """One volume's sampled data. Nothing in here depends on an unsampled line.

    Raises:
        HalfscanError: NaN or infinity among the samples, or maps that do not fit them.
    """

    kspace: Tensor
    """(slice, coil, ky, kx) complex64, zero where not sampled."""
    mask: Tensor
    """(ky, 1) or (ky, kx) bool, broadcasts against k-space."""
    acs: tuple[int, int] | None
    """(start, stop) of the fully sampled lines along ky."""
    acs_readout: tuple[int, int] | None = None
    """(start, stop) of the fully sampled region along kx, None where the lines are whole."""
    maps: Tensor | None
    """(slice, coil, ky, kx) sensitivity maps for methods that ask for them; (slice, set, coil, ky, kx) for several sets."""
    noise_cov: Tensor | None
    """(coil, coil) noise covariance, None where nobody measured it."""
    field_of_view: tuple[int, int]
    """(ky, kx) that the image is to be cropped to."""

    def __post_init__(self) -> None:
        # Solvers would take a column of NaN for a solved one, and make it black.
        if not torch.isfinite(torch.view_as_real(self.kspace)).all():
            raise HalfscanError("the sampled k-space holds NaN or infinity: repair the volume or leave it out")
        if self.maps is not None:
            expected = self.kspace.shape
            if (self.maps.shape[0], *self.maps.shape[-3:]) != expected or self.maps.ndim not in (4, 5):
                raise HalfscanError(f"maps of shape {tuple(self.maps.shape)} do not fit k-space of shape {tuple(expected)}")


@dataclass(frozen=True, kw_only=True, eq=False)
class ReconResult:
    """A reconstructed volume."""

    image: Tensor
    """(slice, ky, kx), cropped to the field of view; complex64, or float32 for magnitude."""
    kind: Literal["complex", "magnitude"]
    combination: Combination
    scale: float = 1.0
    """Multiply `image` by this to be on the scale of the input k-space."""


def from_sets(image: Tensor, field_of_view: tuple[int, int]) -> ReconResult:
    """The result of a solver: (slice, set, ky, kx) complex, one image for each set of maps.

    One set is the complex image. Of several, the sets being orthonormal over the coils, the root sum of squares is that of
    the coil images; their phases have no common meaning.
    """
    image = centre_crop(image, field_of_view)
    if image.shape[1] == 1:
        return ReconResult(image=image[:, 0], kind="complex", combination="mvue")
    return ReconResult(image=torch.linalg.vector_norm(image, dim=1), kind="magnitude", combination="rss")


def from_coils(coil_images: Tensor, data: ReconInput, combination: Combination) -> ReconResult:
    """The result of a method that makes an image a coil, (slice, coil, ky, kx): complex by maps, magnitude by rss."""
    if combination == "rss":
        image = root_sum_of_squares(coil_images)
    else:
        assert data.maps is not None
        image = combine(coil_images, data.maps)
    kind: Literal["complex", "magnitude"] = "complex" if image.is_complex() else "magnitude"
    return ReconResult(image=centre_crop(image, data.field_of_view), kind=kind, combination=combination)


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
