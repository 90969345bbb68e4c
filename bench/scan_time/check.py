"""Modelled seconds beside those that consoles printed: the errors by kind, and on body regions that a fit has not seen."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import HalfscanError
from ..quantity import Quantity
from .console import KINDS, ConsoleProtocol, Kind
from .fitted import SHIPPED, Fitted

# Kinds whose reference scan the fit learns from.
_WITH_REFERENCE: tuple[Kind, ...] = ("separate", "SMS")
_UNDESCRIBED = "its slices or reference lines are not stated, so that its reference scan is assumed and not fitted"
_NONE = Fitted(preparation_s=0.0, reference_line_s=0.0, sms_reference_s=0.0)


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One protocol's seconds, printed and modelled."""

    protocol: ConsoleProtocol
    printed_s: float
    modelled: Quantity

    @property
    def error(self) -> float:
        """(modelled − printed) / printed [1]."""
        return ((self.modelled.value or 0.0) - self.printed_s) / self.printed_s


@dataclass(frozen=True, kw_only=True)
class Errors:
    """Relative errors of some protocols [1]."""

    count: int
    mean_absolute: float
    bias: float
    worst: float

    @classmethod
    def of(cls, compared: Sequence[Compared]) -> Errors:
        errors = [one.error for one in compared]
        return cls(
            count=len(errors),
            mean_absolute=statistics.mean(map(abs, errors)),
            bias=statistics.mean(errors),
            worst=max(errors, key=abs),
        )


def compare(protocols: Sequence[ConsoleProtocol], fitted: Fitted = SHIPPED) -> list[Compared]:
    """Models every protocol whose time a console printed.

    Raises:
        HalfscanError: none has a printed time.
    """
    timed = [one for one in protocols if one.printed_s is not None]
    if not timed:
        raise HalfscanError("no protocol has console_scan_time_s: there is nothing to check against")
    return [Compared(protocol=one, printed_s=one.printed_s or 0.0, modelled=one.scan(fitted).seconds) for one in timed]


def by_kind(compared: Sequence[Compared]) -> dict[str, Errors]:
    """Errors of each kind that occurs, and of all."""
    kinds = {kind: [one for one in compared if one.protocol.kind == kind] for kind in KINDS}
    return {kind: Errors.of(of) for kind, of in kinds.items() if of} | {"all": Errors.of(compared)}


def fit(protocols: Sequence[ConsoleProtocol]) -> tuple[Fitted | None, Mapping[Kind, str]]:
    """Fits what no console prints: preparation as a median, the two reference times by least squares.

    Returns:
        The times, and for each kind that these protocols say nothing of, why; None where not even preparation can be had.
    """
    timed = [one for one in protocols if one.printed_s is not None]
    plain = [_unexplained(one) for one in timed if one.kind not in _WITH_REFERENCE]
    if not plain:
        return None, dict.fromkeys(KINDS, "no protocol without a separate reference scan to fit preparation on")
    # Never below nothing, whatever the printed seconds' rounding makes of it.
    preparation = max(statistics.median(plain), 0.0)
    scanned = [one for one in timed if one.kind in _WITH_REFERENCE and _describes_reference(one)]
    lines, together = _design(scanned)
    left = np.array([_unexplained(one) - preparation for one in scanned])
    design = np.stack([lines, together], axis=1)
    silent: dict[Kind, str] = {}
    if not together.any():
        silent["SMS"] = "no other protocol with slices excited together to fit its reference scan on"
        design = design[:, :1]
    if np.linalg.matrix_rank(design) < design.shape[1]:
        return Fitted(preparation_s=preparation, reference_line_s=0.0, sms_reference_s=0.0), dict.fromkeys(
            _WITH_REFERENCE, "too few other protocols with a separate reference scan to fit it on"
        )
    found = [max(float(value), 0.0) for value in np.linalg.lstsq(design, left, rcond=None)[0]]
    line, band = (found[0], found[1] if len(found) > 1 else 0.0)
    return Fitted(preparation_s=preparation, reference_line_s=line, sms_reference_s=band), silent


def _unexplained(protocol: ConsoleProtocol) -> float:
    """Printed seconds less shots and dummies."""
    return (protocol.printed_s or 0.0) - (protocol.scan(_NONE).seconds.value or 0.0)


def _describes_reference(protocol: ConsoleProtocol) -> bool:
    """Whether its reference scan is modelled line by line, rather than assumed whole."""
    return protocol.reference != "separate" or bool(protocol.slices and protocol.reference_lines)


def _design(protocols: Sequence[ConsoleProtocol]) -> tuple[Any, Any]:
    """(reference lines over all excitations, 1 where slices are excited together), one entry a protocol."""
    lines = np.array([one.protocol().reference_excitations for one in protocols], dtype=float)
    return lines, np.array([one.kind == "SMS" for one in protocols], dtype=float)


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A body region predicted by a fit on all others."""

    group: str
    fitted: Fitted | None
    compared: tuple[Compared, ...]
    unpredicted: tuple[tuple[str, str], ...]
    """(protocol, why no other region could tell its time)."""


def leave_one_group_out(protocols: Sequence[ConsoleProtocol]) -> list[LeftOut]:
    """Every body region (or scanner) predicted by what is fitted on the others."""
    found = []
    for group in sorted({one.group for one in protocols}):
        fitted, silent = fit([one for one in protocols if one.group != group])
        inside = [one for one in protocols if one.group == group and one.printed_s is not None]
        reasons = [(one, silent.get(one.kind) or (None if _describes_reference(one) else _UNDESCRIBED)) for one in inside]
        told = [one for one, reason in reasons if fitted is not None and reason is None]
        found.append(
            LeftOut(
                group=group,
                fitted=fitted,
                compared=tuple(compare(told, fitted)) if told and fitted else (),
                unpredicted=tuple((one.name, reason) for one, reason in reasons if reason is not None),
            )
        )
    return found


def speed_up(compared: Sequence[Compared]) -> dict[str, dict[str, float]]:
    """Nominal acceleration → how much faster the console's time is than the modelled time without acceleration."""
    found: dict[float, list[float]] = {}
    for one in compared:
        if one.protocol.acceleration > 1:
            full = one.protocol.without_acceleration().scan().seconds.value or 0.0
            found.setdefault(one.protocol.acceleration, []).append(full / one.printed_s)
    return {
        f"{acceleration:g}": {"count": len(ratios), "median": statistics.median(ratios), "low": min(ratios), "high": max(ratios)}
        for acceleration, ratios in sorted(found.items())
    }


