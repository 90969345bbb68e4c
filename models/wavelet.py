"""L1-wavelet: compressed sensing with parallel imaging, the strongest classical baseline on brains."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..bench.errors import HalfscanError
from ..bench.reconstruction import ReconInput, ReconResult
from ..bench.wavelets import Wavelets
from .fista import Prox, cycle, reconstruct
from .parallel_imaging import ParallelImaging


@dataclass(frozen=True, kw_only=True)
class Wavelet(ParallelImaging):
    """argmin_x ½‖W (M F S x − y)‖² + λ · σ · ‖Ψ x‖₁, Ψ the details of Daubechies wavelets, solved by FISTA.

    σ is the standard deviation of the noise in a real or imaginary part of a sample, known or estimated: the best weight
    follows it over a factor of ten and more, and data need no scaling. Source: Lustig, Donoho, Pauly, Magn Reson Med 58:1182
    (2007); cycle spinning: Figueiredo, Nowak, IEEE Trans Image Process 12:906 (2003). Deviations: the coarsest scale is not
    penalised, as it is not sparse; with `spin` Ψ is shifted anew in every step, which makes the penalty that of all shifts
    on average, and the last step an approximation of it.

    Raises:
        HalfscanError: a setting out of range.
    """

    regularisation: float = 0.3
    """λ, in standard deviations of the noise [1]."""
    iterations: int = 40
    """FISTA steps at most."""
    tolerance: float = 0.0
    """Stop where a slice changes by less than this share in a step; with `spin` it always changes a little."""
    levels: int = 4
    """Scales of the wavelets."""
    spin: bool = True
    """Shifts the wavelets in every step, so that their grid leaves no pattern."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_at_least(regularisation=0, iterations=1)
        self.check_share("tolerance")
        check_levels(self.levels)

    def __call__(self, data: ReconInput) -> ReconResult:
        return reconstruct(
            self, data, weight=self.regularisation, iterations=self.iterations, tolerance=self.tolerance, prox=self._prox
        )

    def _prox(self) -> Prox:
        shifts = cycle(2**self.levels, self.iterations) if self.spin else None
        return lambda pictures, threshold: shrink(pictures, threshold, self.levels, shifts)


def check_levels(levels: int) -> None:
    """Refuses scales that are none, and more than a matrix has."""
    if not 1 <= levels <= 10:
        raise HalfscanError(f"model.levels={levels} must lie between 1 and 10")


def shrink(pictures: Tensor, threshold: Tensor, levels: int, shifts: Iterator[tuple[int, int]] | None) -> Tensor:
    """Soft-thresholds the wavelet details of complex pictures, jointly over the sets.

    Args:
        pictures: (slice, set, a, b) complex.
        threshold: (slice, 1, 1, 1).
        levels: scales.
        shifts: the next one is where the wavelets' grid lies; None for no shift.
    """
    shift = next(shifts) if shifts is not None else (0, 0)
    wavelets = Wavelets((pictures.shape[-2], pictures.shape[-1]), levels, pictures.device, shift)
    # Planes of real numbers (part, slice, set, a, b): real matrices times complex pictures are twice the work.
    planes = torch.view_as_real(pictures).movedim(-1, 0).contiguous()
    coefficients = wavelets.analyse(planes)
    magnitude = coefficients.square().sum((0, 2)).sqrt_().unsqueeze(1)
    kept = 1 - threshold / torch.maximum(magnitude, threshold).clamp_(min=torch.finfo(magnitude.dtype).tiny)
    kept[..., : wavelets.size[0] >> levels, : wavelets.size[1] >> levels] = 1
    return torch.complex(*wavelets.synthesise(coefficients.mul_(kept)))
