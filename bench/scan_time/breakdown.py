"""`halfscan time`: the seconds of one mask under one protocol, term by term, with all that they assume."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..acquisition import Timing
from ..errors import HalfscanError, one_line
from ..quantity import Quantity
from ..sampling.mask import Mask
from .echo_order import warnings
from .fitted import SHIPPED
from .header import SHARED, Timed, with_header
from .protocol import Protocol
from .seconds import ScanComparison, ScanTime, compare_scan_times


@dataclass(frozen=True, kw_only=True)
class Breakdown:
    """One mask's seconds beside both baselines."""

    mask: Mask
    timed: Timed
    scans: ScanComparison
    warnings: tuple[str, ...]
    lines_from: str
    """Where the number of phase-encode lines comes from."""

    @property
    def protocol(self) -> Protocol:
        return self.timed.protocol

    @property
    def line_acceleration(self) -> float:
        """Acquired over sampled lines; for a mask that leaves out samples along the readout less than its acceleration."""
        return self.mask.lines_acquired / self.mask.lines_sampled

    @property
    def promised(self) -> float:
        """The reduction that the nominal R suggests, 1 − 1/R [1]."""
        return 1 - 1 / self.mask.nominal

    @property
    def assumptions(self) -> dict[str, str]:
        """What the candidate's seconds assume → value and range, in words."""
        return assumptions(self.protocol, self.scans.candidate)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`: seconds [s], reductions [1]."""
        return {
            "protocol": self.protocol.name,
            "sequence": self.protocol.sequence,
            "dimension": self.protocol.dimension,
            "sampling": self.mask.pattern,
            "acceleration": {
                "nominal": self.mask.nominal,
                "achieved": self.mask.acceleration,
                "of_lines": self.line_acceleration,
            },
            "lines_from": self.lines_from,
            "candidate": _terms(self.scans.candidate),
            "full": _terms(self.scans.full),
            "clinical": {"name": self.scans.clinical_name, **_terms(self.scans.clinical)},
            "reduction_nominal": self.promised,
            "reduction_full": self.scans.against_full.as_dict(),
            "reduction_clinical": self.scans.against_clinical.as_dict(),
            "full_recorded": self.timed.recorded.as_dict(),
            "residual": self.timed.residual(self.scans.full).as_dict(),
            "timing": {
                name: {"value": getattr(self.protocol, name), "from": origin} for name, (_, origin) in self.stated().items()
            },
            "assumptions": self.assumptions,
            "warnings": list(self.warnings),
        }

    def stated(self) -> dict[str, tuple[str, str]]:
        """Field that a header may state → its value, and where it comes from."""
        found = {}
        for name in SHARED:
            value = getattr(self.protocol, name)
            if value is not None:
                origin = self.timed.origins.get(name, f"protocol {self.protocol.name}")
                found[name] = (f"{value:g}{' s' if name.endswith('_s') else ''}", origin)
        return found


def break_down(mask: Mask, protocol: Protocol, timing: Timing | None = None, lines_from: str = "the data") -> Breakdown:
    """Times a mask.

    Args:
        timing: of the data's own header; None without data.

    Raises:
        HalfscanError: the protocol can't scan these lines, or contradicts the header.
    """
    timed = with_header(protocol, timing or Timing())
    try:
        scans = compare_scan_times(mask.lines_sampled, mask.lines_acquired, timed.protocol)
    except HalfscanError as error:
        raise HalfscanError(timed.blame(one_line(error))) from error
    return Breakdown(
        mask=mask,
        timed=timed,
        scans=scans,
        warnings=warnings(mask, timed.protocol),
        lines_from=lines_from,
    )


def assumptions(protocol: Protocol, scan: ScanTime) -> dict[str, str]:
    """What a scan's seconds assume → value and range, in words; what is stated as known is no assumption."""
    found = {}
    if protocol.assumed.dummies is not None:
        low, high = protocol.assumed.dummies
        found["dummies"] = f"{protocol.dummies} TR a concatenation without data, {low:g} to {high:g}"
    if scan.preparation.method == "assumed":
        fitted = protocol.preparation_s == SHIPPED.preparation_s
        found["preparation"] = f"{_span(scan.preparation)} before the first TR{_FITTED if fitted else ''}"
    if scan.reference.method == "assumed":
        fitted = (protocol.reference_line_s, protocol.sms_reference_s) == (SHIPPED.reference_line_s, SHIPPED.sms_reference_s)
        found["reference scan"] = f"{_span(scan.reference)}{_FITTED if fitted else ''}"
    return found


_FITTED = ", fitted on other scanners"


def _span(quantity: Quantity) -> str:
    return f"{quantity.value:g} s, {quantity.low:g} to {quantity.high:g}"


def _terms(scan: ScanTime) -> dict[str, Any]:
    return {
        "lines": scan.lines,
        "phase_encodes": scan.steps,
        "shots": scan.shots,
        "echoes": scan.echoes,
        "idle_echoes": scan.idle_echoes,
        "shots_s": scan.shots_s,
        "dummies": scan.dummies.as_dict(),
        "reference": scan.reference.as_dict(),
        "preparation": scan.preparation.as_dict(),
        "seconds": scan.seconds.as_dict(),
    }


def print_breakdown(breakdown: Breakdown, write: Callable[[str], None] = print) -> None:
    """The breakdown for people."""
    scans, protocol, mask = breakdown.scans, breakdown.protocol, breakdown.mask
    columns = (scans.candidate, scans.full, scans.clinical)
    write(
        f"protocol {protocol.name}: {protocol.dimension}D {protocol.sequence}; sampling {mask.pattern}, {breakdown.lines_from}\n"
    )
    _row(write, "", ["this mask", "full", scans.clinical_name])
    _row(write, "lines along ky", [str(scan.lines) for scan in columns])
    if protocol.dimension == 3:
        _row(write, "phase encodes, ky and kz", [str(scan.steps) for scan in columns])
    _row(write, f"shots of {_lines(columns)}", [str(scan.shots) for scan in columns])
    repeated = f"TR {protocol.tr_s:g} s · shots{_factors(protocol)}"
    _row(write, repeated, [_seconds(scan.shots_s) for scan in columns])
    _row(write, "dummies", [_seconds(scan.dummies.value) for scan in columns])
    _row(write, "reference scan", [_seconds(scan.reference.value) for scan in columns])
    _row(write, "preparation", [_seconds(scan.preparation.value) for scan in columns])
    _row(write, "scan", [_seconds(scan.seconds.value) for scan in columns])
    _row(write, "  over what is assumed", [f"{scan.seconds.low:.1f} to {scan.seconds.high:.1f} s" for scan in columns])
    write("")
    achieved = breakdown.line_acceleration
    write(f"R = {mask.nominal:g} promises {_change(breakdown.promised)}; it achieves R = {achieved:.2f}. Scan time:")
    for name, change in (("full sampling", scans.against_full), (scans.clinical_name, scans.against_clinical)):
        write(f"  {_change(change.value)} against {name} (range {_change(change.high)} to {_change(change.low)})")
    if scans.candidate.idle_echoes:
        write(f"The last shot reads {scans.candidate.idle_echoes} lines fewer than it could: they would cost nothing.")
    write("\nTiming:  " + _by_origin(breakdown))
    write("Assumed: " + ("; ".join(f"{name} {words}" for name, words in breakdown.assumptions.items()) or "nothing"))
    recorded, residual = breakdown.timed.recorded, breakdown.timed.residual(scans.full)
    if residual.value is not None:
        write(f"The scanner recorded {recorded.value:.1f} s for the full scan: the model is off by {residual.value:+.1f} s.")
    for line in breakdown.warnings:
        write(f"Warning: {line}.")
    write("Scan seconds, not room time: positioning and planning do not get shorter.")


def _by_origin(breakdown: Breakdown) -> str:
    """Values that a header may state, gathered by where they come from."""
    gathered: dict[str, list[str]] = {}
    for name, (value, origin) in breakdown.stated().items():
        gathered.setdefault(origin, []).append(f"{name} {value}")
    return "; ".join(f"{', '.join(values)} ({origin})" for origin, values in gathered.items())


def _row(write: Callable[[str], None], name: str, values: Sequence[str]) -> None:
    write(f"{name:<34}" + "".join(f"{value:>18}" for value in values))


def _lines(columns: Sequence[ScanTime]) -> str:
    echoes = list(dict.fromkeys(scan.echoes for scan in columns))
    return " / ".join(map(str, echoes)) + (" line" if echoes == [1] else " lines")


def _factors(protocol: Protocol) -> str:
    factors = {"averages": protocol.averages, "volumes": protocol.volumes, "concatenations": protocol.passes}
    return "".join(f" · {value} {name}" for name, value in factors.items() if value > 1)


def _seconds(value: float | None) -> str:
    return f"{value or 0.0:.1f} s"


def _change(reduction: float | None) -> str:
    percent = -100 * (reduction or 0.0)
    return f"{percent:+.0f} %" if round(percent) else "0 %"
