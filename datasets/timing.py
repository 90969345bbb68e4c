"""What a file says of its own timing: the ISMRMRD header that fastMRI files carry, and the keys of a JSON sidecar.

Source: the ISMRMRD schema, version 1 (sequenceParameters, encoding, encodingLimits). Times there are in ms.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from typing import Literal

from ..bench.acquisition import Timing
from ..bench.errors import HalfscanError, one_line

_MOST = 1_000_000
_SEQUENCES: dict[str, Literal["tse", "gre", "epi"]] = {
    **dict.fromkeys(("turbospinecho", "tse", "fse", "fastspinecho"), "tse"),
    **dict.fromkeys(("flash", "gre", "gradientecho", "spgr"), "gre"),
    **dict.fromkeys(("epi", "ep2d"), "epi"),
}


def header_timing(xml: str | bytes) -> Timing:
    """What the header says of timing; None for every field that it leaves out.

    Raises:
        HalfscanError: no XML, or XML with entities of its own, which a header has no use for.
    """
    text = xml.decode("utf-8", "replace") if isinstance(xml, bytes) else xml
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise HalfscanError("the ISMRMRD header declares entities: it is not read")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise HalfscanError(f"the ISMRMRD header is no XML ({one_line(error)})") from error
    sequence = root.find("{*}sequenceParameters")
    encoding = root.find("{*}encoding")
    train = _number(encoding, "{*}echoTrainLength")
    averages = _number(encoding, "{*}encodingLimits/{*}average/{*}maximum")
    return Timing(
        sequence=_SEQUENCES.get((sequence.findtext("{*}sequence_type") or "").strip().lower()) if sequence is not None else None,
        tr_s=_milliseconds(sequence, "{*}TR"),
        te_s=_milliseconds(sequence, "{*}TE"),
        echo_spacing_s=_milliseconds(sequence, "{*}echo_spacing"),
        echo_train_length=int(train) if train and train == int(train) else None,
        averages=int(averages) + 1 if averages is not None and averages == int(averages) else None,
    )


def _number(element: ElementTree.Element | None, path: str) -> float | None:
    """The first such entry as a number; None where it is absent, or no number from 0 to a million."""
    found = element.findtext(path) if element is not None else None
    try:
        value = float(found) if found is not None else math.nan
    except ValueError:
        return None
    return value if 0 <= value <= _MOST else None


def _milliseconds(element: ElementTree.Element | None, path: str) -> float | None:
    value = _number(element, path)
    return value / 1000 if value else None


def sidecar_timing(sidecar: Mapping[str, object]) -> Timing:
    """What the keys TR_ms, TE_ms, echo_spacing_ms, echo_train_length, averages, concatenations, dummies and scan_time_s say.

    Raises:
        ValueError: a number that is no time or count of a scan; strings are notes, and say nothing.
    """
    counts = {name: _stated(sidecar, name) for name in ("echo_train_length", "averages", "concatenations", "dummies")}
    for name, value in counts.items():
        if value is not None and (value != int(value) or value < (name != "dummies")):
            raise ValueError(f"{name}={value:g} must be a whole number of at least {int(name != 'dummies')}")
    times = {name: _stated(sidecar, name) for name in ("TR_ms", "TE_ms", "echo_spacing_ms", "scan_time_s")}
    for name, value in times.items():
        if value is not None and value <= 0:
            raise ValueError(f"{name}={value:g} must be above 0")
    tr, te, spacing, total = times.values()
    return Timing(
        tr_s=None if tr is None else tr / 1000,
        te_s=None if te is None else te / 1000,
        echo_spacing_s=None if spacing is None else spacing / 1000,
        total_s=total,
        echo_train_length=_whole(counts["echo_train_length"]),
        averages=_whole(counts["averages"]),
        concatenations=_whole(counts["concatenations"]),
        dummies=_whole(counts["dummies"]),
    )


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _stated(sidecar: Mapping[str, object], key: str) -> float | None:
    value = sidecar.get(key)
    if value is None or isinstance(value, str):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{key} must be a number, and is {type(value).__name__}")
    if not -_MOST <= value <= _MOST:
        raise ValueError(f"{key} is beyond every scan")
    return float(value)


def first_stated(before: Timing, after: Timing) -> Timing:
    """Field by field what `before` says, and where it is silent what `after` says."""
    values = {name: getattr(before, name) for name in before.__dataclass_fields__}
    return Timing(**{name: getattr(after, name) if value is None else value for name, value in values.items()})
