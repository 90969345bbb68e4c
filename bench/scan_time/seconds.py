"""Sampled lines → seconds on the scanner.

A reduction is a statement about seconds against a named baseline, never about the nominal R: calibration lines, whole
shots, dummies, reference scans and preparation all take their time. And they are scan seconds: how long the room is occupied
is another matter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

from ..errors import HalfscanError, one_line
from ..quantity import Quantity
from .protocol import Protocol

End = Literal["low", "value", "high"]


@dataclass(frozen=True, kw_only=True)
class ScanTime:
    """Seconds of one scan, term by term."""

    lines: int
    """Phase-encode lines along ky."""
    steps: int
    """Phase encodes of a volume; the lines, in 3D times partitions."""
    shots: int
    """That read the steps once."""
    echoes: int
    """Lines of one shot."""
    shots_s: float
    """What they take [s]."""
    dummies: Quantity
    """TRs that keep no data [s]."""
    reference: Quantity
    """Separate reference scans [s]."""
    preparation: Quantity
    """Adjustments before the first TR [s]."""

    @property
    def idle_echoes(self) -> int:
        """Echoes of the last shot that no line is left for."""
        return self.shots * self.echoes - self.steps

    def at(self, dummies: End, reference: End, preparation: End) -> float:
        """The sum with each assumed term at an end of its range [s]."""
        terms = (getattr(self.dummies, dummies), getattr(self.reference, reference), getattr(self.preparation, preparation))
        return self.shots_s + sum(float(term) for term in terms)

    @property
    def seconds(self) -> Quantity:
        """The sum, with the range of what was assumed."""
        value, low, high = (self.at(end, end, end) for end in ("value", "low", "high"))
        return Quantity(value=value, unit="s", method="modelled", low=low, high=high)


def scan_time(lines: int, protocol: Protocol, *, accelerated: bool = True) -> ScanTime:
    """Time of a Cartesian scan that samples `lines` phase-encode lines, ACS included.

    concatenations · TR · (shots · averages · volumes + dummies) + reference + preparation, where shots are
    ceil(lines / ETL) in 2D, ceil(lines · partitions / ETL) in 3D, and the segments in EPI.

    Args:
        accelerated: whether the scan needs calibration data; a full scan without slices excited together does not.

    Raises:
        HalfscanError: no lines, a train longer than the lines, or a TR shorter than the train.
    """
    steps = protocol.steps(lines)
    shots = protocol.shots(steps)
    train = protocol.passes * protocol.tr_s
    dummies = protocol.assumption("dummies", "1")
    nothing = Quantity(value=0.0, unit="s", method="modelled", low=0.0, high=0.0)
    repetitions = shots * protocol.averages * protocol.volumes
    return ScanTime(
        lines=lines,
        steps=steps,
        shots=shots,
        echoes=protocol.echoes(steps),
        shots_s=train * repetitions,
        dummies=_times(dummies, train, "s"),
        reference=protocol.reference_scan() if accelerated or protocol.sms_factor > 1 else nothing,
        preparation=protocol.assumption("preparation_s", "s"),
    )


def _times(quantity: Quantity, factor: float, unit: str) -> Quantity:
    value, low, high = ((bound or 0.0) * factor for bound in (quantity.value, quantity.low, quantity.high))
    return Quantity(value=value, unit=unit, method=quantity.method, low=low, high=high)


def _corners(candidate: ScanTime, baseline: ScanTime) -> Iterator[float]:
    """1 − candidate/baseline wherever the assumptions that both share lie at an end of their range."""
    ends: tuple[End, End] = ("low", "high")
    for corner in product(ends, repeat=3):
        yield 1 - candidate.at(*corner) / baseline.at(*corner)


def reduction(candidate: ScanTime, baseline: ScanTime) -> Quantity:
    """1 − candidate/baseline [1], with the range over the assumptions, which both scans share."""
    value = 1 - candidate.at("value", "value", "value") / baseline.at("value", "value", "value")
    corners = [value, *_corners(candidate, baseline)]
    return Quantity(value=value, unit="1", method="modelled", low=min(corners), high=max(corners))


def _baseline(name: str, lines: int, protocol: Protocol, *, accelerated: bool = True) -> ScanTime:
    try:
        return scan_time(lines, protocol, accelerated=accelerated)
    except HalfscanError as error:
        raise HalfscanError(f"{name}: {one_line(error)}") from error


@dataclass(frozen=True, kw_only=True)
class ScanComparison:
    """The candidate's seconds beside full sampling and the clinical protocol."""

    candidate: ScanTime
    full: ScanTime
    clinical: ScanTime
    clinical_name: str

    @property
    def against_full(self) -> Quantity:
        return reduction(self.candidate, self.full)

    @property
    def against_clinical(self) -> Quantity:
        """Negative where the candidate takes longer than the clinical protocol."""
        return reduction(self.candidate, self.clinical)


def compare_scan_times(sampled: int, acquired: int, protocol: Protocol) -> ScanComparison:
    """Seconds of `sampled` out of `acquired` lines under a protocol, against both baselines."""
    clinical = replace(protocol, reference="integrated")
    return ScanComparison(
        candidate=scan_time(sampled, protocol, accelerated=sampled < acquired),
        full=_baseline("full sampling", acquired, protocol, accelerated=False),
        clinical=_baseline(f"the clinical baseline {protocol.clinical.name}", protocol.clinical.lines(acquired), clinical),
        clinical_name=protocol.clinical.name,
    )
