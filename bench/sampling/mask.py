"""The sampled lines of one volume, what they were asked to achieve, and what they do achieve."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ..acquisition import Axis, BoolArray
from ..errors import HalfscanError


@dataclass(frozen=True, kw_only=True, eq=False)
class Mask:
    """A sampling mask over the encoded axes, shared bit for bit by all models at one sampling spec."""

    axes: tuple[Axis, ...]
    """The axes that `sampled` runs over: ("ky",) for whole lines."""
    sampled: BoolArray
    """True where k-space is sampled; never True where nothing was acquired."""
    acquired: BoolArray
    """True where the full scan sampled; the acceleration is counted against these."""
    acs: tuple[int, int] | None
    """(start, stop) of the fully sampled auto-calibration lines along ky, None without them."""
    nominal: float
    """The acceleration asked for."""
    pattern: str
    spec: dict[str, Any] = field(default_factory=dict)
    """The settings that the pattern was drawn with."""
    replicate: int = 0

    def __post_init__(self) -> None:
        if self.sampled.shape != self.acquired.shape or self.sampled.ndim != len(self.axes):
            raise HalfscanError(f"a mask of shape {self.sampled.shape} does not fit the axes {self.axes}")
        if not self.sampled.any():
            raise HalfscanError(f"{self.pattern} sampling {self.spec} keeps no line of {self.acquired.size}")
        self.sampled.setflags(write=False)

    @property
    def n_sampled(self) -> int:
        return int(self.sampled.sum())

    @property
    def n_acquired(self) -> int:
        return int(self.acquired.sum())

    @property
    def acs_lines(self) -> int:
        return self.acs[1] - self.acs[0] if self.acs else 0

    @property
    def calibration(self) -> tuple[int, int] | None:
        """(start, stop) of the lines that maps may be estimated from: the ACS, or all lines where none is left out."""
        if self.acs is None and self.n_sampled == self.n_acquired and self.axes == ("ky",):
            lines = np.flatnonzero(self.acquired)
            return int(lines[0]), int(lines[-1]) + 1
        return self.acs

    @property
    def acceleration(self) -> float:
        """What the mask achieves: acquired over sampled. The nominal R stands beside it."""
        return self.n_acquired / self.n_sampled

    @property
    def hash(self) -> str:
        """SHA-256 of axes, shape and sampled positions."""
        head = json.dumps([self.axes, self.sampled.shape]).encode()
        return hashlib.sha256(head + np.packbits(self.sampled).tobytes()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class LineSampling:
    """Base of the patterns that keep whole phase-encode lines plus a centred block of ACS lines.

    Raises:
        HalfscanError: an acceleration below 1 or not finite, both or neither of `acs_lines` and `center_fraction`.
    """

    acceleration: float
    """Nominal R."""
    acs_lines: int | None = None
    """Fully sampled central lines; 0 for a mask without a centre."""
    center_fraction: float | None = None
    """The same as a fraction of the lines along ky, as fastMRI states it."""

    def __post_init__(self) -> None:
        if not math.isfinite(self.acceleration) or self.acceleration < 1:
            raise HalfscanError(f"sampling.acceleration={self.acceleration} must be at least 1")
        if (self.acs_lines is None) == (self.center_fraction is None):
            raise HalfscanError(
                f"sampling.acs_lines={self.acs_lines} and sampling.center_fraction={self.center_fraction}: "
                "give one of the two and set the other to null"
            )
        if self.acs_lines is not None and self.acs_lines < 0:
            raise HalfscanError(f"sampling.acs_lines={self.acs_lines} must not be negative")
        if self.center_fraction is not None and not 0 <= self.center_fraction <= 1:
            raise HalfscanError(f"sampling.center_fraction={self.center_fraction} must lie between 0 and 1")

    @property
    def pattern(self) -> str:
        return type(self).__name__.lower()

    def lines(self, n: int, acs_lines: int, rng: np.random.RandomState) -> BoolArray:
        """(n,) the lines outside the centre; what is drawn inside the centre does not matter."""
        raise NotImplementedError(f"{type(self).__name__} must define lines()")

    def central_lines(self, n: int) -> int:
        """How many ACS lines this is on `n` lines.

        Raises:
            HalfscanError: more than there are.
        """
        count = round(n * self.center_fraction) if self.center_fraction is not None else self.acs_lines or 0
        if count > n:
            raise HalfscanError(f"sampling.acs_lines={count} is larger than the {n} lines along ky: use at most {n}")
        return count

    def draw(self, acquired: BoolArray, digest: str, replicate: int = 0) -> Mask:
        """Draws the mask of one volume.

        Args:
            acquired: (ky,) the lines of the full scan.
            digest: of the volume's k-space; with the spec and the replicate it is the seed, so that all models at one
                spec share the mask and two volumes do not.
            replicate: another draw of the same spec.

        Raises:
            HalfscanError: the matrix can't hold the spec, or nothing would be sampled.
        """
        n = acquired.size
        count = self.central_lines(n)
        start = (n - count + 1) // 2  # fastMRI's centre: for an even remainder exactly central
        if self.acceleration == 1:
            # Rounding inside the patterns may lose the last line; R = 1 means everything.
            sampled = np.ones(n, dtype=bool)
        else:
            sampled = self.lines(n, count, np.random.RandomState(self._seed(digest, replicate)))
            sampled[start : start + count] = True
        central = np.flatnonzero(acquired[start : start + count]) + start
        return Mask(
            axes=("ky",),
            sampled=sampled & acquired,
            acquired=acquired.copy(),
            acs=(int(central[0]), int(central[-1]) + 1) if central.size else None,
            nominal=float(self.acceleration),
            pattern=self.pattern,
            spec=asdict(self),
            replicate=replicate,
        )

    def _seed(self, digest: str, replicate: int) -> np.ndarray[Any, np.dtype[np.uint32]]:
        spec = json.dumps({"pattern": self.pattern, **asdict(self)}, sort_keys=True)
        content = hashlib.sha256(f"{digest}\0{spec}\0{replicate}".encode()).digest()
        return np.frombuffer(content, dtype="<u4").astype(np.uint32)


def outer_share(n: int, acs_lines: int, acceleration: float) -> float:
    """Lines outside the centre that are left to reach n/R in all.

    Raises:
        HalfscanError: the centre alone is more than n/R, so that R can't be achieved.
    """
    left = n / acceleration - acs_lines
    if left <= 0 and acs_lines < n:
        raise HalfscanError(
            f"{acs_lines} ACS lines alone are more than 1/{acceleration:g} of {n} lines: "
            f"lower sampling.acceleration below {n / max(acs_lines, 1):.2f} or take fewer ACS lines"
        )
    return left
