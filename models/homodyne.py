"""Homodyne detection: partial Fourier from the symmetry that k-space has once its slow phase is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..bench.errors import HalfscanError
from ..bench.operators import sample, to_image
from ..bench.reconstruction import Combination, ReconInput, ReconResult, check_combination, from_coils
from ..bench.sampling.mask import Mask
from .partial_fourier import OneSided, check_one_sided

WEIGHTINGS = ("ramp", "step")


@dataclass(frozen=True, kw_only=True)
class Homodyne:
    """Re(φ̄ F⁻¹ W y) φ, coil by coil: W doubles what has no mirror image, φ is the phase of the symmetric part.

    Source: Noll, Nishimura & Macovski, IEEE Trans Med Imaging 10:154 (1991). Deviation: the phase is put back, so that coils
    can be combined and the image is complex. A mask that leaves out nothing, or a single line, is an inverse FFT.

    Raises:
        HalfscanError: a setting out of range.
    """

    weighting: Literal["ramp", "step"] = "step"
    """How W goes from 0 to 2: evenly over the symmetric part, or by a step to 1 throughout it. A ramp has no jumps, but
    what φ misses of the phase costs it the strong low frequencies too."""
    combination: Combination = "mvue"

    def __post_init__(self) -> None:
        if self.weighting not in WEIGHTINGS:
            raise HalfscanError(f"model.weighting={self.weighting} is unknown: use {' or '.join(WEIGHTINGS)}")
        check_combination(self.combination, "model.combination")

    @property
    def needs_maps(self) -> bool:
        return self.combination == "mvue"

    def check(self, mask: Mask, coils: int) -> None:
        """Refuses all masks but one side of k-space without a gap, and full ones.

        Raises:
            NotApplicable: named, with what to do instead.
        """
        check_one_sided(mask, "homodyne detection")

    def __call__(self, data: ReconInput) -> ReconResult:
        columns = to_image(sample(data.kspace, data.mask), (-1,))
        side = OneSided.of(data.mask)
        if side.partial:
            phase = side.phase(columns, data.mask)
            weighted = to_image(columns * self._weights(side, data.mask), (-2,))
            images = (phase.conj() * weighted).real * phase
        else:
            images = to_image(columns, (-2,))
        return from_coils(images, data, self.combination)

    def _weights(self, side: OneSided, mask: Tensor) -> Tensor:
        """(ky, 1) W, whose values at a line and at its mirror image add up to 2."""
        outwards = side.outwards(mask)
        symmetric = outwards.abs() <= side.reach
        slope = 1 + outwards / (side.reach + 1) if self.weighting == "ramp" else torch.ones_like(outwards, dtype=torch.float32)
        weights = torch.where(symmetric, slope, torch.where(outwards > 0, 2.0, 0.0))
        # The outermost line of an even matrix is its own mirror image.
        return torch.where(2 * outwards.abs() == side.lines, 1.0, weights)
