"""Where a scanner stands: its power in each state, its cooling, and the carbon of its grid."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..energy.record import METHODS
from ..errors import HalfscanError

STATES = ("off", "power_save", "idle", "prepared", "scan")
"""What a scanner does, in the order of its power."""
_MOST_KWH = 1e9
_MOST_KW = 200.0
"""No scanner takes more: a larger figure is in watts."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure of somebody's, with its range.

    Raises:
        HalfscanError: a range that holds no value, or a source that is not named.
    """

    low: float
    high: float
    unit: str
    method: str = "literature"
    source: str = ""
    year: int | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high):
            raise HalfscanError(f"the range {self.low:g} to {self.high:g} {self.unit} is none")
        if self.method not in METHODS:
            raise HalfscanError(f"method={self.method} is unknown: use one of {', '.join(METHODS)}")
        if self.method == "literature" and not self.source:
            raise HalfscanError(f"{self.low:g} to {self.high:g} {self.unit} from the literature: name the source")


@dataclass(frozen=True, kw_only=True)
class Scanner:
    """Power of a scanner [kW] in its states: state → (lowest, highest).

    Raises:
        HalfscanError: a state that is missing or unknown, powers that are none or in watts, or no source.
    """

    name: str
    power_kw: Mapping[str, tuple[float, float]]
    source: str
    year: int | None = None
    method: str = "literature"
    several: bool = True
    """Whether the ranges span several scanners: the lowest idle and the highest scan power are then nobody's, and differences
    are outer bounds."""
    cooling: tuple[float, float] = (1.0, 1.0)
    """What a kWh of the scanner becomes with its cooling."""
    cooling_source: str = "no cooling counted"

    def __post_init__(self) -> None:
        unknown = set(self.power_kw) - set(STATES)
        missing = {"idle", "prepared", "scan"} - set(self.power_kw)
        if unknown or missing:
            raise HalfscanError(
                f"scanner {self.name}: states are {', '.join(STATES)}; missing {sorted(missing)}, unknown {sorted(unknown)}"
            )
        for state, (low, high) in self.power_kw.items():
            if not 0 <= low <= high <= _MOST_KW:
                raise HalfscanError(f"scanner {self.name}: {state} {low:g} to {high:g} kW can't be; powers are in kW, not W")
        if len(self.cooling) != 2 or not 1 <= self.cooling[0] <= self.cooling[1] <= 3:
            raise HalfscanError(f"scanner {self.name}: cooling={tuple(self.cooling)} must lie between 1 and 3")

    def power(self, state: str) -> Figure:
        """Of a state [kW]."""
        low, high = self.power_kw[state]
        return Figure(low=low, high=high, unit="kW", method=self.method, source=self.source, year=self.year)


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Carbon intensity of electricity [g CO2e/kWh].

    Raises:
        HalfscanError: an intensity that can't be.
    """

    name: str
    intensity: float
    year: int
    source: str
    spread: float = 0.0
    """Share by which the hours in question may differ from the year's mean."""

    def __post_init__(self) -> None:
        if not 0 < self.intensity < 2000:
            raise HalfscanError(f"grid {self.name}: {self.intensity:g} g/kWh can't be; kg/kWh times 1000")
        if not 0 <= self.spread < 1:
            raise HalfscanError(f"grid {self.name}: spread={self.spread:g} must lie between 0 and 1")

    @property
    def figure(self) -> Figure:
        low, high = (self.intensity * (1 + sign * self.spread) for sign in (-1, 1))
        return Figure(low=low, high=high, unit="g/kWh", source=self.source, year=self.year)


@dataclass(frozen=True, kw_only=True)
class Service:
    """How the reconstruction serves exams: what one exam holds, and over how many a training is paid back.

    Raises:
        HalfscanError: a setting out of range.
    """

    series: int = 1
    """Series of an exam that are shortened this way."""
    exams: float = 10_000.0
    """Over the model's lifetime, all sites together."""
    pue: float = 1.0
    """Power usage effectiveness of where it is reconstructed: what a kWh of the computer becomes with its cooling."""
    training_kwh: float | None = None
    """Of all training, failed runs too, as far as nobody counted it here; None: as counted."""
    training_method: str = "assumed"
    embodied_kg: float = 0.0
    """CO2e of the computer's making, of its lifetime."""
    sources: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.series, int) or isinstance(self.series, bool) or not 1 <= self.series <= 1000:
            raise HalfscanError(f"service.series={self.series} must be a whole number from 1 to 1000")
        if not 1 <= self.exams < math.inf:
            raise HalfscanError(f"service.exams={self.exams} must be at least 1, and finite")
        if not 1 <= self.pue <= 3:
            raise HalfscanError(f"service.pue={self.pue:g} must lie between 1 and 3")
        if self.training_kwh is not None and not 0 <= self.training_kwh <= _MOST_KWH:
            raise HalfscanError(f"service.training_kwh={self.training_kwh:g} must lie between 0 and {_MOST_KWH:g}")
        if self.training_method not in METHODS:
            raise HalfscanError(f"service.training_method={self.training_method} is unknown")
        if not 0 <= self.embodied_kg < math.inf:
            raise HalfscanError(f"service.embodied_kg={self.embodied_kg:g} must not be negative")
