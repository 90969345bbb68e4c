"""How long a series took: the standard's tag, or one of three private tags, each looked for under its vendor's name alone.

Sources: DICOM PS3.3 C.8.13.4, AcquisitionDuration (0018,9073) [s]. GE (0019,xx5A) is a number of µs: it was held against
consoles' times for five series in dcm2niix, issue 808. Philips (2005,xx33) is a number of s. Siemens (0051,xx0A) is a text,
`TA 03:52` in minutes and seconds or `TA 01.28` in seconds; with a factor behind it (`TA 2.5*60`) nobody says what it counts,
and nothing is read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_SHORTEST_S, _LONGEST_S = 1.0, 86_400.0


@dataclass(frozen=True, kw_only=True)
class Duration:
    """What a header says of a series' duration."""

    seconds: float
    within_s: float
    """Half a unit of its last digit [s]: what its text may have lost."""


@dataclass(frozen=True, kw_only=True)
class _Private:
    """A vendor's tag."""

    group: int
    creator: str
    element: int
    read: Callable[[Any], Duration | None]


def _number(scale: float) -> Callable[[Any], Duration | None]:
    def read(value: Any) -> Duration | None:
        try:
            return _plausible(float(value) * scale, 0.0)
        except (TypeError, ValueError):
            return None

    return read


def _text(value: Any) -> Duration | None:
    said = value.decode("ascii", "replace") if isinstance(value, bytes) else value
    if not isinstance(said, str):
        return None
    if found := re.fullmatch(r"TA (\d{1,4}):(\d\d)", said.strip()):
        return _plausible(60.0 * int(found[1]) + int(found[2]), 0.5)
    if found := re.fullmatch(r"TA (\d{1,3})\.(\d{1,3})", said.strip()):
        return _plausible(float(f"{found[1]}.{found[2]}"), 0.5 / 10 ** len(found[2]))
    return None


def _plausible(seconds: float, within_s: float) -> Duration | None:
    # A text of 0:00 has lost all that it said.
    return Duration(seconds=seconds, within_s=within_s) if 0 < seconds <= _LONGEST_S else None


_VENDORS = (
    _Private(group=0x0019, creator="GEMS_ACQU_01", element=0x5A, read=_number(1e-6)),
    _Private(group=0x2005, creator="Philips MR Imaging DD 001", element=0x33, read=_number(1.0)),
    _Private(group=0x0051, creator="SIEMENS MR HEADER", element=0x0A, read=_text),
)
_BLOCKS = range(0x10, 0x20)
"""A creator may reserve any of 240 blocks; vendors' own files use the first ones."""
PRIVATE_TAGS = tuple(
    tag for one in _VENDORS for block in _BLOCKS for tag in (one.group << 16 | block, one.group << 16 | block << 8 | one.element)
)
"""Names of the blocks, and in each the one element: nothing else of a vendor's is ever read."""


def duration(standard: float | None, header: Any, tr_s: float | None) -> Duration | None:
    """The standard's duration, else a vendor's; None where neither is as long as one TR, or a second where TR is not stated.

    United Imaging writes the window of one readout into the standard's tag (dcm2niix, issue 225).

    Args:
        standard: AcquisitionDuration [s].
        header: a pydicom data set, read with `PRIVATE_TAGS`.
        tr_s: repetition time [s].
    """
    stated = None if standard is None or not math.isfinite(standard) else _plausible(standard, 0.0)
    found = (stated, *(_private(header, vendor) for vendor in _VENDORS))
    shortest = _SHORTEST_S if tr_s is None else tr_s
    return next((one for one in found if one is not None and one.seconds >= shortest), None)


def _private(header: Any, vendor: _Private) -> Duration | None:
    for block in _BLOCKS:
        creator = header.get(vendor.group << 16 | block)
        if creator is not None and str(creator.value).strip() == vendor.creator:
            held = header.get(vendor.group << 16 | block << 8 | vendor.element)
            if held is not None and (found := vendor.read(held.value)) is not None:
                return found
    return None
