"""A site's own power log: read, looked over, and repaired in the open or refused.

A CSV of `time,kW` with ISO 8601 stamps. Power is that of the time up to the next stamp; nothing is made up for gaps.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import HalfscanError

_GAP = 5.0
"""Steps that are so many times the usual one are gaps."""
_MOST_KW = 200.0
_LEAST_ROWS = 100
_MOST_MISSING = 0.2


@dataclass(frozen=True, eq=False)
class PowerLog:
    """A log as it is used."""

    seconds: npt.NDArray[np.float64]
    """(row,) since 1970, rising."""
    kw: npt.NDArray[np.float64]
    """(row,)"""
    held_s: npt.NDArray[np.float64]
    """(row,) how long each value holds; 0 before a gap."""
    weekday: npt.NDArray[np.int64]
    """(row,) of the site's own clock, Monday 0."""
    hour: npt.NDArray[np.int64]
    """(row,) of the site's own clock."""
    day: npt.NDArray[np.int64]
    """(row,) number of the site's own calendar day."""
    notes: tuple[str, ...]
    """What was repaired or left out."""

    @property
    def kwh(self) -> float:
        """All that was logged."""
        return float(np.sum(self.kw * self.held_s) / 3600)


def read_power_log(path: Path) -> PowerLog:
    """Reads a log.

    Raises:
        HalfscanError: naming the line: no such file or columns; values that are no power, negative, or in watts; stamps that go
            back or stand twice with different powers; more than a fifth of the time missing.
    """
    stamps, kw = _rows(path)
    aware = {stamp.tzinfo is not None for stamp in stamps}
    if len(aware) > 1:
        raise HalfscanError(f"{path}: some stamps have a UTC offset and some have none: write it with all of them")
    if not kw.any():
        raise HalfscanError(f"{path}: all values are 0: this is no scanner's power")
    seconds = np.array([_absolute(stamp) for stamp in stamps])
    notes: list[str] = []
    order = np.arange(len(seconds))
    if np.any(np.diff(seconds) < 0):
        line = int(np.argmax(np.diff(seconds) < 0)) + 3
        if not aware.pop():
            raise HalfscanError(
                f"{path}: time goes back in line {line}: a clock that was set, or lines out of order; write stamps with their "
                "UTC offset, such as 2026-10-25T02:30:00+01:00"
            )
        order = np.argsort(seconds, kind="stable")
        notes.append(f"lines were out of order from line {line} on, and were sorted by their stamps")
    seconds, kw, stamps = seconds[order], kw[order], [stamps[index] for index in order]
    keep = np.concatenate([[True], np.diff(seconds) > 0])
    if not keep.all():
        twice = np.flatnonzero(~keep)
        if different := [index for index in twice if kw[index] != kw[index - 1]]:
            raise HalfscanError(f"{path}: {stamps[different[0]].isoformat()} stands twice, with different powers")
        notes.append(f"{len(twice)} stamps stood twice with the same power, and were counted once")
    seconds, kw = seconds[keep], kw[keep]
    stamps = [stamp for stamp, kept in zip(stamps, keep, strict=True) if kept]
    held, gaps = _held(path, seconds)
    return PowerLog(
        seconds=seconds,
        kw=kw,
        held_s=held,
        weekday=np.array([stamp.weekday() for stamp in stamps]),
        hour=np.array([stamp.hour for stamp in stamps]),
        day=np.array([stamp.toordinal() for stamp in stamps]),
        notes=(*notes, *gaps),
    )


def _rows(path: Path) -> tuple[list[datetime], npt.NDArray[np.float64]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            header = [name.strip().lower() for name in next(reader, [])]
            if "time" not in header or "kw" not in header:
                raise HalfscanError(
                    f"{path}: the first line must name the columns time and kW, and says {','.join(header)[:60]!r}"
                )
            where = header.index("time"), header.index("kw")
            stamps, kw = [], []
            for line, row in enumerate(reader, start=2):
                if row:
                    if len(row) != len(header):
                        raise HalfscanError(
                            f"{path}, line {line}: {len(row)} fields under {len(header)} columns; decimal commas must be points"
                        )
                    stamp, power = _row(path, line, row, where)
                    stamps.append(stamp)
                    kw.append(power)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise HalfscanError(f"{path}: can't be read ({error})") from error
    if len(kw) < _LEAST_ROWS:
        raise HalfscanError(f"{path}: {len(kw)} lines are too few for a log: {_LEAST_ROWS} at least")
    return stamps, np.array(kw)


def _row(path: Path, line: int, row: list[str], where: tuple[int, int]) -> tuple[datetime, float]:
    try:
        stamp, power = datetime.fromisoformat(row[where[0]].strip()), float(row[where[1]])
    except (ValueError, IndexError) as error:
        raise HalfscanError(f"{path}, line {line}: no ISO 8601 stamp and power in kW ({error})") from error
    if power > _MOST_KW and math.isfinite(power):
        raise HalfscanError(f"{path}, line {line}: {power:g} kW is more than any scanner takes: in W? divide by 1000")
    if not math.isfinite(power) or power < 0:
        raise HalfscanError(f"{path}, line {line}: a power of {power:g} kW can't be")
    return stamp, power


def _absolute(stamp: datetime) -> float:
    """Seconds on one axis; a stamp without an offset is taken for one of a clock that is never set."""
    return (stamp - datetime(1970, 1, 1, tzinfo=stamp.tzinfo)).total_seconds() if stamp.tzinfo is None else stamp.timestamp()


def _held(path: Path, seconds: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], list[str]]:
    """How long each value holds, and what is missing."""
    steps = np.diff(seconds)
    usual = float(np.median(steps))
    missing = steps > _GAP * usual
    held = np.append(np.where(missing, 0, steps), usual)
    if not missing.any():
        return held, []
    share = float(steps[missing].sum() / (seconds[-1] - seconds[0]))
    if share > _MOST_MISSING:
        raise HalfscanError(f"{path}: {share:.0%} of the time is missing, in {int(missing.sum())} gaps: no log to go by")
    longest = float(steps[missing].max())
    return held, [f"{int(missing.sum())} gaps, {share:.1%} of the time, the longest {longest / 3600:.2g} h, are left out"]
