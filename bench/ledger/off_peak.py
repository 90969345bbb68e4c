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
_LEAST_OF_A_WEEKDAY = 2
"""With one, a bootstrap has nothing to draw from."""
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_HOUR_S, _DAY_S = 3600, 86_400
_FIRST_WEEKDAY, _SATURDAY = 3, 5
"""1 January 1970 was a Thursday; Monday is 0."""


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
        HalfscanError: a claim that is no share; logs of clocks that differ or are nobody's, that overlap or come in the other
            order, without two of each weekday, or none of whose hours pair.
    """
    if not 0 < claimed < 1:
        raise HalfscanError(f"claimed={claimed:g} must be a share between 0 and 1")
    _check_clocks(before, after)
    tables = [_by_day(log, hours, weekend) for log in (before, after)]
    wanted = range(7) if hours else range(_SATURDAY, 7) if weekend else ()
    for name, days in zip(("before", "after"), tables, strict=True):
        logged = days.weekday[days.hours.sum(1) > 0]
        if few := [_WEEKDAYS[day] for day in wanted if np.count_nonzero(logged == day) < _LEAST_OF_A_WEEKDAY]:
            raise HalfscanError(f"the log {name} needs two of each weekday with off-peak hours, and lacks {', '.join(few)}")
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


def _check_clocks(before: PowerLog, after: PowerLog) -> None:
    clocks = {before.clock, after.clock}
    if "UTC" in clocks:
        raise HalfscanError(
            "stamps are in UTC, and off-peak hours are those of the site: name its time zone (--zone Europe/Berlin)"
        )
    if len(clocks) > 1:
        raise HalfscanError("one log has UTC offsets and the other has none: name the site's time zone (--zone Europe/Berlin)")
    if after.seconds[0] < before.seconds[0]:
        raise HalfscanError("the log after begins before the log before: are they the other way round?")
    if after.seconds[0] < before.seconds[-1]:
        raise HalfscanError("the logs overlap in time: one scanner had the feature or it had not")


def _by_day(log: PowerLog, hours: Sequence[int], weekend: bool) -> _Days:
    step = float(np.median(np.diff(log.seconds)))
    if step > _HOUR_S:
        raise HalfscanError(f"a value every {step / _HOUR_S:.3g} h can't be set to the hours of a week: log one an hour at least")
    begin, left = log.clock_s.copy(), log.held_s.copy()
    first = int(begin[0] // _DAY_S)
    days = np.arange(first, int((begin[-1] + left[-1]) // _DAY_S) + 1)
    kwh, held = np.zeros((len(days), 168)), np.zeros((len(days), 168))
    while left.any():  # a value that holds beyond its hour is shared between this and the next
        hour = begin // _HOUR_S
        part = np.minimum(left, (hour + 1) * _HOUR_S - begin)
        day = begin // _DAY_S
        weekday, of_day = ((day + _FIRST_WEEKDAY) % 7).astype(int), (hour % 24).astype(int)
        quiet = (part > 0) & (np.isin(of_day, hours) | (weekend & (weekday >= _SATURDAY)))
        place = ((day - first).astype(int)[quiet], (weekday * 24 + of_day)[quiet])
        np.add.at(kwh, place, (log.kw * part / _HOUR_S)[quiet])
        np.add.at(held, place, (part / _HOUR_S)[quiet])
        begin, left = begin + part, left - part
    return _Days((days + _FIRST_WEEKDAY) % 7, kwh, held)


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
