"""A wall meter's reading, typed in: what the whole machine took from the socket, the best evidence there is."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import HalfscanError
from ..quantity import Quantity, is_number
from .meter import Window
from .record import EnergyRecord

SHORTEST_S = 600.0
"""MLPerf Power asks for as long a run under a wall meter."""
_J_A_KWH = 3.6e6


@dataclass(frozen=True, kw_only=True)
class WallMeter:
    """A reading over so many volumes, reconstructed one after the other with these very settings on an otherwise quiet machine.

    Raises:
        HalfscanError: a figure that can't be, or a reading over too short a time.
    """

    kwh: float
    """Difference of two readings [kWh]."""
    resolution_kwh: float
    """Last digit that the meter shows [kWh]: each reading is off by half of it at most."""
    seconds: float
    """Time between the readings [s]."""
    volumes: int
    """Reconstructed in that time."""
    idle_w: float | None = None
    """What the meter shows when the machine is idle [W]."""

    def __post_init__(self) -> None:
        for name in ("kwh", "resolution_kwh", "seconds", "volumes"):
            value = getattr(self, name)
            if not is_number(value, whole=name == "volumes") or not value > 0:
                raise HalfscanError(f"energy.{name}={value} must be a positive {'whole ' if name == 'volumes' else ''}number")
        if self.resolution_kwh > self.kwh / 2:
            raise HalfscanError(f"energy.resolution_kwh={self.resolution_kwh:g} can't tell kwh={self.kwh:g}: read it over longer")
        if self.seconds < SHORTEST_S:
            raise HalfscanError(f"energy.seconds={self.seconds:g}: a wall meter is read over {SHORTEST_S:g} s at least")
        watts = self.kwh * _J_A_KWH / self.seconds
        if not 1 < watts < 20_000:
            raise HalfscanError(
                f"energy.kwh={self.kwh:g} in {self.seconds:g} s are {watts:.3g} W: no computer; kwh is in kWh, not J"
            )
        if self.idle_w is not None and not (is_number(self.idle_w) and 0 <= self.idle_w <= watts):
            raise HalfscanError(f"energy.idle_w={self.idle_w} must lie between 0 and the {watts:.3g} W of the reading")

    def measure(self, work: Callable[[], None], device: str) -> EnergyRecord:
        scale = _J_A_KWH / self.volumes
        wall = Quantity(
            value=self.kwh * scale,
            unit="J",
            method="measured_wall",
            low=max(0.0, self.kwh - self.resolution_kwh) * scale,
            high=(self.kwh + self.resolution_kwh) * scale,
        )
        if self.idle_w is None:
            return EnergyRecord(parts={"wall": wall})
        idle = Quantity(
            value=self.idle_w * self.seconds / self.volumes, unit="J", method="measured_wall", reason="as read: no interval"
        )
        return EnergyRecord(parts={"wall": wall}, idle={"wall": idle})

    def window(self, device: str) -> Window:
        return Window({"wall": "the wall meter was read over reconstructions, and this is none"}, 0.0, time.monotonic)
