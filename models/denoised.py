"""The full scan, denoised: what a network must beat before it may be called better than the full scan."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..bench.encoding import Systems
from ..bench.errors import NotApplicable
from ..bench.reconstruction import ReconInput, ReconResult, from_sets
from ..bench.sampling.mask import Mask
from ..bench.wavelets import Wavelets
from .fista import cycle
from .parallel_imaging import ParallelImaging
from .wavelet import check_levels, shrink

_RAYLEIGH_MEDIAN = math.sqrt(2 * math.log(2))


@dataclass(frozen=True, kw_only=True)
class Denoised(ParallelImaging):
    """The image of a full scan, combined for the best SNR, its wavelet details soft-thresholded and averaged over shifts.

    Source: Coifman, Donoho, Translation-invariant de-noising (1995). The noise is estimated from the finest diagonal details
    inside the object, by their median. A learned reconstruction of half the lines also denoises; this baseline does
    nothing else.

    Raises:
        HalfscanError: a setting out of range.
    """

    strength: float = 0.75
    """Threshold, in standard deviations of the noise in a real or imaginary part [1]; 0 leaves the full scan as it is."""
    levels: int = 4
    """Scales of the wavelets."""
    shifts: int = 16
    """Positions of the wavelets' grid that are averaged."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_at_least(strength=0, shifts=1)
        check_levels(self.levels)

    def check(self, mask: Mask, coils: int) -> None:
        """Refuses whatever is not a full scan.

        Raises:
            NotApplicable: lines are missing.
        """
        super().check(mask, coils)
        if not np.array_equal(mask.sampled, mask.acquired):
            raise NotApplicable(
                f"model=denoised is the baseline of a full scan and {mask.lines_sampled} of {mask.lines_acquired} lines are "
                "sampled: use sampling.acceleration=1, or model=wavelet"
            )

    def __call__(self, data: ReconInput) -> ReconResult:
        slices, _, height, readout = data.kspace.shape
        image = data.kspace.new_zeros(slices, self.map_sets, height, readout)
        for systems in self.encode(data, whole_slices=True, negligible=0):
            seen = (systems.maps != 0).any(2)
            full = systems.pictures(_combined(systems, seen))
            threshold = self.strength * noise_level(full, systems.pictures(seen).any(1, keepdim=True))
            spun = [shrink(full, threshold, self.levels, iter([shift])) for shift in cycle(2**self.levels, self.shifts)]
            systems.put(systems.systems(torch.stack(spun).mean(0)) * seen, image)
        return from_sets(image, data.field_of_view)


def _combined(systems: Systems, seen: Tensor) -> Tensor:
    """(system, set, *space) the combination of the highest SNR: without gaps AᴴA is a matrix of the sets of each pixel."""
    if systems.maps.shape[1] == 1:
        power = torch.view_as_real(systems.maps).square().sum((2, -1))
        return systems.right / torch.where(seen, power, 1)
    # Sets that were orthogonal are so no longer once their coils are whitened or compressed.
    maps = systems.maps.movedim((1, 2), (-1, -2))
    gram = maps.mH @ maps + torch.diag_embed((~seen).movedim(1, -1).to(maps.dtype))
    return torch.linalg.solve(gram, systems.right.movedim(1, -1).unsqueeze(-1)).squeeze(-1).movedim(-1, 1)


def noise_level(pictures: Tensor, inside: Tensor) -> Tensor:
    """(slice, 1, 1, 1) standard deviation of the noise in a real or imaginary part.

    Source: Donoho, Johnstone, Biometrika 81:425 (1994); the median of a complex number's magnitude is that of Rayleigh.

    Args:
        pictures: (slice, set, a, b) complex.
        inside: (slice, 1, a, b) True inside the object; details that reach over its edge are left out.
    """
    a, b = pictures.shape[-2:]
    wavelets = Wavelets((a, b), 1, pictures.device)
    size, half = wavelets.size, (wavelets.size[0] // 2, wavelets.size[1] // 2)
    planes = torch.view_as_real(pictures[:, 0]).movedim(-1, 0).contiguous()
    details = torch.linalg.vector_norm(wavelets.analyse(planes)[..., half[0] :, half[1] :], dim=0)
    # A detail looks at eight pixels along each axis.
    padded = torch.nn.functional.pad(inside[:, 0].float(), (0, size[1] - b + 6, 0, size[0] - a + 6))
    whole = -torch.nn.functional.max_pool2d(-padded[:, None], 8, stride=2)[:, 0] > 0
    levels = [one[kept].median() if kept.any() else one.new_zeros(()) for one, kept in zip(details, whole, strict=True)]
    return (torch.stack(levels) / _RAYLEIGH_MEDIAN)[:, None, None, None]
