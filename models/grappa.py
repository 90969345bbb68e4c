"""GRAPPA: missing lines are made from their sampled neighbours in all coils, with weights fitted to the calibration lines."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from ..bench.errors import HalfscanError, NotApplicable
from ..bench.operators import sample, to_image
from ..bench.reconstruction import Combination, ReconInput, ReconResult, check_combination, from_coils
from ..bench.sampling.mask import Mask


@dataclass(frozen=True, kw_only=True)
class Grappa:
    """Every missing line from its nearest sampled lines, one set of weights for all lines with the same neighbours.

    Source: Griswold et al., Magn Reson Med 47:1202 (2002). Sampled lines stay as they were measured. Lines outside the
    outermost sampled ones are filled no further than the widest step between sampled lines reaches: the rest was left out by
    partial Fourier, or is zero padding. Deviations: along the readout the kernel wraps around, so that its weights are one
    factor a column of the image; lines near the calibration lines use those as neighbours too; the coils' noise is taken as
    white. A single coil is interpolated from itself, which is worth little.

    Raises:
        HalfscanError: a setting out of range; when called, NaN or infinity in the calibration lines.
        NotApplicable: when called, fewer calibration samples along the readout than the kernel is wide.
    """

    kernel_readout: int = 5
    """Width of the kernel along the readout, odd [samples]."""
    kernel_lines: int = 4
    """At most this many sampled lines around a missing one, nearest first and as many on either side; fewer where the
    calibration lines do not span them or give less than twice as many equations as there are weights."""
    regularisation: float = 1e-3
    """Tikhonov weight relative to the mean diagonal of the calibration's Gram matrix [1]; 0: what double precision needs."""
    combination: Combination = "mvue"

    def __post_init__(self) -> None:
        if self.kernel_readout < 1 or self.kernel_readout % 2 == 0:
            raise HalfscanError(f"model.kernel_readout={self.kernel_readout} must be odd and at least 1")
        if self.kernel_lines < 2:
            raise HalfscanError(f"model.kernel_lines={self.kernel_lines} must be at least 2, one line on either side")
        if not 0 <= self.regularisation < math.inf:
            raise HalfscanError(f"model.regularisation={self.regularisation} must be finite and not negative")
        check_combination(self.combination, "model.combination")

    @property
    def needs_maps(self) -> bool:
        return self.combination == "mvue"

    def check(self, mask: Mask, coils: int) -> None:
        """Refuses masks over the plane, and calibration lines that do not span the mask's widest step.

        Raises:
            NotApplicable: named, with what to do instead.
        """
        if mask.axes != ("ky",):
            raise NotApplicable(
                f"GRAPPA fills in whole lines and {mask.pattern} sampling leaves out single samples: use model=sense, or a "
                "sampling of lines such as sampling=equispaced"
            )
        step = _widest_step(mask.sampled.nonzero()[0].tolist())
        if step > 1 and mask.acs_lines < step + 1:
            raise NotApplicable(
                f"GRAPPA learns from calibration lines how to fill the widest gap, needs {step + 1} of them for its {step - 1} "
                f"missing lines and their neighbours, and there are {mask.acs_lines}: raise sampling.acs_lines, lower "
                "sampling.acceleration, or use model=sense"
            )

    def __call__(self, data: ReconInput) -> ReconResult:
        columns = to_image(sample(data.kspace, data.mask), (-1,))
        lines = data.mask[:, 0].nonzero()[:, 0].tolist()
        if _widest_step(lines) > 1:
            assert data.acs is not None
            region = data.kspace[:, :, slice(*data.acs), slice(*(data.acs_readout or (None, None)))]
            self._check_region(region)
            groups = self._neighbourhoods(lines, columns.shape[-2], region)
            # (slice, kx, ky, coil): neighbours of a line are contiguous, and so is what the matrix products read and write.
            columns = columns.permute(0, 3, 2, 1).contiguous()
            for one, samples in zip(columns, region, strict=True):
                self._fill(one, groups, _Calibration(samples, self.kernel_readout))
            columns = columns.permute(0, 3, 2, 1)
        return from_coils(to_image(columns, (-2,)), data, self.combination)

    def _check_region(self, region: Tensor) -> None:
        """Refuses calibration samples (slice, coil, ky, kx) that no kernel fits into or that are no numbers."""
        readout = region.shape[-1]
        if readout < self.kernel_readout:
            raise NotApplicable(
                f"GRAPPA's kernel is {self.kernel_readout} samples wide along the readout and the calibration lines have "
                f"{readout}: lower model.kernel_readout to {readout - 1 + readout % 2} or use model=sense"
            )
        if not torch.isfinite(torch.view_as_real(region)).all():
            raise HalfscanError("the calibration lines hold NaN or infinity, and GRAPPA can't be calibrated from them")

    def _neighbourhoods(self, lines: list[int], height: int, region: Tensor) -> dict[tuple[int, ...], list[int]]:
        """Offsets to the neighbours that a missing line is made from → the missing lines that have them."""
        _, coils, acs_lines, readout = region.shape
        weights, positions = coils * self.kernel_readout, readout - self.kernel_readout + 1
        step = _widest_step(lines)
        found: dict[tuple[int, ...], list[int]] = {}
        for target in sorted(set(range(max(0, lines[0] - step), min(height, lines[-1] + step + 1))) - set(lines)):
            at = bisect_left(lines, target)
            sides = lines[max(0, at - self.kernel_lines) : at][::-1], lines[at : at + self.kernel_lines]
            ranked = sorted((rank, abs(line - target), line - target) for side in sides for rank, line in enumerate(side))
            chosen: list[int] = []
            for rank, _, offset in ranked:
                wider = [*chosen, offset]
                equations = (acs_lines - _span(wider) + 1) * positions
                # The next neighbour on either side always fits: `check` saw to that. With about as many equations as
                # weights the noise in them would be fitted exactly, which is worse than fewer neighbours.
                if len(wider) <= self.kernel_lines and (rank == 0 or equations >= 2 * len(wider) * weights):
                    chosen = wider
            found.setdefault(tuple(sorted(chosen)), []).append(target)
        return found

    def _fill(self, columns: Tensor, groups: Mapping[tuple[int, ...], list[int]], calibration: _Calibration) -> None:
        """Fills in the missing lines of one slice.

        Args:
            columns: (kx, ky, coil), image along kx and k-space along ky; written to.
            groups: of missing lines, by the offsets of their neighbours.
            calibration: the slice's own.
        """
        readout, _, coils = columns.shape
        waves = _waves(readout, self.kernel_readout).to(columns)
        for offsets, targets in groups.items():
            weights = calibration.weights(offsets, self.regularisation).to(columns)
            weights = (waves @ weights.flatten(1)).view(readout, len(offsets) * coils, coils)
            at = torch.tensor(targets, device=columns.device)
            neighbours = columns[:, at[:, None] + torch.tensor(offsets, device=columns.device)]
            columns[:, at] = neighbours.flatten(2) @ weights


