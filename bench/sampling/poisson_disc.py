"""Poisson disc: single samples of the ky–kx plane that keep their distance from each other, denser at the centre.

On a 2D scan the readout is sampled anyway, so leaving samples out along kx saves no scan time, and the scan seconds say so.
The pattern is for algorithms, and for planes of a 3D scan whose readout was transformed already.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..acquisition import BoolArray
from ..errors import HalfscanError
from .mask import Mask
from .pattern import Sampling, central_start

_HALVINGS = 12


@dataclass(frozen=True, kw_only=True)
class PoissonDisc(Sampling):
    """Exactly 1/R of the samples, a fully sampled central square of `acs_lines` included.

    Dart throwing on the grid: in random order a sample is taken unless one taken before has it within its radius, which
    grows linearly from the centre. The radius is the largest that leaves enough samples; surplus ones are dropped at random.
    Source: Bridson, SIGGRAPH sketches (2007), for the idea; Lustig & Pauly, Magn Reson Med 64:457 (2010), for its use.

    Raises:
        HalfscanError: a negative slope.
    """

    slope: float = 2.0
    """The radius at the edge of k-space is (1 + slope) times that at its centre."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.slope <= 20:
            raise HalfscanError(f"sampling.slope={self.slope} must lie between 0 and 20")

    def draw(
        self, acquired: BoolArray, digest: str, replicate: int = 0, *, readout: int = 1, file_name: str | None = None
    ) -> Mask:
        n = acquired.size
        count = self.central_lines(n)
        if count > readout:
            raise HalfscanError(f"sampling.acs_lines={count} is larger than the {readout} samples along kx")
        rows, columns = (slice(central_start(size, count), central_start(size, count) + count) for size in (n, readout))
        plane = np.repeat(acquired[:, None], readout, axis=1)
        centre = np.zeros_like(plane)
        centre[rows, columns] = True
        centre &= plane
        target = round(plane.sum() / self.acceleration)
        if target < centre.sum():
            raise HalfscanError(
                f"a central square of {count} × {count} alone is more than 1/{self.acceleration:g} of {n} × {readout} samples: "
                "lower sampling.acceleration or take fewer ACS lines"
            )
        sampled = plane if self.nominal == 1 else self._scatter(plane, centre, target, self.rng(digest, replicate, file_name))
        central = np.flatnonzero(centre.any(axis=1))
        return Mask(
            axes=("ky", "kx"),
            sampled=sampled,
            acquired=plane.copy(),
            acs=(int(central[0]), int(central[-1]) + 1) if central.size else None,
            acs_readout=(columns.start, columns.stop) if central.size else None,
            nominal=self.nominal,
            pattern=self.pattern,
            spec=self.spec(),
            replicate=replicate,
        )

    def _scatter(self, plane: BoolArray, centre: BoolArray, target: int, rng: np.random.RandomState) -> BoolArray:
        order = rng.permutation(np.flatnonzero(plane & ~centre))
        growth = 1 + self.slope * self.distance(plane.shape)
        low, high = 0.0, float(max(plane.shape))
        best = plane & ~centre  # a radius of nothing takes every sample
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            taken = throw_darts(order, growth * middle, plane.shape)
            if taken.sum() + centre.sum() >= target:
                low, best = middle, taken
            else:
                high = middle
        surplus = int(best.sum() + centre.sum()) - target
        flat = best.ravel().copy()
        flat[rng.choice(np.flatnonzero(flat), size=surplus, replace=False)] = False
        return flat.reshape(plane.shape) | centre

    @staticmethod
    def distance(shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
        """(ky, kx) distance from the centre of k-space, 1 at the middle of an edge."""
        y, x = (np.abs(np.arange(n) - n // 2) / max(n // 2, 1) for n in shape)
        return np.hypot(y[:, None], x[None])


def throw_darts(order: npt.NDArray[np.int64], radius: npt.NDArray[np.float64], shape: tuple[int, ...]) -> BoolArray:
    """Takes grid positions in order, each unless it lies within the radius of one taken before.

    Args:
        order: flat positions.
        radius: (ky, kx) of each position [samples].
        shape: (ky, kx).

    Returns:
        (ky, kx) True where taken.
    """
    height, width = shape
    taken = np.zeros(shape, dtype=bool)
    free = np.ones(shape, dtype=bool)
    for position in order:
        y, x = divmod(int(position), width)
        if not free[y, x]:
            continue
        taken[y, x] = True
        reach = float(radius[y, x])
        cells = int(reach)
        top, left = max(y - cells, 0), max(x - cells, 0)
        rows, columns = np.ogrid[top - y : min(y + cells + 1, height) - y, left - x : min(x + cells + 1, width) - x]
        free[top : y + cells + 1, left : x + cells + 1] &= rows**2 + columns**2 >= reach**2
        free[y, x] = False
    return taken