def report(protocols: Sequence[ConsoleProtocol], refused: Mapping[str, str], unused: Sequence[str] = ()) -> dict[str, Any]:
    """Everything `halfscan time --check` says, for JSON; errors are relative."""
    compared = compare(protocols)
    left_out = leave_one_group_out(protocols) if len({one.group for one in protocols}) > 1 else []
    predicted = [one for region in left_out for one in region.compared]
    fitted, silent = fit(protocols)
    return {
        "protocols": [
            {
                "protocol": one.protocol.name,
                "group": one.protocol.group,
                "kind": one.protocol.kind,
                "lines": one.protocol.lines,
                "printed_s": one.printed_s,
                "modelled": one.modelled.as_dict(),
                "error": one.error,
            }
            for one in compared
        ],
        "without_printed_time": [one.name for one in protocols if one.printed_s is None],
        "errors": {kind: _plain(errors) for kind, errors in by_kind(compared).items()},
        "shipped": _plain(SHIPPED),
        "fitted_here": None if fitted is None else {**_plain(fitted), "reasons": dict(silent)},
        "leaving_one_group_out": {
            "groups": [
                {
                    "group": one.group,
                    "fitted": None if one.fitted is None else _plain(one.fitted),
                    "errors": _plain(Errors.of(one.compared)) if one.compared else None,
                    "reason": None if one.compared else (one.unpredicted[0][1] if one.unpredicted else "no printed time"),
                    "unpredicted": [{"protocol": name, "reason": reason} for name, reason in one.unpredicted],
                }
                for one in left_out
            ],
            "all": _plain(Errors.of(predicted)) if predicted else None,
            "reason": None if predicted else "fewer than two groups (scanner or body region) that could predict each other",
        },
        "speed_up": speed_up(compared),
        "refused": dict(refused),
        "unused_keys": list(unused),
    }


def _plain(record: Errors | Fitted) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__dataclass_fields__}


def print_report(content: Mapping[str, Any], write: Callable[[str], None] = print) -> None:
    """The report for people."""
    write(f"{'printed':>9} {'modelled':>9} {'range':>15} {'error':>7}  {'kind':<16} {'group':<12} protocol")
    for one in sorted(content["protocols"], key=lambda one: (one["kind"], one["error"])):
        modelled = one["modelled"]
        span = f"{modelled['low']:.0f} to {modelled['high']:.0f} s"
        write(
            f"{one['printed_s']:>7.0f} s {modelled['value']:>7.1f} s {span:>15} {100 * one['error']:>+6.1f}%  "
            f"{one['kind']:<16} {one['group']:<12} {one['protocol']}"
        )
    write(f"\n{'kind':<16} {'protocols':>9} {'mean abs. error':>16} {'bias':>7} {'worst':>7}")
    for kind, errors in content["errors"].items():
        write(f"{kind:<16} {_columns(errors)}")
    write("\nLeaving one body region (or scanner) out: fitted on the others, errors on it")
    left_out = content["leaving_one_group_out"]
    for one in left_out["groups"]:
        write(f"{one['group']:<16} {_columns(one['errors']) if one['errors'] else 'not predicted: ' + one['reason']}")
        if one["errors"] and one["unpredicted"]:
            write(f"{'':<16} {len(one['unpredicted'])} not predicted: {one['unpredicted'][0]['reason']}")
    write(f"{'all':<16} {_columns(left_out['all']) if left_out['all'] else left_out['reason']}")
    shipped, here = content["shipped"], content["fitted_here"]
    write("\nFitted, not physics: " + _times_in_words(shipped) + " (docs/scan_time.md says on what)")
    if here:
        write("A fit on this file:  " + _times_in_words(here))
    for acceleration, ratios in content["speed_up"].items():
        span = f"{ratios['low']:.2f} to {ratios['high']:.2f}, {ratios['count']} protocols"
        write(f"R={acceleration} is {ratios['median']:.2f} times as fast as without acceleration ({span})")
    if content["unused_keys"]:
        write(f"Not used (misspelt?): {', '.join(content['unused_keys'])}")
    if content["without_printed_time"]:
        write(f"No printed time, so not checked: {', '.join(content['without_printed_time'])}")
    for place, reason in content["refused"].items():
        write(f"Refused: {place}: {reason}")


def _columns(errors: Mapping[str, Any]) -> str:
    return (
        f"{errors['count']:>9} {100 * errors['mean_absolute']:>15.2f}% {100 * errors['bias']:>+6.2f}% "
        f"{100 * errors['worst']:>+6.1f}%"
    )


def _times_in_words(fitted: Mapping[str, Any]) -> str:
    return (
        f"preparation {fitted['preparation_s']:.2f} s, a separate reference line {1000 * fitted['reference_line_s']:.2f} ms, "
        f"single-band reference {fitted['sms_reference_s']:.1f} s"
    )
