"""Sampled lines → seconds on the scanner.

A reduction is a statement about seconds against a named baseline, never about the nominal R: calibration lines, whole
shots, dummies and preparation all take their time. Today 2D Cartesian sequences.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import HalfscanError
from ..quantity import Quantity
from .protocol import Protocol


@dataclass(frozen=True, kw_only=True)
class ScanTime:
    """Seconds of one scan, term by term [s]."""

    shots_s: float
    """TRs that read lines."""
    dummies_s: float
    reference_s: float
    preparation: Quantity

    @property
    def seconds(self) -> Quantity:
        """The sum, with the range of what was assumed."""
        fixed = self.shots_s + self.dummies_s + self.reference_s
        value, low, high = (
            fixed + (bound or 0.0) for bound in (self.preparation.value, self.preparation.low, self.preparation.high)
        )
        return Quantity(value=value, unit="s", method="modelled", low=low, high=high)


def scan_time_2d(lines: int, protocol: Protocol) -> ScanTime:
    """Time of a 2D Cartesian scan that samples `lines` phase-encode lines, ACS included.

    concatenations · TR · (ceil(lines / ETL) · averages + dummies) + reference + preparation.

    Raises:
        HalfscanError: an echo train longer than the lines.
    """
    if lines < 1:
        raise HalfscanError(f"a scan of {lines} lines takes no time: sample at least one")
    if protocol.echo_train_length > lines:
        raise HalfscanError(
            f"protocol.echo_train_length={protocol.echo_train_length} is longer than the {lines} sampled lines: "
            "shorten the train or sample more"
        )
    train = protocol.concatenations * protocol.tr_s
    return ScanTime(
        shots_s=train * math.ceil(lines / protocol.echo_train_length) * protocol.averages,
        dummies_s=train * protocol.dummies,
        reference_s=protocol.reference_s,
        preparation=Quantity(
            value=protocol.preparation_s,
            unit="s",
            method="assumed",
            low=protocol.preparation_low_s,
            high=protocol.preparation_high_s,
        ),
    )


def reduction(candidate: ScanTime, baseline: ScanTime) -> Quantity:
    """1 − candidate/baseline [1], with the range over the preparation time that both scans share."""
    at = [
        1 - _with(candidate, preparation) / _with(baseline, preparation)
        for preparation in (candidate.preparation.value, candidate.preparation.low, candidate.preparation.high)
    ]
    return Quantity(value=at[0], unit="1", method="modelled", low=min(at), high=max(at))


def _with(scan: ScanTime, preparation_s: float | None) -> float:
    return scan.shots_s + scan.dummies_s + scan.reference_s + (preparation_s or 0.0)


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
    return ScanComparison(
        candidate=scan_time_2d(sampled, protocol),
        full=scan_time_2d(acquired, protocol),
        clinical=scan_time_2d(protocol.clinical.lines(acquired), protocol),
        clinical_name=protocol.clinical.name,
    )
