"""The ledger of an exam: scanner energy saved, less reconstruction, less its share of the training.

    saved = (P_scan − P_after) · Δt · cooling       P_after: the state that the freed minutes are spent in
    net   = saved − reconstruction − training / exams
    break-even = training / (saved − reconstruction)

All in kWh and kg CO2e, by Monte Carlo over the ranges. A term that nobody measured makes the net null; what is known stands
beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..energy.record import METHODS, worst
from ..errors import HalfscanError
from ..quantity import Quantity
from .site import Figure, Grid, Scanner, Service

SCENARIOS = ("prepared", "idle", "refilled")
"""What becomes of the freed minutes: the scanner waits ready, is idle, or scans another patient."""
TERMS = ("scanner", "reconstruction", "training")
"""Of the net, in the order of the formula above."""
DRAWS = 10_000
J_A_KWH = 3.6e6
_UNITS = {
    "scan power": "kW",
    "power afterwards": "kW",
    "seconds saved": "s",
    "cooling": "1",
    "reconstruction": "J",
    "reconstruction replaced": "J",
    "training": "J",
}
_Draws = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Exam:
    """What one exam changes, series by series alike.

    Raises:
        HalfscanError: a quantity in another unit: J for kWh is refused.
    """

    seconds_saved: Quantity
    """[s] a series: reference less candidate."""
    reconstruction: Quantity
    """[J] a series, of the candidate's."""
    baseline: Quantity
    """[J] a series, of the reconstruction that it takes the place of."""
    training: Quantity
    """[J] of all training."""

    def __post_init__(self) -> None:
        for name, unit in (("seconds_saved", "s"), ("reconstruction", "J"), ("baseline", "J"), ("training", "J")):
            found = getattr(self, name).unit
            if found != unit:
                raise HalfscanError(f"the ledger's {name} is in {found} and must be in {unit}")


