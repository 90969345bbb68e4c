"""Zero-filled reconstruction: the inverse FFT of what was sampled, the floor every method must beat."""

from __future__ import annotations

from dataclasses import dataclass

from ..bench.operators import adjoint, centre_crop, root_sum_of_squares, sample, to_image
from ..bench.reconstruction import Combination, ReconInput, ReconResult, check_combination
from ..bench.sampling.mask import Mask


@dataclass(frozen=True, kw_only=True)
class ZeroFilled:
    """Inverse FFT, coils combined by maps (complex image) or root sum of squares (magnitude)."""

    combination: Combination = "mvue"

    def __post_init__(self) -> None:
        check_combination(self.combination, "model.combination")

    @property
    def needs_maps(self) -> bool:
        return self.combination == "mvue"

    def check(self, mask: Mask, coils: int) -> None:
        """Every mask and any number of coils will do."""

    def __call__(self, data: ReconInput) -> ReconResult:
        if self.combination == "rss":
            image = root_sum_of_squares(to_image(sample(data.kspace, data.mask)))
        else:
            assert data.maps is not None
            image = adjoint(data.kspace, data.maps, data.mask)
        return ReconResult(
            image=centre_crop(image, data.field_of_view),
            kind="complex" if image.is_complex() else "magnitude",
            combination=self.combination,
        )
