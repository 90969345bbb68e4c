"""How many patients a claim needs, and how likely an equal candidate is to pass all that it requires."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .tail import allowed_failures

_DRAWS = 20_000
_CERTAIN = 100.0
"""Standard errors beyond which a test can't go either way, and the noncentral t distribution gives no number."""


def power_t(distance: float, spread: float, patients: int, alpha: float = 0.025) -> float:
    """Power of the one-sided t test.

    Args:
        distance: of the true mean from the bound that it must lie above.
        spread: standard deviation of the patients' differences.
        patients: at least 2.
    """
    from scipy import stats

    if spread == 0:
        return 1.0 if distance > 0 else 0.0
    shift = distance / spread * math.sqrt(patients)
    if abs(shift) > _CERTAIN:
        return 1.0 if shift > 0 else 0.0
    return float(stats.nct.sf(stats.t.ppf(1 - alpha, patients - 1), patients - 1, shift))


@dataclass(frozen=True, kw_only=True)
class Gate:
    """One endpoint as planned."""

    metric: str
    distance: float
    """Of the assumed true effect from the threshold."""
    spread: float
    """Standard deviation of the patients' differences."""
    effect: float
    """Assumed true effect, on the scale of the test."""
    tail_margin: float | None = None
    tail_required: float | None = None


def joint_power(gates: Sequence[Gate], patients: int, correlation: float = 0.0, alpha: float = 0.025, seed: int = 0) -> float:
    """Share of trials in which every endpoint and every required tail holds, by simulation.

    Args:
        gates: normal differences, equally correlated.
        patients: of a trial.
        correlation: between endpoints; 0 is the cautious choice.
    """
    from scipy import stats

    rng = np.random.default_rng(seed)
    critical = float(stats.t.ppf(1 - alpha, patients - 1))
    draws = max(500, min(_DRAWS, 20_000_000 // (patients * len(gates))))
    passed = np.ones(draws, dtype=bool)
    common = rng.standard_normal((draws, patients), dtype=np.float32)
    for gate in gates:
        own = rng.standard_normal((draws, patients), dtype=np.float32)
        unit = math.sqrt(correlation) * common + math.sqrt(1 - correlation) * own
        passed &= _holds(unit, gate, critical, patients, alpha)
    return float(passed.mean())


def _holds(unit: npt.NDArray[np.float32], gate: Gate, critical: float, patients: int, alpha: float) -> npt.NDArray[np.bool_]:
    """(draws,) whether a gate holds in each trial."""
    mean, spread = unit.mean(axis=1), unit.std(axis=1, ddof=1)
    if gate.spread == 0:
        holds = np.full(unit.shape[0], gate.distance > 0)
    else:
        holds = mean + gate.distance / gate.spread > critical * spread / math.sqrt(patients)
    if gate.tail_margin is not None and gate.tail_required is not None:
        allowed = allowed_failures(patients, gate.tail_required, alpha)
        failures = (gate.effect + gate.spread * unit < -gate.tail_margin).sum(axis=1)
        holds &= failures <= allowed
    return holds


def patients_needed(
    gates: Sequence[Gate], power: float = 0.8, correlation: float = 0.0, alpha: float = 0.025, most: int = 5000
) -> int | None:
    """The fewest patients at which the joint power reaches `power`; None where even `most` do not.

    Tails move in steps, so that power is not quite monotonic in patients: a few patients fewer or more may do as well.
    """
    few, many = 3, 4
    while joint_power(gates, many, correlation, alpha) < power:
        if many >= most:
            return None
        few, many = many, min(many * 2, most)
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if joint_power(gates, middle, correlation, alpha) >= power else (middle, many)
    return many
