"""What the solvers of parallel imaging have in common: how they weight, compress and model the coils."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from ..bench.encoding import Systems, encode
from ..bench.errors import HalfscanError, NotApplicable
from ..bench.reconstruction import ReconInput
from ..bench.sampling.mask import Mask

NEGLIGIBLE = 1e-4
"""Share of the power of the maps that iterations leave out, which changes images by some 1e-5."""


@dataclass(frozen=True, kw_only=True)
class ParallelImaging:
    """Settings of a method that solves for the image seen through sensitivity maps.

    Raises:
        HalfscanError: a setting out of range.
    """

    map_sets: int = 1
    """Sets of sensitivity maps; two for an object larger than the field of view, which give a magnitude image."""
    prewhiten: bool = True
    """Weights the coils by the inverse of their noise covariance, where the data bring it."""
    virtual_coils: int | None = None
    """Compresses the coils of a slice to so many at most; None keeps them all."""

    def __post_init__(self) -> None:
        if self.map_sets < 1:
            raise HalfscanError(f"model.map_sets={self.map_sets} must be at least 1")
        if self.virtual_coils is not None and self.virtual_coils < 1:
            raise HalfscanError(f"model.virtual_coils={self.virtual_coils} must be at least 1, or null to keep all coils")
        if self.virtual_coils is not None and self.virtual_coils < self.map_sets:
            raise HalfscanError(f"model.virtual_coils={self.virtual_coils} can't tell model.map_sets={self.map_sets} apart")

    @property
    def needs_maps(self) -> bool:
        return True

    def check(self, mask: Mask, coils: int) -> None:
        """Every mask will do; one coil makes it a regularised inverse FFT.

        Raises:
            NotApplicable: more sets of maps than coils.
        """
        if self.map_sets > coils:
            raise NotApplicable(f"model.map_sets={self.map_sets} needs as many coils and there are {coils}: use model.map_sets=1")

    def encode(self, data: ReconInput, *, whole_slices: bool = False, negligible: float = NEGLIGIBLE) -> Iterator[Systems]:
        """The volume's systems as these settings want them."""
        return encode(
            data,
            whole_slices=whole_slices,
            prewhiten=self.prewhiten,
            virtual_coils=self.virtual_coils,
            negligible=negligible,
        )

    def check_at_least(self, **lowest: float) -> None:
        """Refuses settings below the number given with their name, and what is no number."""
        for name, low in lowest.items():
            if not low <= getattr(self, name) < math.inf:
                raise HalfscanError(f"model.{name}={getattr(self, name)} must be finite and at least {low}")

    def check_share(self, name: str) -> None:
        """Refuses a setting outside [0, 1)."""
        if not 0 <= getattr(self, name) < 1:
            raise HalfscanError(f"model.{name}={getattr(self, name)} must lie between 0 and 1")
