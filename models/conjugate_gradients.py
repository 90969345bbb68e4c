"""Conjugate gradients on many small systems side by side."""

from __future__ import annotations

import torch
from torch import Tensor

from ..bench.encoding import Systems

_DENSE = 0.7
"""Solved systems are dropped once fewer than this share is left: before, copying the others costs more than it saves."""


def conjugate_gradients(systems: Systems, regularisation: float, iterations: int, tolerance: float) -> Tensor:
    """(system, set, *space) solutions of (AᴴA + λ) x = Aᴴy, each system with its own step lengths.

    Args:
        systems: AᴴA and Aᴴy.
        regularisation: λ [1].
        iterations: steps at most.
        tolerance: stops where the residual of a system is below this share of the mean ‖Aᴴy‖ of its slice's systems.
    """
    # Real numbers in rows: torch takes its time over complex ones.
    right = _rows(systems.right)
    solution, place = torch.zeros_like(right), torch.arange(len(right), device=right.device)
    x, residual, direction = torch.zeros_like(right), right.clone(), right.clone()
    power = (residual * residual).sum(1, keepdim=True)
    # Below the rounding of the numbers steps are 0 / 0 before long.
    stop = max(tolerance, torch.finfo(power.dtype).eps) ** 2 * systems.scale[:, None]
    for _ in range(iterations):
        active = power > stop
        left = int(active.sum())
        if left == 0:
            break
        if left < _DENSE * len(active):
            solution[place] = x
            kept = active[:, 0]
            systems, place, active = systems.select(kept), place[kept], active[kept]
            x, residual, direction, power, stop = (one[kept] for one in (x, residual, direction, power, stop))
        bent = _rows(systems.normal(_images(direction, systems.right))).add_(direction, alpha=regularisation)
        # A solved system that is still here rests: its steps depend on no other, and 0 / 0 is never taken.
        step = torch.where(active, power / (direction * bent).sum(1, keepdim=True), 0)
        x.addcmul_(direction, step)
        residual.addcmul_(bent, step, value=-1)
        fresh = (residual * residual).sum(1, keepdim=True)
        direction.mul_(torch.where(active, fresh / power, 0)).add_(residual)
        power = fresh
    solution[place] = x
    return _images(solution, systems.right)


def _rows(images: Tensor) -> Tensor:
    """(system, set, *space) complex → (system, number) real, the same memory."""
    return torch.view_as_real(images).flatten(1)


def _images(rows: Tensor, like: Tensor) -> Tensor:
    """The inverse of `_rows`."""
    return torch.view_as_complex(rows.view(len(rows), *like.shape[1:], 2))
