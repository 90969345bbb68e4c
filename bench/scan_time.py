"""Sampled lines → seconds on the scanner.

A reduction is a statement about seconds against a named baseline, never about the nominal R: calibration lines, whole
shots, dummies and preparation all take their time. Today 2D Cartesian sequences.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from .errors import HalfscanError
from .quantity import Quantity


@dataclass(frozen=True, kw_only=True)
class ClinicalProtocol:
    """The accelerated protocol that is in clinical use today: the second baseline of every reduction."""

    name: str = "SENSE R=2"
    acceleration: float = 2.0
    """Parallel-imaging factor."""
    acs_lines: int = 24
    """Integrated reference lines."""

    def lines(self, acquired: int) -> int:
        """Lines it samples of `acquired`: N/R + ACS·(1 − 1/R), integrated reference lines counted once."""
        acs = min(self.acs_lines, acquired)
        return math.ceil(acquired / self.acceleration + acs * (1 - 1 / self.acceleration))


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """A 2D protocol as a console states it; every field is an assumption unless the data's header says the same.

    Raises:
        HalfscanError: a value that no scanner could run.
    """

    name: str
    sequence: Literal["tse", "gre"]
    tr_s: float
    """Repetition time [s]."""
    echo_train_length: int = 1
    """Lines read in one TR (turbo factor)."""
    averages: int = 1
    concatenations: int = 1
    """Passes over the stack: ceil(slices / slices that fit into one TR)."""
    dummies: int = 1
    """TRs played out before data are kept, a concatenation."""
    reference_s: float = 0.0
    """Separate reference scan [s]; 0 for integrated ACS."""
    preparation_s: float = 1.3
    """Adjustments before the first TR [s]; fitted on 2D TSE protocols of two scanners."""
    preparation_low_s: float = 0.0
    preparation_high_s: float = 5.6
    clinical: ClinicalProtocol = ClinicalProtocol()

    def __post_init__(self) -> None:
        if self.sequence not in ("tse", "gre"):
            raise HalfscanError(f"protocol.sequence={self.sequence} is unknown: use tse or gre")
        for name in ("tr_s", "echo_train_length", "averages", "concatenations"):
            _at_least(name, getattr(self, name), 0, exclusive=True)
        for name in ("dummies", "reference_s", "preparation_low_s", "preparation_s", "preparation_high_s"):
            _at_least(name, getattr(self, name), 0)
        if not self.preparation_low_s <= self.preparation_s <= self.preparation_high_s:
            raise HalfscanError(
                f"protocol.preparation_s={self.preparation_s} must lie in its range "
                f"[{self.preparation_low_s}, {self.preparation_high_s}]"
            )
        if not math.isfinite(self.clinical.acceleration) or self.clinical.acceleration < 1 or self.clinical.acs_lines < 0:
            raise HalfscanError(
                f"protocol.clinical: acceleration={self.clinical.acceleration} must be at least 1 and "
                f"acs_lines={self.clinical.acs_lines} not negative"
            )


def _at_least(name: str, value: float, bound: float, exclusive: bool = False) -> None:
    if not math.isfinite(value) or value < bound or (exclusive and value == bound):
        raise HalfscanError(f"protocol.{name}={value} must be {'above' if exclusive else 'at least'} {bound}")


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
