"""Where a scanner stands: its power in each state, its cooling, and the carbon of its grid."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..energy.record import METHODS
from ..errors import HalfscanError
from ..quantity import is_number

STATES = ("off", "power_save", "idle", "prepared", "scan")
"""What a scanner does, in the order of its power."""
STATED_METHODS = METHODS[:-1]
"""How a figure that stands here was obtained: what is unavailable has none."""
_MOST_KWH = 1e9
_MOST_KG = 1e9
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
        _check_method("method", self.method)
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
        if not isinstance(self.power_kw, Mapping):
            raise HalfscanError(f"scanner {self.name}: power_kw={self.power_kw} must give each state its range")
        unknown = set(self.power_kw) - set(STATES)
        missing = {"idle", "prepared", "scan"} - set(self.power_kw)
        if unknown or missing:
            raise HalfscanError(
                f"scanner {self.name}: states are {', '.join(STATES)}; missing {sorted(missing)}, unknown {sorted(unknown)}"
            )
        if not isinstance(self.several, bool):
            raise HalfscanError(f"scanner {self.name}: several={self.several} must be true or false")
        _check_method(f"scanner {self.name}: method", self.method)
        _check_year(f"scanner {self.name}", self.year)
        for state, ends in self.power_kw.items():
            low, high = _ends(f"scanner {self.name}: power_kw.{state}", ends)
            if not 0 <= low <= high <= _MOST_KW:
                raise HalfscanError(f"scanner {self.name}: {state} {low:g} to {high:g} kW can't be; powers are in kW, not W")
        low, high = _ends(f"scanner {self.name}: cooling", self.cooling)
        if not 1 <= low <= high <= 3:
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
        for name in ("intensity", "spread"):
            if not is_number(getattr(self, name)):
                raise HalfscanError(f"grid {self.name}: {name}={getattr(self, name)} must be a number")
        if not 0 < self.intensity < 2000:
            raise HalfscanError(f"grid {self.name}: {self.intensity:g} g/kWh can't be; kg/kWh times 1000")
        if not 0 <= self.spread < 1:
            raise HalfscanError(f"grid {self.name}: spread={self.spread:g} must lie between 0 and 1")
        _check_year(f"grid {self.name}", self.year)
        if not self.source:
            raise HalfscanError(f"grid {self.name}: name the source of its intensity")

    @property
    def in_words(self) -> str:
        """With year and source."""
        return f"{self.name} {self.intensity:g} g/kWh ({self.source}, {self.year})"

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
        if not is_number(self.series, whole=True) or not 1 <= self.series <= 1000:
            raise HalfscanError(f"service.series={self.series} must be a whole number from 1 to 1000")
        if not is_number(self.exams) or not self.exams >= 1:
            raise HalfscanError(f"service.exams={self.exams} must be at least 1, and finite")
        ends = {"pue": (1.0, 3.0), "training_kwh": (0.0, _MOST_KWH), "embodied_kg": (0.0, _MOST_KG)}
        for name, (low, high) in ends.items():
            value = getattr(self, name)
            if value is None and name == "training_kwh":
                continue
            if not is_number(value) or not low <= value <= high:
                raise HalfscanError(f"service.{name}={value} must be a number from {low:g} to {high:g}")
        _check_method("service.training_method", self.training_method)


def _check_method(what: str, method: str) -> None:
    if method not in STATED_METHODS:
        raise HalfscanError(f"{what}={method} is unknown: use one of {', '.join(STATED_METHODS)}")


def _check_year(what: str, year: Any) -> None:
    if year is not None and not (is_number(year, whole=True) and 1950 <= year <= 2100):
        raise HalfscanError(f"{what}: year={year} must be a year")


def _ends(what: str, ends: Sequence[float]) -> tuple[float, float]:
    """Of a range, from YAML, where anything can stand."""
    if not isinstance(ends, Sequence) or len(ends) != 2 or not all(is_number(end) for end in ends):
        raise HalfscanError(f"{what}={ends} must be a range of two numbers, [lowest, highest]")
    return ends[0], ends[1]
