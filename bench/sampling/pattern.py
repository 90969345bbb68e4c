"""What all patterns share: an acceleration, a fully sampled centre, and a seed that all models at one spec have in common."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from ..acquisition import BoolArray
from ..errors import HalfscanError
from .mask import Mask

Seed: TypeAlias = Literal["content", "fastmri"]


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """Base of all patterns.

    Raises:
        HalfscanError: an acceleration below 1 or not finite, both or neither of `acs_lines` and `center_fraction`.
    """

    acceleration: float
    """Nominal R."""
    acs_lines: int | None = None
    """Fully sampled central lines; 0 for a mask without a centre."""
    center_fraction: float | None = None
    """The same as a fraction of the lines along ky, as fastMRI states it."""
    seed: Seed = "content"
    """`content`: of the k-space and the spec; `fastmri`: of the file's name, as fastMRI's validation does."""

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
        if self.seed not in ("content", "fastmri"):
            raise HalfscanError(f"sampling.seed={self.seed} is unknown: use content or fastmri")

    @property
    def pattern(self) -> str:
        """The pattern's name in rows."""
        return type(self).__module__.rpartition(".")[2]

    @property
    def nominal(self) -> float:
        """The acceleration asked for."""
        return float(self.acceleration)

    def draw(
        self, acquired: BoolArray, digest: str, replicate: int = 0, *, readout: int = 1, file_name: str | None = None
    ) -> Mask:
        """Draws the mask of one volume.

        Args:
            acquired: (ky,) the lines of the full scan.
            digest: of the volume's k-space; with the spec and the replicate it is the seed, so that all models at one
                spec share the mask and two volumes do not.
            replicate: another draw of the same spec.
            readout: samples along kx, for patterns that leave some out.
            file_name: for `seed=fastmri`.

        Raises:
            HalfscanError: the matrix can't hold the spec, or nothing would be sampled.
        """
        raise NotImplementedError(f"{type(self).__name__} must define draw()")

    def central_lines(self, n: int) -> int:
        """How many ACS lines this is on `n` lines.

        Raises:
            HalfscanError: more than there are.
        """
        count = round(n * self.center_fraction) if self.center_fraction is not None else self.acs_lines or 0
        if count > n:
            raise HalfscanError(f"sampling.acs_lines={count} is larger than the {n} lines along ky: use at most {n}")
        return count

    def rng(self, digest: str, replicate: int, file_name: str | None) -> np.random.RandomState:
        """The generator of one volume's draw; the legacy one, since fastMRI's masks are drawn with it.

        Raises:
            HalfscanError: `seed=fastmri` without a file, or with another replicate: that seed has only one draw.
        """
        if self.seed == "fastmri":
            if file_name is None or replicate:
                raise HalfscanError(
                    f"sampling.seed=fastmri seeds by the file's name, and there is {file_name or 'no file'} with "
                    f"mask_replicate={replicate}: use sampling.seed=content"
                )
            return np.random.RandomState(tuple(map(ord, file_name)))
        spec = json.dumps({"pattern": self.pattern, **asdict(self)}, sort_keys=True)
        content = hashlib.sha256(f"{digest}\0{spec}\0{replicate}".encode()).digest()
        return np.random.RandomState(np.frombuffer(content, dtype="<u4").astype(np.uint32))

    def spec(self) -> dict[str, Any]:
        """All settings, as a mask keeps them."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class LineSampling(Sampling):
    """Base of the patterns that keep whole phase-encode lines."""

    def lines(self, n: int, acs_lines: int, rng: np.random.RandomState) -> BoolArray:
        """(n,) the lines outside the centre; what is drawn inside the centre does not matter."""
        raise NotImplementedError(f"{type(self).__name__} must define lines()")

    def draw(
        self, acquired: BoolArray, digest: str, replicate: int = 0, *, readout: int = 1, file_name: str | None = None
    ) -> Mask:
        n = acquired.size
        if self.nominal > n:
            raise HalfscanError(f"sampling.acceleration={self.nominal:g} is larger than the {n} lines along ky: use at most {n}")
        count = self.central_lines(n)
        start = central_start(n, count)
        if self.nominal == 1:
            # Rounding inside the patterns may lose the last line; R = 1 means everything.
            sampled = np.ones(n, dtype=bool)
        else:
            sampled = self.lines(n, count, self.rng(digest, replicate, file_name))
            sampled[start : start + count] = True
        central = np.flatnonzero(acquired[start : start + count]) + start
        return Mask(
            axes=("ky",),
            sampled=sampled & acquired,
            acquired=acquired.copy(),
            acs=(int(central[0]), int(central[-1]) + 1) if central.size else None,
            nominal=self.nominal,
            pattern=self.pattern,
            spec=self.spec(),
            replicate=replicate,
        )


def central_start(n: int, count: int) -> int:
    """First of `count` central samples of `n`, as fastMRI centres them: for an even remainder exactly central."""
    return (n - count + 1) // 2


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