class _Calibration:
    """The calibration samples of one slice, and the normal equations of any neighbourhood.

    Those consist of products of two lines, summed over the positions of the kernel. Neighbourhoods share them: each distance
    between lines is multiplied out once, and running sums over ky give the sums over any range of positions.
    """

    def __init__(self, region: Tensor, width: int) -> None:
        self.coils, self.lines, readout = region.shape
        self.taps = self.coils * width
        # (ky, tap · coil, position). The Gram matrix squares the condition number: double precision.
        samples = region.to(torch.complex128).unfold(-1, width, 1)
        self.samples = samples.permute(1, 3, 0, 2).reshape(self.lines, self.taps, readout - width + 1)
        self.centre = slice(width // 2 * self.coils, (width // 2 + 1) * self.coils)
        self.sums: dict[int, Tensor] = {}

    def weights(self, offsets: Sequence[int], regularisation: float) -> Tensor:
        """(tap, neighbour, coil, coil made) weights that make a line from its neighbours."""
        size = len(offsets) * self.taps
        gram = self.samples.new_empty(len(offsets), self.taps, len(offsets), self.taps)
        right = self.samples.new_empty(len(offsets), self.taps, self.coils)
        first, last = -min(*offsets, 0), self.lines - max(*offsets, 0)
        for index, one in enumerate(offsets):
            right[index] = self._products(one, 0, first, last)[:, self.centre]
            for other in range(index, len(offsets)):
                block = self._products(one, offsets[other], first, last)
                gram[index, :, other], gram[other, :, index] = block, block.mH
        gram, right = gram.view(size, size), right.view(size, self.coils)
        # Below this share rounding alone could make a rank-deficient matrix indefinite.
        share = max(regularisation, size**2 * torch.finfo(torch.float64).eps)
        mean = gram.diagonal().real.mean()
        # An empty slice has a zero matrix; any positive weight gives it the weights zero.
        gram.diagonal().add_(share * torch.where(mean > 0, mean, 1.0))
        weights = torch.cholesky_solve(right, torch.linalg.cholesky(gram))
        return weights.view(len(offsets), -1, self.coils, self.coils).movedim(1, 0)

    def _products(self, one: int, other: int, first: int, last: int) -> Tensor:
        """(taps, taps) Σ conj(line t + one) · (line t + other)ᵀ over the positions t from first to last."""
        if one > other:
            return self._products(other, one, first, last).mH
        distance = other - one
        if distance not in self.sums:
            early, late = self.samples[: self.lines - distance], self.samples[distance:]
            running = early.new_zeros(len(early) + 1, self.taps, self.taps)
            torch.cumsum(early.conj() @ late.mT, 0, out=running[1:])
            self.sums[distance] = running
        return self.sums[distance][last + one] - self.sums[distance][first + one]


def _waves(size: int, width: int) -> Tensor:
    """(size, width) what a shift by each tap of a kernel along kx is at each pixel of a centred image."""
    pixels = torch.arange(size, dtype=torch.float64) - size // 2
    taps = torch.arange(width, dtype=torch.float64) - width // 2
    angles = torch.outer(pixels, taps) * (-2 * math.pi / size)
    return torch.polar(torch.ones_like(angles), angles)


def _span(offsets: Sequence[int]) -> int:
    """Lines from the first to the last of a neighbourhood, the line that is made included."""
    return max(*offsets, 0) - min(*offsets, 0) + 1


def _widest_step(lines: Sequence[int]) -> int:
    """The largest distance between adjacent sampled lines, 1 where none is missing between them."""
    return max((after - before for before, after in pairwise(lines)), default=1)
