"""What work cost in energy, part by part, and an honest null where nothing counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..quantity import Quantity

METHODS = ("measured_wall", "measured_counter", "integrated_power", "literature", "assumed", "unavailable")
"""How an energy was obtained, the most trustworthy first: a sum is worth what its worst part is."""


@dataclass(frozen=True, kw_only=True)
class EnergyRecord:
    """Energy of one piece of work: a volume's reconstruction, a training."""

    parts: Mapping[str, Quantity]
    """Of every part of the machine that the work needed (`gpu`, `cpu`, `dram`; `wall` is all of them), what it took [J]."""
    idle: Mapping[str, Quantity] = field(default_factory=dict)
    """What the parts would have taken in that time had nothing been done [J]."""
    flags: tuple[str, ...] = ()
    """What makes the figures doubtful."""
    state: Mapping[str, str] = field(default_factory=dict)
    """Of the device while it was measured: driver, limits, clocks, temperature."""

    @property
    def total(self) -> Quantity:
        """Sum of the parts [J]; None while any of them is."""
        return added(self.parts)

    @property
    def net(self) -> Quantity:
        """What the work added to an idle machine [J]; None where the machine was not watched idle."""
        missing = [f"{name}: it was not watched idle" for name in self.parts if name not in self.idle]
        if missing and self.total.value is not None:
            return Quantity.unmeasured("J", "; ".join(missing))
        differences = {name: _less(part, self.idle[name]) for name, part in self.parts.items() if name in self.idle}
        return added({**self.parts, **differences})

    def noted(self, flag: str) -> EnergyRecord:
        """The same with one more thing to know; nothing is doubtful of what was not measured."""
        return self if self.total.value is None else replace(self, flags=(*self.flags, flag))

    def scaled(self, factor: float) -> EnergyRecord:
        """Of so many times the work."""
        return EnergyRecord(
            parts={name: _times(part, factor) for name, part in self.parts.items()},
            idle={name: _times(part, factor) for name, part in self.idle.items()},
            flags=self.flags,
            state=self.state,
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "parts": {name: part.as_dict() for name, part in self.parts.items()},
            "idle": {name: part.as_dict() for name, part in self.idle.items()},
            "flags": list(self.flags),
            "state": dict(self.state),
            "total": self.total.as_dict(),
            "net": self.net.as_dict(),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> EnergyRecord:
        """The inverse of `as_dict`."""
        parts, idle = ({name: Quantity(**part) for name, part in content[key].items()} for key in ("parts", "idle"))
        return cls(parts=parts, idle=idle, flags=tuple(content["flags"]), state=content["state"])


def unmeasured_energy(reason: str) -> EnergyRecord:
    """Of work that no meter was near."""
    return EnergyRecord(parts={"machine": Quantity.unmeasured("J", reason)})


def worst(methods: Iterable[str]) -> str:
    """The least trustworthy of some methods."""
    return max(methods, key=METHODS.index)


def added(parts: Mapping[str, Quantity]) -> Quantity:
    """The sum [J], with the worst method; ranges are added, as if all erred to the same side. None while any part is."""
    missing = [f"{name}: {part.reason}" for name, part in parts.items() if part.value is None]
    if missing or not parts:
        return Quantity.unmeasured("J", "; ".join(missing) or "nothing was measured")
    known = list(parts.values())
    ends: list[float | None] = []
    for end in ("low", "high"):
        values = [getattr(part, end) for part in known]
        ends.append(None if None in values else sum(values))
    return Quantity(
        value=sum(part.value or 0.0 for part in known),
        unit="J",
        method=worst(part.method for part in known),
        low=ends[0],
        high=ends[1],
        reason=None if None not in ends else next((part.reason for part in known if part.reason), "no range"),
    )


def _less(gross: Quantity, idle: Quantity) -> Quantity:
    """What is left, with the range of the gross value: the idle power's own error is small beside it."""
    if gross.value is None or idle.value is None:
        return gross if gross.value is None else idle
    return _moved(gross, -idle.value)


def _moved(quantity: Quantity, by: float) -> Quantity:
    low, high = (None if end is None else end + by for end in (quantity.low, quantity.high))
    assert quantity.value is not None
    return Quantity(
        value=quantity.value + by, unit=quantity.unit, method=quantity.method, low=low, high=high, reason=quantity.reason
    )


def _times(quantity: Quantity, factor: float) -> Quantity:
    if quantity.value is None:
        return quantity
    low, high = (None if end is None else end * factor for end in (quantity.low, quantity.high))
    return Quantity(
        value=quantity.value * factor, unit=quantity.unit, method=quantity.method, low=low, high=high, reason=quantity.reason
    )
