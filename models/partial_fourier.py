"""What the partial Fourier methods share: which lines one side lacks, and the phase that stands in for them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..bench.errors import NotApplicable
from ..bench.operators import to_image
from ..bench.sampling.mask import Mask

_FLAT = 0.5
"""Share of the symmetric part over which its window is flat."""


@dataclass(frozen=True, kw_only=True)
class OneSided:
    """Lines sampled without a gap, further to one side of the centre of k-space than to the other."""

    first: int
    last: int
    """The outermost sampled lines."""
    lines: int
    """Along ky."""

    @classmethod
    def of(cls, mask: Tensor) -> OneSided:
        """Of a (ky, 1) mask that `check` let pass."""
        sampled = mask[:, 0].nonzero()[:, 0]
        return cls(first=int(sampled[0]), last=int(sampled[-1]), lines=mask.shape[0])

    @property
    def centre(self) -> int:
        return self.lines // 2

    @property
    def reach(self) -> int:
        """Lines to either side of the centre that have their mirror image: the symmetric part."""
        return min(self.centre - self.first, self.last - self.centre)

    @property
    def partial(self) -> bool:
        """Whether one side reaches further, by more than the one line that an even number of lines has anyway."""
        return abs((self.centre - self.first) - (self.last - self.centre)) > 1

    def outwards(self, mask: Tensor) -> Tensor:
        """(ky, 1) distance from the centre of k-space, positive on the side that was sampled further."""
        distance = torch.arange(self.lines, device=mask.device)[:, None] - self.centre
        return distance if self.last - self.centre > self.centre - self.first else -distance

    def filled(self, mask: Tensor) -> Tensor:
        """(ky, 1) bool: the sampled lines and their mirror images; what lies further out is zero padding."""
        outwards = self.outwards(mask)
        return mask | ((outwards < 0) & (-outwards <= outwards[mask].max()))

    def phase(self, columns: Tensor, mask: Tensor) -> Tensor:
        """Unit phase factors of the image that the symmetric part makes under a window, flat inside and falling as cos².

        A window that falls from the centre on, such as Hann's, blurs the phase for nothing; one that does not fall makes it ring.

        Args:
            columns: (..., ky, kx) image along kx and k-space along ky.
            mask: (ky, 1) the sampled lines.

        Returns:
            (..., ky, kx), 0 where that image is 0.
        """
        distance = self.outwards(mask).abs().to(columns.real.dtype) / (self.reach + 1)
        falling = ((distance - _FLAT) / (1 - _FLAT)).clamp(0, 1)
        window = torch.cos(falling * (torch.pi / 2)).square()
        return torch.sgn(to_image(columns * window, (-2,)))


def check_one_sided(mask: Mask, method: str) -> None:
    """Refuses all masks but one side of k-space without a gap, and full ones.

    Args:
        mask: of a volume; zero padding is no gap.
        method: who asks.

    Raises:
        NotApplicable: named, with what to do instead.
    """
    instead = "use sampling=partial_fourier sampling.acceleration=1, or model=sense"
    if mask.axes != ("ky",):
        raise NotApplicable(f"{method} mirrors whole lines and {mask.pattern} sampling leaves out single samples: {instead}")
    sampled = mask.sampled.nonzero()[0].tolist()
    if gaps := sampled[-1] - sampled[0] + 1 - len(sampled):
        raise NotApplicable(
            f"{method} mirrors one side of k-space and {mask.pattern} sampling leaves out {gaps} lines between others: {instead}"
        )
    side = OneSided(first=sampled[0], last=sampled[-1], lines=mask.sampled.size)
    if side.partial and side.reach < 1:
        raise NotApplicable(
            f"{method} takes the phase from lines on both sides of the centre of k-space, line {side.centre}, and lines "
            f"{side.first} to {side.last} are sampled: raise sampling.fraction, or use model=zero_filled"
        )
    low, high = min(side.first, 2 * side.centre - side.last), max(side.last, 2 * side.centre - side.first)
    # One line without a mirror image is that of an even number of lines.
    if (lost := int(mask.acquired[:low].sum() + mask.acquired[high + 1 :].sum())) > 1:
        raise NotApplicable(
            f"{method} mirrors one side of k-space and {mask.pattern} sampling leaves out {lost} lines on both sides: {instead}"
        )
