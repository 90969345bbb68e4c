"""SENSE: Tikhonov-regularised least squares over the coils, solved by conjugate gradients."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..bench.errors import HalfscanError
from ..bench.operators import adjoint, centre_crop, forward
from ..bench.reconstruction import ReconInput, ReconResult
from ..bench.sampling.mask import Mask


@dataclass(frozen=True, kw_only=True)
class Sense:
    """argmin_x ‖M F S x − y‖² + λ ‖x‖².

    Source: Pruessmann et al., Magn Reson Med 46:638 (2001). With unit-norm maps and a unitary FFT the eigenvalues of
    AᴴA lie in [0, 1], so λ needs no scaling with the data.

    Raises:
        HalfscanError: a setting out of range.
    """

    regularisation: float = 0.01
    """λ, Tikhonov weight [1]."""
    iterations: int = 30
    """At most this many CG steps."""
    tolerance: float = 1e-4
    """Stop at this residual relative to ‖Aᴴy‖."""

    def __post_init__(self) -> None:
        if self.regularisation < 0:
            raise HalfscanError(f"model.regularisation={self.regularisation} must not be negative")
        if self.iterations < 1:
            raise HalfscanError(f"model.iterations={self.iterations} must be at least 1")
        if not 0 <= self.tolerance < 1:
            raise HalfscanError(f"model.tolerance={self.tolerance} must lie between 0 and 1")

    @property
    def needs_maps(self) -> bool:
        return True

    def check(self, mask: Mask, coils: int) -> None:
        """Every mask will do; one coil makes it a regularised inverse FFT."""

    def __call__(self, data: ReconInput) -> ReconResult:
        assert data.maps is not None
        image = self._solve(adjoint(data.kspace, data.maps, data.mask), data.maps, data.mask)
        return ReconResult(image=centre_crop(image, data.field_of_view), kind="complex", combination="mvue")

    def _solve(self, right: Tensor, maps: Tensor, mask: Tensor) -> Tensor:
        """Conjugate gradients on (AᴴA + λ) x = right, all slices side by side, each with its own step lengths."""
        x = torch.zeros_like(right)
        residual = right.clone()
        direction = residual.clone()
        power = _power(residual)
        stop = self.tolerance**2 * power
        for _ in range(self.iterations):
            active = power > stop
            if not active.any():
                break
            image = adjoint(forward(direction, maps, mask), maps, mask) + self.regularisation * direction
            curvature = (direction.conj() * image).real.sum((-2, -1), keepdim=True)
            # A converged (or empty) slice takes a step of zero; dividing by its vanished curvature would give NaN.
            step = torch.where(active, power / curvature.clamp(min=torch.finfo(power.dtype).tiny), 0.0)
            x = x + step * direction
            residual = residual - step * image
            fresh = _power(residual)
            direction = residual + torch.where(active, fresh / power.clamp(min=torch.finfo(power.dtype).tiny), 0.0) * direction
            power = torch.where(active, fresh, power)
        return x


def _power(image: Tensor) -> Tensor:
    """(slice, 1, 1) squared norm of each slice."""
    return image.abs().square().sum((-2, -1), keepdim=True)
