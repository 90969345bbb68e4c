"""Accelerated proximal gradients: what wavelet and total variation reconstructions have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ..bench.encoding import Systems
from ..bench.reconstruction import ReconInput, ReconResult, from_sets
from .parallel_imaging import ParallelImaging

Prox = Callable[[Tensor, Tensor], Tensor]
"""(pictures (slice, set, a, b), thresholds (slice, 1, 1, 1)) → pictures: argmin_x ½‖x − v‖² + threshold · penalty(x)."""

_MOMENTUM = 6.0
"""That of the first step, elsewhere 1: as after ten steps. It saves a quarter of them; where it is too much, it restarts."""


def reconstruct(
    model: ParallelImaging, data: ReconInput, *, weight: float, iterations: int, tolerance: float, prox: Callable[[], Prox]
) -> ReconResult:
    """argmin_x ½‖W (M F S x − y)‖² + weight · σ · penalty(x), slice by slice.

    Source: Beck, Teboulle, SIAM J Imaging Sci 2:183 (2009), with the restarts of O'Donoghue, Candès, Found Comput Math 15:715
    (2015). Deviations: the step is the inverse of a bound, the largest power of the maps, instead of a searched one, and
    momentum does not start from rest.

    Args:
        model: how the coils are treated.
        data: with maps.
        weight: relative to σ, the standard deviation of the noise in a real or imaginary part of a sample [1].
        iterations: steps at most.
        tolerance: a slice is done where it changes by no more than this share in a step; 0 never stops.
        prox: makes the proximal step of the penalty, anew for each group of slices.
    """
    slices, _, height, readout = data.kspace.shape
    image = data.kspace.new_zeros(slices, model.map_sets, height, readout)
    for systems in model.encode(data, whole_slices=True):
        found = systems.systems(_minimise(systems, weight, iterations, tolerance, prox()))
        # Where no coil sees anything only the penalty speaks: that is no measurement.
        systems.put(found * (systems.maps != 0).any(2), image)
    return from_sets(image, data.field_of_view)


def _minimise(systems: Systems, weight: float, iterations: int, tolerance: float, prox: Prox) -> Tensor:
    """(slice, set, a, b) pictures."""
    step = 1 / systems.pictures(_power(systems.maps)).amax((1, 2, 3), keepdim=True)
    right = systems.pictures(systems.right)
    threshold = weight * systems.each_slice(systems.noise) * step
    image, ahead = right * step, right * step
    momentum, active = torch.full_like(step, _MOMENTUM), torch.ones_like(step, dtype=torch.bool)
    for _ in range(iterations):
        gradient = systems.pictures(systems.normal(systems.systems(ahead))) - right
        fresh = prox(torch.addcmul(ahead, gradient, step.to(gradient.dtype), value=-1), threshold)
        change = fresh - image
        # Where momentum points uphill it starts anew.
        momentum = torch.where(_inner(ahead - fresh, change) > 0, 1.0, momentum)
        following = (1 + (1 + 4 * momentum**2).sqrt()) / 2
        ahead = torch.addcmul(fresh, change, ((momentum - 1) / following).to(change.dtype))
        # A slice that is done stays as it is while others beside it go on.
        image, momentum = torch.where(active, fresh, image) if tolerance > 0 else fresh, following
        if tolerance > 0:
            active = active & (_inner(change, change) > tolerance**2 * _inner(image, image))
            if not active.any():
                break
    return image


def _power(maps: Tensor) -> Tensor:
    """(system, 1, *space) sum of the maps' squares: no eigenvalue of AᴴA is larger than the largest of these."""
    return torch.view_as_real(maps).square().sum((1, 2, -1)).unsqueeze(1)


def _inner(one: Tensor, other: Tensor) -> Tensor:
    """(slice, 1, 1, 1) real part of the inner products."""
    return (torch.view_as_real(one) * torch.view_as_real(other)).sum((1, 2, 3, 4))[:, None, None, None]


def cycle(size: int, number: int) -> Iterator[tuple[int, int]]:
    """`number` shifts along two axes below `size`, the same ones every time: a Halton sequence, which leaves no gaps."""
    for index in range(1, number + 1):
        yield int(size * _radical(index, 2)), int(size * _radical(index, 3))


def _radical(index: int, base: int) -> float:
    value, digit = 0.0, 1 / base
    while index:
        index, rest = divmod(index, base)
        value += rest * digit
        digit /= base
    return value
