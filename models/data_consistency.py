"""Exact data consistency inside a network: the SENSE problem around an image, solved whole and differentiated through.

A mask of lines leaves every column a system of its own, whose inverse is made once and used at every step; a mask over the plane
is solved by conjugate gradients. The gradient is another solution of the same systems: no step of a solver is recorded.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from ..bench.operators import adjoint, forward

_STEPS, _TOLERANCE = 50, 1e-5


class Consistency:
    """z → argmin_x ‖A x − y‖² + λ ‖x − z‖² for the samples y of slices side by side.

    Source: Aggarwal et al., IEEE Trans Med Imaging 38:394 (2019). Deviation: not some steps of conjugate gradients, but the
    solution.

    Args:
        kspace: (slice, coil, ky, kx) y, zero where not sampled.
        mask: (slice, ky, 1 or kx) bool.
        maps: (slice, coil, ky, kx).
        weight: (slice,) λ > 0.
    """

    def __init__(self, kspace: Tensor, mask: Tensor, maps: Tensor, weight: Tensor) -> None:
        self._right = adjoint(kspace, maps, mask.unsqueeze(1))
        self._weight = weight
        known = weight.detach()
        self._solver: _Solver = _Columns(mask, maps, known) if mask.shape[-1] == 1 else _Planes(mask, maps, known)

    def __call__(self, image: Tensor) -> Tensor:
        """(slice, ky, kx) z → x."""
        solved: Tensor = _Solve.apply(image, self._weight, self._right, self._solver)  # type: ignore[no-untyped-call]
        return solved


class _Solver(Protocol):
    def solve(self, right: Tensor) -> Tensor:
        """(slice, ky, kx) → (AᴴA + λ)⁻¹ of it."""
        ...


class _Columns:
    """Inverses of the matrices of all columns; those without an object are λ alone."""

    def __init__(self, mask: Tensor, maps: Tensor, weight: Tensor) -> None:
        height = mask.shape[1]
        # Sampling is a convolution along ky: the matrix of a column is that of the coils, times the kernel at each distance.
        kernel = torch.fft.ifft(torch.fft.ifftshift(mask[..., 0].to(maps.dtype), dim=-1), dim=-1)
        rows = torch.arange(height, device=mask.device)
        folding = kernel[:, (rows[:, None] - rows) % height]
        columns = maps.permute(0, 3, 2, 1)
        matrices = (columns.conj() @ columns.mT).mul_(folding.unsqueeze(1))
        matrices.diagonal(dim1=-2, dim2=-1).add_(weight[:, None, None])
        self._inverse = torch.cholesky_inverse(torch.linalg.cholesky(matrices))

    def solve(self, right: Tensor) -> Tensor:
        return (self._inverse @ right.mT.unsqueeze(-1)).squeeze(-1).mT


class _Planes:
    """Conjugate gradients, every slice with its own steps."""

    def __init__(self, mask: Tensor, maps: Tensor, weight: Tensor) -> None:
        self._mask, self._maps, self._weight = mask.unsqueeze(1), maps, weight[:, None, None]

    def solve(self, right: Tensor) -> Tensor:
        x, residual, direction = torch.zeros_like(right), right.clone(), right.clone()
        power = _power(residual)
        stop = _TOLERANCE**2 * power
        for _ in range(_STEPS):
            active = power > stop
            if not active.any():
                break
            bent = adjoint(forward(direction, self._maps, self._mask), self._maps, self._mask) + self._weight * direction
            step = torch.where(active, power / (direction.conj() * bent).real.sum((-2, -1), keepdim=True), 0)
            x, residual = x + step * direction, residual - step * bent
            fresh = _power(residual)
            direction = residual + torch.where(active, fresh / power, 0) * direction
            power = fresh
        return x


class _Solve(torch.autograd.Function):
    """x = (AᴴA + λ)⁻¹ (Aᴴy + λ z); its matrix is Hermitian, so that gradients are solutions too."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, weight: Tensor, right: Tensor, solver: _Solver) -> Tensor:
        x = solver.solve(right + weight[:, None, None] * image)
        ctx.save_for_backward(image, weight, x)
        ctx.solver = solver
        return x

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        image, weight, x = ctx.saved_tensors
        back = ctx.solver.solve(gradients[0])
        to_weight = (back.conj() * (image - x)).real.sum((-2, -1))
        return weight[:, None, None] * back, to_weight, None, None


def _power(image: Tensor) -> Tensor:
    return torch.view_as_real(image).square().sum((-3, -2, -1)).view(-1, 1, 1)
