"""SENSE: Tikhonov-regularised least squares over the coils, solved by conjugate gradients."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..bench.encoding import Systems
from ..bench.reconstruction import ReconInput, ReconResult, from_sets
from .parallel_imaging import ParallelImaging

_DENSE = 0.7
"""Solved systems are dropped once fewer than this share is left: before, copying the others costs more than it saves."""


@dataclass(frozen=True, kw_only=True)
class Sense(ParallelImaging):
    """argmin_x ‖W (M F S x − y)‖² + λ ‖x‖², W the whitening of the coils' noise.

    Source: Pruessmann et al., Magn Reson Med 46:638 (2001). With unit-norm maps and a unitary FFT the eigenvalues of
    AᴴA lie in [0, 1], so λ needs no scaling with the data. Deviation: where whole lines are sampled each column of the image
    is a system of its own, with its own step lengths.

    Raises:
        HalfscanError: a setting out of range.
    """

    regularisation: float = 0.01
    """λ, Tikhonov weight [1]."""
    iterations: int = 30
    """At most this many CG steps."""
    tolerance: float = 3e-4
    """Stop where the residual of a system is below this share of the mean ‖Aᴴy‖ of its slice's systems."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_at_least(regularisation=0, iterations=1)
        self.check_share("tolerance")

    def __call__(self, data: ReconInput) -> ReconResult:
        slices, _, height, readout = data.kspace.shape
        image = data.kspace.new_zeros(slices, self.map_sets, height, readout)
        for systems in self.encode(data):
            systems.put(self._solve(systems), image)
        return from_sets(image, data.field_of_view)

    def _solve(self, systems: Systems) -> Tensor:
        """Conjugate gradients on (AᴴA + λ) x = Aᴴy, all systems side by side, each with its own step lengths."""
        solution = torch.zeros_like(systems.right)
        place = torch.arange(len(solution), device=solution.device)
        x, residual, direction = torch.zeros_like(solution), systems.right.clone(), systems.right.clone()
        power = _power(residual)
        # Below the rounding of the numbers steps are 0 / 0 before long.
        stop = (max(self.tolerance, torch.finfo(power.dtype).eps) ** 2 * systems.scale).view_as(power)
        for _ in range(self.iterations):
            active = power > stop
            left = int(active.sum())
            if left == 0:
                break
            if left < _DENSE * len(active):
                solution[place] = x
                kept = active.flatten()
                systems, place, active = systems.select(kept), place[kept], active[kept]
                x, residual, direction, power, stop = (one[kept] for one in (x, residual, direction, power, stop))
            image = systems.normal(direction).add_(direction, alpha=self.regularisation)
            # A solved system that is still here rests: its steps depend on no other, and 0 / 0 is never taken.
            step = torch.where(active, power / _product(direction, image), 0)
            x.addcmul_(direction, step)
            residual.addcmul_(image, step, value=-1)
            fresh = _power(residual)
            direction = torch.addcmul(residual, direction, torch.where(active, fresh / power, 0))
            power = fresh
        solution[place] = x
        return solution


def _power(image: Tensor) -> Tensor:
    """(system, 1, ...) squared norm of each system's image."""
    # Several times faster on a CPU than a norm along short rows.
    power = torch.view_as_real(image).square().flatten(1).sum(1)
    return power.reshape(-1, *[1] * (image.ndim - 1))


def _product(one: Tensor, other: Tensor) -> Tensor:
    """(system, 1, ...) real part of the inner products."""
    product = (torch.view_as_real(one) * torch.view_as_real(other)).flatten(1).sum(1)
    return product.reshape(-1, *[1] * (one.ndim - 1))
