"""Total variation: piecewise smooth images, solved by accelerated proximal gradients."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..bench.reconstruction import ReconInput, ReconResult
from .fista import reconstruct
from .parallel_imaging import ParallelImaging


@dataclass(frozen=True, kw_only=True)
class TotalVariation(ParallelImaging):
    """argmin_x ½‖W (M F S x − y)‖² + λ · σ · Σ |∇x|, isotropic, over the complex image.

    σ is the standard deviation of the noise in a real or imaginary part of a sample, known or estimated. Sources: Block,
    Uecker, Frahm, Magn Reson Med 57:1086 (2007); the proximal step by projected gradients on the dual: Beck, Teboulle, IEEE
    Trans Image Process 18:2419 (2009). Deviation: the dual is kept from one step to the next, so that few inner steps are
    enough.

    Raises:
        HalfscanError: a setting out of range.
    """

    regularisation: float = 0.3
    """λ, in standard deviations of the noise [1]."""
    iterations: int = 60
    """FISTA steps at most."""
    tolerance: float = 1e-4
    """Stop where a slice changes by less than this share in a step."""
    inner_iterations: int = 5
    """Steps on the dual in each."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_at_least(regularisation=0, iterations=1, inner_iterations=1)
        self.check_share("tolerance")

    def __call__(self, data: ReconInput) -> ReconResult:
        return reconstruct(
            self,
            data,
            weight=self.regularisation,
            iterations=self.iterations,
            tolerance=self.tolerance,
            prox=lambda: _Prox(self.inner_iterations),
        )


class _Prox:
    """The proximal step, with its dual (2, slice, set, a, b) remembered."""

    def __init__(self, iterations: int) -> None:
        self._iterations = iterations
        self._dual: Tensor | None = None

    def __call__(self, pictures: Tensor, threshold: Tensor) -> Tensor:
        # The dual variable of a vanishing threshold is free: the step is then none.
        scale = threshold.clamp(min=torch.finfo(threshold.dtype).tiny)
        dual = pictures.new_zeros(2, *pictures.shape) if self._dual is None else self._dual
        ahead, momentum = dual, 1.0
        for _ in range(self._iterations):
            # ‖∇‖² is 8 in the plane.
            fresh = ahead + gradient(pictures / scale - divergence_adjoint(ahead)) / 8
            length = fresh.abs().square().sum((0, 2)).sqrt().unsqueeze(1)
            fresh = fresh / length.clamp(min=1)
            following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
            ahead = fresh + (momentum - 1) / following * (fresh - dual)
            dual, momentum = fresh, following
        self._dual = dual
        return torch.where(threshold > 0, pictures - threshold * divergence_adjoint(dual), pictures)


def gradient(pictures: Tensor) -> Tensor:
    """(…, a, b) → (2, …, a, b) differences to the next pixel, zero at the far edge."""
    differences = pictures.new_zeros(2, *pictures.shape)
    differences[0, ..., :-1, :] = pictures[..., 1:, :] - pictures[..., :-1, :]
    differences[1, ..., :, :-1] = pictures[..., :, 1:] - pictures[..., :, :-1]
    return differences


def divergence_adjoint(field: Tensor) -> Tensor:
    """(2, …, a, b) → (…, a, b), the adjoint of `gradient`: minus the divergence."""
    pictures = torch.zeros_like(field[0])
    pictures[..., :-1, :] -= field[0, ..., :-1, :]
    pictures[..., 1:, :] += field[0, ..., :-1, :]
    pictures[..., :, :-1] -= field[1, ..., :, :-1]
    pictures[..., :, 1:] += field[1, ..., :, :-1]
    return pictures
