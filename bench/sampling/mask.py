"""The sampled positions of one volume, what they were asked to achieve, and what they do achieve."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
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
    acs_readout: tuple[int, int] | None = None
    """(start, stop) of the calibration region along kx, None where its lines are whole."""
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
    def lines_sampled(self) -> int:
        """Phase-encode lines that must be played out: those with any sample."""
        return int(self.along_ky(self.sampled).sum())

    @property
    def lines_acquired(self) -> int:
        """Phase-encode lines of the full scan."""
        return int(self.along_ky(self.acquired).sum())

    @staticmethod
    def along_ky(positions: BoolArray) -> BoolArray:
        """(ky,) True for lines with any such position."""
        return positions if positions.ndim == 1 else np.asarray(positions.any(axis=1))

    @property
    def acs_lines(self) -> int:
        return self.acs[1] - self.acs[0] if self.acs else 0

    @property
    def calibration(self) -> tuple[int, int] | None:
        """(start, stop) of the lines that maps may be estimated from: the ACS, or all lines where none is left out."""
        if self.acs is None and self.axes == ("ky",) and np.array_equal(self.sampled, self.acquired):
            lines = np.flatnonzero(self.acquired)
            return int(lines[0]), int(lines[-1]) + 1
        return self.acs

    @property
    def acceleration(self) -> float:
        """What the mask achieves: acquired over sampled. The nominal R stands beside it."""
        return int(self.acquired.sum()) / int(self.sampled.sum())

    @property
    def hash(self) -> str:
        """SHA-256 of axes, shape and sampled positions."""
        head = json.dumps([self.axes, self.sampled.shape]).encode()
        return hashlib.sha256(head + np.packbits(self.sampled).tobytes()).hexdigest()
