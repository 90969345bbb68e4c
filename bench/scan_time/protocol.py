"""A protocol as a scanner's console states it: what a shot costs, and what is assumed beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ..errors import HalfscanError


@dataclass(frozen=True, kw_only=True)
class ClinicalProtocol:
    """The accelerated protocol that is in clinical use today: the second baseline of every reduction."""

    name: str = "SENSE R=2"
    acceleration: float = 2.0
    """Parallel-imaging factor."""
    acs_lines: int = 24
    """Integrated reference lines."""

    def lines(self, acquired: int) -> int:
        """Lines it samples of `acquired`: N/R + ACS·(1 − 1/R), integrated reference lines counted once."""
        acs = min(self.acs_lines, acquired)
        return math.ceil(acquired / self.acceleration + acs * (1 - 1 / self.acceleration))


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """A 2D protocol as a console states it; every field is an assumption unless the data's header says the same.

    Raises:
        HalfscanError: a value that no scanner could run.
    """

    name: str
    sequence: Literal["tse", "gre"]
    tr_s: float
    """Repetition time [s]."""
    echo_train_length: int = 1
    """Lines read in one TR (turbo factor)."""
    averages: int = 1
    concatenations: int = 1
    """Passes over the stack: ceil(slices / slices that fit into one TR)."""
    dummies: int = 1
    """TRs played out before data are kept, a concatenation."""
    reference_s: float = 0.0
    """Separate reference scan [s]; 0 for integrated ACS."""
    preparation_s: float = 1.3
    """Adjustments before the first TR [s]; fitted on 2D TSE protocols of two scanners."""
    preparation_low_s: float = 0.0
    preparation_high_s: float = 5.6
    clinical: ClinicalProtocol = ClinicalProtocol()

    def __post_init__(self) -> None:
        if self.sequence not in ("tse", "gre"):
            raise HalfscanError(f"protocol.sequence={self.sequence} is unknown: use tse or gre")
        for name in ("tr_s", "echo_train_length", "averages", "concatenations"):
            _at_least(name, getattr(self, name), 0, exclusive=True)
        for name in ("dummies", "reference_s", "preparation_low_s", "preparation_s", "preparation_high_s"):
            _at_least(name, getattr(self, name), 0)
        if not self.preparation_low_s <= self.preparation_s <= self.preparation_high_s:
            raise HalfscanError(
                f"protocol.preparation_s={self.preparation_s} must lie in its range "
                f"[{self.preparation_low_s}, {self.preparation_high_s}]"
            )
        if not math.isfinite(self.clinical.acceleration) or self.clinical.acceleration < 1 or self.clinical.acs_lines < 0:
            raise HalfscanError(
                f"protocol.clinical: acceleration={self.clinical.acceleration} must be at least 1 and "
                f"acs_lines={self.clinical.acs_lines} not negative"
            )


def _at_least(name: str, value: float, bound: float, exclusive: bool = False) -> None:
    if not math.isfinite(value) or value < bound or (exclusive and value == bound):
        raise HalfscanError(f"protocol.{name}={value} must be {'above' if exclusive else 'at least'} {bound}")
