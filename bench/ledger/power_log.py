"""A site's own power log: read, looked over, and repaired in the open or refused.

A CSV of `time,kW` with ISO 8601 stamps. Power is that of the time up to the next stamp; nothing is made up for gaps. Hours are
those of the site's own clock: a log in UTC says nothing of it, unless the site's time zone is named.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

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
    clock_s: npt.NDArray[np.float64]
    """(row,) what a clock shows there: seconds since its 1 January 1970."""
    clock: str
    """Whose clock that is: `site`, as stamps with offsets or a named zone tell; `UTC`; `unknown`, of stamps without offsets."""
    notes: tuple[str, ...]
    """What was repaired or left out."""

    @property
    def kwh(self) -> float:
        """All that was logged."""
        return float(np.sum(self.kw * self.held_s) / 3600)


class _Line(NamedTuple):
    """One that holds a value."""

    number: int
    stamp: datetime
    kw: float


def zone_of(name: str) -> ZoneInfo:
    """A site's time zone by its name, such as `Europe/Berlin`.

    Raises:
        HalfscanError: none of that name.
    """
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError) as error:  # a name that is a path, a folder, or none
        raise HalfscanError(
            f"the time zone {name[:60]!r} is unknown here: write it as Europe/Berlin is (pip install tzdata, where none is known)"
        ) from error


def read_power_log(path: Path, zone: ZoneInfo | None = None) -> PowerLog:
    """Reads a log.

    Args:
        path: of the CSV.
        zone: of the site; stamps without offsets are read as its clock's.

    Raises:
        HalfscanError: naming the line: no such file or columns; values that are no power, negative, or in watts; stamps that go
            back or stand twice with different powers; more than a fifth of the time missing.
    """
    lines = _lines(path)
    aware = {line.stamp.tzinfo is not None for line in lines}
    if len(aware) > 1:
        raise HalfscanError(f"{path}: some stamps have a UTC offset and some have none: write it with all of them")
    if not any(line.kw for line in lines):
        raise HalfscanError(f"{path}: all values are 0: this is no scanner's power")
    offsets = aware.pop()
    if zone is not None:
        lines = [line._replace(stamp=_in_zone(line.stamp, zone)) for line in lines]
    notes: list[str] = []
    lines = _in_order(path, lines, offsets, notes)
    lines = _once(path, lines, notes)
    seconds = np.array([_absolute(line.stamp) for line in lines])
    held, gaps = _held(path, seconds)
    return PowerLog(
        seconds=seconds,
        kw=np.array([line.kw for line in lines]),
        held_s=held,
        clock_s=np.array([_absolute(line.stamp.replace(tzinfo=None)) for line in lines]),
        clock="site" if zone is not None else _clock(lines) if offsets else "unknown",
        notes=(*notes, *gaps),
    )


def _clock(lines: Sequence[_Line]) -> str:
    return "site" if any(line.stamp.utcoffset() for line in lines) else "UTC"


def _in_zone(stamp: datetime, zone: ZoneInfo) -> datetime:
    return stamp.replace(tzinfo=zone) if stamp.tzinfo is None else stamp.astimezone(zone)


def _in_order(path: Path, lines: list[_Line], offsets: bool, notes: list[str]) -> list[_Line]:
    seconds = [_absolute(line.stamp) for line in lines]
    back = [line.number for line, before, after in zip(lines[1:], seconds, seconds[1:], strict=False) if after < before]
    if not back:
        return lines
    number = back[0]
    if not offsets:
        raise HalfscanError(
            f"{path}: time goes back in line {number}: a clock that was set, or lines out of order; write stamps with their "
            "UTC offset, such as 2026-10-25T02:30:00+01:00"
        )
    notes.append(f"lines were out of order from line {number} on, and were sorted by their stamps")
    return [line for _, line in sorted(zip(seconds, lines, strict=True), key=lambda one: one[0])]


def _once(path: Path, lines: list[_Line], notes: list[str]) -> list[_Line]:
    kept = [lines[0]]
    for line in lines[1:]:
        if _absolute(line.stamp) > _absolute(kept[-1].stamp):
            kept.append(line)
        elif line.kw != kept[-1].kw:
            raise HalfscanError(f"{path}, line {line.number}: {line.stamp.isoformat()} stands twice, with different powers")
    if len(kept) < len(lines):
        notes.append(f"{len(lines) - len(kept)} stamps stood twice with the same power, and were counted once")
    return _enough(path, kept)


def _enough(path: Path, lines: list[_Line]) -> list[_Line]:
    if len(lines) < _LEAST_ROWS:
        raise HalfscanError(f"{path}: {len(lines)} lines with values are too few for a log: {_LEAST_ROWS} at least")
    return lines


def _lines(path: Path) -> list[_Line]:
    found = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            header = [name.strip().lower() for name in next(reader, [])]
            if header.count("time") != 1 or header.count("kw") != 1:
                raise HalfscanError(
                    f"{path}: the first line must name the columns time and kW, each once, and says {','.join(header)[:60]!r}"
                )
            where = header.index("time"), header.index("kw")
            for row in reader:
                if row:
                    if len(row) != len(header):
                        raise HalfscanError(
                            f"{path}, line {reader.line_num}: {len(row)} fields under {len(header)} columns; decimal commas must "
                            "be points"
                        )
                    found.append(_line(path, reader.line_num, row[where[0]].strip(), row[where[1]].strip()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise HalfscanError(f"{path}: can't be read ({error})") from error
    return _enough(path, found)


def _line(path: Path, number: int, stamp: str, power: str) -> _Line:
    where = f"{path}, line {number}"
    try:
        line = _Line(number, datetime.fromisoformat(stamp), float(power))
    except ValueError as error:
        raise HalfscanError(f"{where}: no ISO 8601 stamp and power in kW: {stamp[:40]!r}, {power[:40]!r}") from error
    if _is_date(stamp):
        raise HalfscanError(f"{where}: {stamp} is a day without a time")
    if line.kw > _MOST_KW and math.isfinite(line.kw):
        raise HalfscanError(f"{where}: {line.kw:g} kW is more than any scanner takes: in W? divide by 1000")
    if not math.isfinite(line.kw) or line.kw < 0:
        raise HalfscanError(f"{where}: a power of {line.kw:g} kW can't be")
    return line


def _is_date(stamp: str) -> bool:
    try:
        date.fromisoformat(stamp)
    except ValueError:
        return False
    return True


def _absolute(stamp: datetime) -> float:
    """Seconds on one axis; a stamp without an offset is taken for one of a clock that is never set."""
    return (stamp - datetime(1970, 1, 1)) / timedelta(seconds=1) if stamp.tzinfo is None else stamp.timestamp()


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
