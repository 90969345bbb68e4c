"""Whether a feature saves energy off-peak: two logs, paired by weekday and hour, with whole days as blocks of a bootstrap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import HalfscanError
from ..quantity import Quantity
from .power_log import PowerLog

_DRAWS = 2000
_LEAST_DAYS = 14
"""Two of each weekday: with one, a bootstrap has nothing to draw from."""


@dataclass(frozen=True, kw_only=True)
class OffPeak:
    """What two logs say of a claimed saving."""

    saving: Quantity
    """[1] share of the energy of the paired hours."""
    hours: int
    """Of a week that both logs hold."""
    verdict: str
    """`supported`, `refuted` or `inconclusive`: the interval lies above the claimed share, below it, or holds it."""


def off_peak_saving(
    before: PowerLog,
    after: PowerLog,
    claimed: float,
    hours: Sequence[int] = (20, 21, 22, 23, 0, 1, 2, 3, 4, 5),
    weekend: bool = True,
) -> OffPeak:
    """The saving between two logs, and what it says of a claim.

    Args:
        before: without the feature.
        after: with it.
        claimed: share, such as 0.3.
        hours: of the site's own clock that are off-peak.
        weekend: whether all of Saturday and Sunday is, too.

    Raises:
        HalfscanError: a claim that is no share, logs of fewer than two weeks, or none of whose hours pair.
    """
    if not 0 < claimed < 1:
        raise HalfscanError(f"claimed={claimed:g} must be a share between 0 and 1")
    tables = [_by_day(log, hours, weekend) for log in (before, after)]
    for name, days in zip(("before", "after"), tables, strict=True):
        if len(days.weekday) < _LEAST_DAYS:
            raise HalfscanError(f"the log {name} holds {len(days.weekday)} days: {_LEAST_DAYS} at least, two of each weekday")
    rng = np.random.default_rng(0)
    value, paired = _saving(*tables)
    if not paired:
        raise HalfscanError("the logs have no off-peak hour of a weekday in common")
    drawn = [_saving(*(_drawn(table, rng) for table in tables))[0] for _ in range(_DRAWS)]
    low, high = (float(end) for end in np.quantile(drawn, (0.025, 0.975)))
    verdict = "supported" if low >= claimed else "refuted" if high < claimed else "inconclusive"
    saving = Quantity(value=value, unit="1", method="measured_wall", low=min(low, value), high=max(high, value))
    return OffPeak(saving=saving, hours=paired, verdict=verdict)


class _Days(NamedTuple):
    """A log day by day: a block of the bootstrap each."""

    weekday: npt.NDArray[np.int64]
    """(day,)"""
    kwh: npt.NDArray[np.float64]
    """(day, hour of the week) logged off-peak."""
    hours: npt.NDArray[np.float64]
    """(day, hour of the week) how long that was."""


def _by_day(log: PowerLog, hours: Sequence[int], weekend: bool) -> _Days:
    step = float(np.median(np.diff(log.seconds)))
    if step > 3600:
        raise HalfscanError(f"a value every {step / 3600:.3g} h can't be set to the hours of a week: log one an hour at least")
    days, place = np.unique(log.day, return_inverse=True)
    kwh, held = np.zeros((len(days), 168)), np.zeros((len(days), 168))
    quiet = np.isin(log.hour, hours) | (weekend & (log.weekday >= 5))
    slot = log.weekday * 24 + log.hour
    np.add.at(kwh, (place[quiet], slot[quiet]), (log.kw * log.held_s / 3600)[quiet])
    np.add.at(held, (place[quiet], slot[quiet]), (log.held_s / 3600)[quiet])
    return _Days((days - 1) % 7, kwh, held)  # the ordinal 1 is a Monday


def _drawn(days: _Days, rng: np.random.Generator) -> _Days:
    """Days drawn with replacement, as many of each weekday as there are."""
    own = [np.flatnonzero(days.weekday == day) for day in range(7)]
    chosen = np.concatenate([rng.choice(one, len(one)) for one in own if len(one)])
    return _Days(*(part[chosen] for part in days))


def _saving(before: _Days, after: _Days) -> tuple[float, int]:
    """Share saved over the hours of the week that both hold, each at its own mean power; how many they are."""
    powers, held = [], []
    for days in (before, after):
        total = days.hours.sum(0)
        held.append(total > 0)
        powers.append(np.divide(days.kwh.sum(0), total, out=np.zeros(168), where=total > 0))
    both = held[0] & held[1]
    base = float(powers[0][both].sum())
    if both.any() and base <= 0:
        raise HalfscanError("the log before shows no power off-peak: there is nothing to save")
    return (1 - float(powers[1][both].sum()) / base if base else 0.0), int(both.sum())
