"""Timing that a JSON sidecar states, and which of two statements goes first."""

from __future__ import annotations

from collections.abc import Mapping

from ..bench.acquisition import Timing

_MOST = 1_000_000


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
