"""How far readers agree: Cohen's kappa with quadratic weights (Psychol Bull 70:213, 1968), its interval over patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from ..quantity import Quantity
from .tables import Reading

RESAMPLES = 2000
_DEFINED = 0.95
"""Share of resamples that must have a kappa, for an interval of them."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Two readers on one item."""

    item: str
    readers: tuple[int, int]
    cases: int
    """That both scored: an arm of a pair is a case."""
    kappa: Quantity
    """1: they agree in all cases; 0: as by chance."""


def agreements(readings: Mapping[str, Sequence[Reading]], patients: Mapping[str, str]) -> list[Agreement]:
    """Of all two readers, on every item that both scored.

    Args:
        readings: pair → its readings.
        patients: pair → patient; cases of one patient are resampled together.
    """
    scores: dict[tuple[str, int], dict[tuple[str, str], float]] = {}
    for pair, found in readings.items():
        for one in found:
            scores.setdefault((one.item, one.reader), {})[pair, one.arm] = one.score
    answers = []
    for (item, first), (other, second) in combinations(sorted(scores), 2):
        common = sorted(scores[item, first].keys() & scores[other, second].keys())
        if item != other or not common:
            continue
        both = np.array([[scores[item, reader][case] for case in common] for reader in (first, second)])
        kappa = _with_interval(both, [patients[pair] for pair, _ in common])
        answers.append(Agreement(item=item, readers=(first, second), cases=len(common), kappa=kappa))
    return answers


def quadratic_kappa(scores: npt.NDArray[np.float64]) -> float | None:
    """Kappa of (2, cases) scores, weighted by their squared difference; None where both are one and the same score throughout."""
    one, two = scores
    # The mean over all pairs of cases of their squared difference.
    by_chance = float(one.var() + two.var() + (one.mean() - two.mean()) ** 2)
    return None if by_chance == 0 else 1 - float(((one - two) ** 2).mean()) / by_chance


def _with_interval(scores: npt.NDArray[np.float64], patients: Sequence[str]) -> Quantity:
    value = quadratic_kappa(scores)
    if value is None:
        return Quantity.unmeasured("1", "both readers gave one score to every case: agreement by chance can't be told apart")
    names = sorted(set(patients))
    if len(names) == 1:
        return Quantity(value=value, unit="1", method="measured", reason="one patient: no confidence interval")
    cases = [np.flatnonzero([patient == name for patient in patients]) for name in names]
    rng = np.random.default_rng(0)
    drawn = (np.concatenate([cases[at] for at in rng.integers(len(names), size=len(names))]) for _ in range(RESAMPLES))
    found = [kappa for chosen in drawn if (kappa := quadratic_kappa(scores[:, chosen])) is not None]
    if len(found) < _DEFINED * RESAMPLES or min(found) == max(found):
        few = "too few differing scores for a confidence interval"
        return Quantity(value=value, unit="1", method="measured", reason=few)
    low, high = np.percentile(found, [2.5, 97.5])
    return Quantity(value=value, unit="1", method="measured", low=min(float(low), value), high=max(float(high), value))