@dataclass(frozen=True, kw_only=True)
class Lever:
    """What one input's range alone makes of an exam's sum."""

    name: str
    unit: str
    low: float
    """Ends of its range [unit]."""
    high: float
    at_low: float
    """[kWh] the sum there, everything else in the middle of its range."""
    at_high: float

    @property
    def reach(self) -> float:
        """[kWh] between the two."""
        return abs(self.at_high - self.at_low)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One scenario of the ledger."""

    scenario: str
    terms: Mapping[str, Quantity]
    """`scanner`, `reconstruction`, `training` [kWh] an exam; what is saved is positive, what is spent negative."""
    net: Quantity
    """[kWh] an exam."""
    carbon: Quantity
    """[kg CO2e] an exam, with the computer's making."""
    known: Quantity
    """[kWh] sum of the terms that are known; the net where all are."""
    break_even: Quantity
    """[1] exams until the training is paid back."""
    never: float | None
    """Probability that it never is; None where that is unknown."""
    outer: bool
    """Whether the scanner's ranges span several scanners: intervals are then no wider than these bounds, and maybe narrower."""
    bounds: Quantity
    """[kWh] the farthest that the scanner's term can be from either end of the ranges."""
    site: bool
    """Whether the site's own consumption changes; with another patient in the gap only that of an exam does."""
    levers: tuple[Lever, ...]
    """What `known` depends on most, the widest first; inputs without a range are none."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        named = {name: getattr(self, name).as_dict() for name in ("net", "carbon", "known", "break_even", "bounds")}
        terms = {name: term.as_dict() for name, term in self.terms.items()}
        levers = [asdict(lever) for lever in self.levers]
        plain = {"scenario": self.scenario, "never": self.never, "outer": self.outer, "site": self.site}
        return {**plain, "terms": terms, **named, "levers": levers}


def ledger(
    exam: Exam, scanner: Scanner, site: Grid, computer: Grid, service: Service, *, draws: int = DRAWS, seed: int = 0
) -> list[Entry]:
    """All scenarios of one exam.

    Args:
        exam: what changes.
        scanner: whose power is saved.
        site: the scanner's grid.
        computer: the grid of reconstruction and training.
        service: how many exams share a training.
        draws: of the Monte Carlo.
        seed: of the draws; the same for every scenario, so that they differ by the scenario alone.
    """
    return [_entry(scenario, exam, scanner, site, computer, service, draws, seed) for scenario in SCENARIOS]


def _entry(
    scenario: str, exam: Exam, scanner: Scanner, site: Grid, computer: Grid, service: Service, draws: int, seed: int
) -> Entry:
    rng = np.random.default_rng(seed)
    # Drawn in one order whatever the scenario, and every one of them, so that scenarios share their draws.
    power = {state: _uniform(scanner.power(state), rng, draws) for state in ("scan", "prepared", "idle")}
    seconds = _spread(exam.seconds_saved, rng, draws)
    cooling = rng.uniform(*scanner.cooling, draws)
    spent, baseline, training = (
        _spread(one, rng, draws) for one in (exam.reconstruction, exam.baseline, _training(exam, service))
    )
    here, there = (_uniform(grid.figure, rng, draws) for grid in (site, computer))

    inputs = {
        "scan power": power["scan"],
        "power afterwards": power["scan"] if scenario == "refilled" else power[scenario],
        "seconds saved": seconds,
        "cooling": cooling,
        "reconstruction": spent,
        "reconstruction replaced": np.zeros(draws) if baseline is None else baseline,
        "training": training,
    }
    drawn = _balance(inputs, service)
    saved, recon, share = (drawn[name] for name in TERMS)
    methods = {
        "scanner": worst([scanner.method, _ranked(exam.seconds_saved)]),
        "reconstruction": worst(
            [exam.reconstruction.method, exam.baseline.method if exam.baseline.value is not None else "assumed"]
        ),
        "training": _training(exam, service).method,
    }
    reasons = {"scanner": exam.seconds_saved, "reconstruction": exam.reconstruction, "training": _training(exam, service)}
    terms = {name: _quantity(values, "kWh", methods[name], reasons[name].reason) for name, values in drawn.items()}
    missing = [f"{name}: {terms[name].reason}" for name, values in drawn.items() if values is None]
    known = [values for values in drawn.values() if values is not None]
    total = np.sum(known, axis=0) if known else None
    method = worst(methods[name] for name, values in drawn.items() if values is not None) if known else "unavailable"
    net = None if missing else total
    carbon = None
    if saved is not None and recon is not None and share is not None:
        carbon = (saved * here + (recon + share) * there) / 1000 - service.embodied_kg / service.exams
    even, never = _break_even(saved, recon, training, service)
    return Entry(
        scenario=scenario,
        terms=terms,
        net=_quantity(net, "kWh", method, "; ".join(missing)),
        carbon=_quantity(carbon, "kg", worst([method, "literature"]), "; ".join(missing)),
        known=_quantity(total, "kWh", method, "nothing is known"),
        break_even=even,
        never=never,
        outer=scanner.several and scenario != "refilled",
        bounds=_bounds(scenario, exam, scanner, service),
        site=scenario != "refilled",
        levers=tuple(_levers(scenario, exam, scanner, service)),
    )


def _balance(inputs: Mapping[str, Any], service: Service) -> dict[str, Any]:
    """Terms [kWh] an exam, of numbers or of draws; None where what it needs is."""
    seconds, reconstruction, training = (inputs[name] for name in ("seconds saved", "reconstruction", "training"))
    kwh = service.pue / J_A_KWH
    hours = None if seconds is None else service.series * seconds / 3600
    power = inputs["scan power"] - inputs["power afterwards"]
    more = None if reconstruction is None else reconstruction - inputs["reconstruction replaced"]
    return {
        "scanner": None if hours is None else power * hours * inputs["cooling"],
        "reconstruction": None if more is None else -more * service.series * kwh,
        "training": None if training is None else -training * kwh / service.exams,
    }


def _levers(scenario: str, exam: Exam, scanner: Scanner, service: Service) -> list[Lever]:
    """What the sum of the known terms depends on most: each input alone at either end of its range, the others in the middle."""
    scan, training = scanner.power("scan"), _training(exam, service)
    ranges: dict[str, tuple[float, float] | None] = {
        "scan power": (scan.low, scan.high),
        "seconds saved": _ends(exam.seconds_saved),
        "cooling": scanner.cooling,
        "reconstruction": _ends(exam.reconstruction),
        "reconstruction replaced": _ends(exam.baseline) or (0.0, 0.0),
        "training": _ends(training),
    }
    if scenario != "refilled":
        after = scanner.power(scenario)
        ranges["power afterwards"] = (after.low, after.high)
    middle = {name: None if ends is None else sum(ends) / 2 for name, ends in ranges.items()}

    def total(changed: Mapping[str, float]) -> float:
        inputs = {**middle, **changed}
        inputs.setdefault("power afterwards", inputs["scan power"])
        return sum(term for term in _balance(inputs, service).values() if term is not None)

    found = []
    for name, ends in ranges.items():
        if ends is not None and ends[0] < ends[1]:
            at_low, at_high = (total({name: end}) for end in ends)
            found.append(Lever(name=name, unit=_UNITS[name], low=ends[0], high=ends[1], at_low=at_low, at_high=at_high))
    return sorted((one for one in found if one.reach > 0), key=lambda one: -one.reach)


def _ends(quantity: Quantity) -> tuple[float, float] | None:
    if quantity.value is None:
        return None
    low, high = (quantity.value if end is None else end for end in (quantity.low, quantity.high))
    return low, high


def _training(exam: Exam, service: Service) -> Quantity:
    """As counted, or as the service states it."""
    if service.training_kwh is None or exam.training.value == 0:
        return exam.training  # what trains nothing is charged nothing
    stated = service.training_kwh * J_A_KWH
    return Quantity(value=stated, unit="J", method=service.training_method, low=stated, high=stated)


def _ranked(seconds: Quantity) -> str:
    """A method of seconds among those of energies: modelled seconds are worth what the literature is."""
    return seconds.method if seconds.method in METHODS else {"measured": "measured_counter"}.get(seconds.method, "literature")


def _uniform(figure: Figure, rng: np.random.Generator, draws: int) -> _Draws:
    return rng.uniform(figure.low, figure.high, draws)


def _spread(quantity: Quantity, rng: np.random.Generator, draws: int) -> _Draws | None:
    """A value with a range: uniform over it; one without is what it is. The generator moves on alike."""
    uniform = rng.uniform(0, 1, draws)
    if quantity.value is None:
        return None
    low = quantity.value if quantity.low is None else quantity.low
    high = quantity.value if quantity.high is None else quantity.high
    return low + (high - low) * uniform


def _quantity(values: _Draws | None, unit: str, method: str, reason: str | None) -> Quantity:
    if values is None:
        return Quantity.unmeasured(unit, reason or "unknown")
    low, middle, high = np.quantile(values, (0.025, 0.5, 0.975))
    return Quantity(value=float(middle), unit=unit, method=method, low=float(low), high=float(high))


def _bounds(scenario: str, exam: Exam, scanner: Scanner, service: Service) -> Quantity:
    seconds = exam.seconds_saved
    if seconds.value is None:
        return Quantity.unmeasured("kWh", seconds.reason or "unknown")
    if scenario == "refilled":
        return Quantity(value=0.0, unit="kWh", method="assumed", low=0.0, high=0.0)
    scan, after = scanner.power("scan"), scanner.power(scenario)
    times = [service.series * (seconds.value if end is None else end) / 3600 for end in (seconds.low, seconds.high)]
    corners = [
        kw * hours * cooling
        for kw in (scan.low - after.high, scan.high - after.low)
        for hours in times
        for cooling in scanner.cooling
    ]
    middle = (min(corners) + max(corners)) / 2
    return Quantity(value=middle, unit="kWh", method=scanner.method, low=min(corners), high=max(corners))


def _break_even(
    saved: _Draws | None, recon: _Draws | None, training: _Draws | None, service: Service
) -> tuple[Quantity, float | None]:
    if saved is None or recon is None or training is None:
        return Quantity.unmeasured("1", "a term is unknown"), None
    if not training.any():
        return Quantity.unmeasured("1", "nothing was trained: nothing is to be paid back"), None
    gain = saved + recon
    never = float(np.mean((gain <= 0) & (training > 0)))
    exams = np.where(
        training > 0, np.divide(training * service.pue / J_A_KWH, gain, out=np.full_like(gain, np.inf), where=gain > 0), 0
    )
    low, middle, high = np.quantile(exams, (0.025, 0.5, 0.975), method="nearest")
    if not np.isfinite(middle):
        return Quantity.unmeasured("1", f"never, with a probability of {never:.0%}"), never
    reason = None if np.isfinite(high) else f"no upper end: never, with a probability of {never:.0%}"
    top = float(high) if np.isfinite(high) else None
    return Quantity(value=float(middle), unit="1", method="modelled", low=float(low), high=top, reason=reason), never
