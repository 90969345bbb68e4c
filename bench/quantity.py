"""A number with its unit, how it was obtained, its range, or the reason why there is none."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """A value that can be absent, but never silently: **unmeasured is None, never 0**.

    Raises:
        ValueError: a value that is not finite, None without a reason, or a range that does not hold the value.
    """

    value: float | None
    """The number in `unit`, or None where it was not measured."""
    unit: str
    """SI unit, `1` for a ratio."""
    method: str
    """How it was obtained, such as `measured`, `modelled`, `assumed`, `unavailable`."""
    low: float | None = None
    """Lower end of the range or confidence interval."""
    high: float | None = None
    """Upper end of the range or confidence interval."""
    reason: str | None = None
    """Why the value, or its range, is None."""

    def __post_init__(self) -> None:
        if self.value is None:
            if not self.reason:
                raise ValueError("a Quantity without a value needs a reason")
            return
        for name in ("value", "low", "high"):
            number = getattr(self, name)
            if number is not None and not math.isfinite(number):
                raise ValueError(f"{name} is {number}: a Quantity is finite or None with a reason")
        if (self.low is not None and self.low > self.value) or (self.high is not None and self.high < self.value):
            raise ValueError(f"the range [{self.low}, {self.high}] does not hold the value {self.value}")

    @classmethod
    def unmeasured(cls, unit: str, reason: str) -> Quantity:
        """A quantity that nobody measured, and why."""
        return cls(value=None, unit=unit, method="unavailable", reason=reason)

    def as_dict(self) -> dict[str, Any]:
        """All fields, for JSON."""
        return asdict(self)


def is_number(value: object, *, whole: bool = False) -> bool:
    """Whether a setting from YAML, where anything can stand, is a finite number."""
    kinds = (int,) if whole else (int, float)
    return isinstance(value, kinds) and not isinstance(value, bool) and math.isfinite(value)
