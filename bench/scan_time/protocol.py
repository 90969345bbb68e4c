"""A protocol as a scanner runs it: what a shot costs, how many there are, and what is assumed beside them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ..errors import HalfscanError
from ..quantity import Quantity
from .fitted import (
    PREPARATION_RANGE_S,
    REFERENCE_LINE_RANGE_S,
    SEPARATE_RANGE_S,
    SEPARATE_S,
    SHIPPED,
    SMS_RANGE_S,
    SMS_REFERENCE_RANGE_S,
    SMS_S,
)

Range: TypeAlias = Sequence[float] | None
"""(low, high), or None where the value is known."""

SEQUENCES = ("tse", "gre", "mprage", "epi")
REFERENCES = ("integrated", "separate", "self_calibrated")
# Beyond these nobody scans, and arithmetic overflows.
MOST, LONGEST_S = 1_000_000, 3600.0
_OPTIONAL_COUNTS = ("slices", "concatenations", "slices_per_tr")
# No whole-body gradient system reads echoes faster; stated where a protocol says nothing of its echo spacing.
SHORTEST_ECHO_SPACING_S = 0.0002


def expected_lines(full: int, acceleration: float, acs_lines: int = 0) -> int:
    """Lines of a regular accelerated scan, where no mask is at hand: whole lines in N/R + ACS · (1 − 1/R).

    The fraction of a line is dropped: consoles fill their last shot to the line, and a line more would start another.
    """
    acs = min(acs_lines, full)
    return max(1, math.floor((full + acs * (acceleration - 1)) / acceleration + 1e-9))


@dataclass(frozen=True, kw_only=True)
class ClinicalProtocol:
    """The accelerated protocol that is in clinical use today: the second baseline of every reduction."""

    name: str = "SENSE R=2"
    acceleration: float = 2.0
    """Parallel-imaging factor."""
    acs_lines: int = 24
    """Integrated reference lines."""

    def lines(self, acquired: int) -> int:
        """Lines it samples of `acquired`."""
        return expected_lines(acquired, self.acceleration, self.acs_lines)


@dataclass(frozen=True, kw_only=True)
class Assumed:
    """Between what each assumed value may lie; None where it is known."""

    dummies: Range = (1, 2)
    """Two of 55 console protocols show one more than the usual one."""
    preparation_s: Range = PREPARATION_RANGE_S
    reference_line_s: Range = REFERENCE_LINE_RANGE_S
    sms_reference_s: Range = SMS_REFERENCE_RANGE_S


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """A Cartesian protocol; what the data's own header says of timing goes before it, unless `timing` says otherwise.

    Raises:
        HalfscanError: a value that no scanner could run, or two that contradict each other, by name.
    """

    name: str
    sequence: Literal["tse", "gre", "mprage", "epi"]
    dimension: int = 2
    """2 (slices) or 3 (a volume encoded along ky and kz)."""
    timing: Literal["header", "protocol"] = "header"
    """`header`: the data's own timing where it is stated; `protocol`: this protocol, whatever the data say."""
    tr_s: float
    """Repetition time [s]; of the outer loop where one shot follows an inversion (MPRAGE)."""
    echo_train_length: int = 1
    """Lines read in one shot (turbo factor); EPI: lines over segments, so leave it at 1."""
    echo_spacing_s: float | None = None
    """From echo to echo [s]; None: not known, so only trains beyond every gradient system are refused."""
    averages: int = 1
    volumes: int = 1
    """Measurements, one after another."""
    slices: int | None = None
    """Of the whole scan."""
    sms_factor: int = 1
    """Slices excited together."""
    concatenations: int | None = 1
    """Passes over the stack; None: ceil(slices / (sms_factor · slices_per_tr))."""
    slices_per_tr: int | None = None
    """Excitations that fit into one TR."""
    partitions: int = 1
    """3D: phase encodes along kz."""
    elliptical: bool = False
    """3D: the corners of the ky-kz plane are left out, π/4 is read."""
    segments: int = 1
    """EPI: shots a volume; 1 is single-shot."""
    dummies: int = 1
    """TRs played out before data are kept, a concatenation."""
    reference: Literal["integrated", "separate", "self_calibrated"] = "integrated"
    """Where calibration lines come from: among the sampled ones, a scan of their own, or averages that interleave."""
    reference_lines: int | None = None
    """Lines a slice of a separate reference scan; None: not known, as the slices may be, so the scan's time is assumed whole."""
    reference_line_s: float = SHIPPED.reference_line_s
    """Time of one of them [s]."""
    sms_reference_s: float = SHIPPED.sms_reference_s
    """Single-band reference of slices excited together [s]."""
    preparation_s: float = SHIPPED.preparation_s
    """Adjustments before the first TR [s]."""
    assumed: Assumed = Assumed()
    clinical: ClinicalProtocol = ClinicalProtocol()

    def __post_init__(self) -> None:
        _one_of("sequence", self.sequence, SEQUENCES)
        _one_of("reference", self.reference, REFERENCES)
        _one_of("timing", self.timing, ("header", "protocol"))
        if self.dimension not in (2, 3):
            raise HalfscanError(f"protocol.dimension={self.dimension} must be 2 or 3")
        for name in ("tr_s", "echo_spacing_s"):
            _at_least(name, getattr(self, name), 0, exclusive=True)
        for name in ("reference_line_s", "sms_reference_s", "preparation_s"):
            _at_least(name, getattr(self, name), 0)
        for name in ("echo_train_length", "averages", "volumes", "sms_factor", "partitions", "segments", *_OPTIONAL_COUNTS):
            _count(name, getattr(self, name), 1)
        for name in ("dummies", "reference_lines"):
            _count(name, getattr(self, name), 0)
        for name, bounds in self._ranges().items():
            _check_range(name, getattr(self, name), bounds)
        if not math.isfinite(self.clinical.acceleration) or self.clinical.acceleration < 1 or self.clinical.acs_lines < 0:
            raise HalfscanError(
                f"protocol.clinical: acceleration={self.clinical.acceleration} must be at least 1 and "
                f"acs_lines={self.clinical.acs_lines} not negative"
            )
        self._refuse_contradictions()

    def _ranges(self) -> Mapping[str, Range]:
        return {name: getattr(self.assumed, name) for name in self.assumed.__dataclass_fields__}

    def _refuse_contradictions(self) -> None:
        if self.dimension == 2 and (self.partitions > 1 or self.elliptical):
            raise HalfscanError(
                f"protocol.dimension=2 contradicts partitions={self.partitions}, elliptical={self.elliptical}: these are of 3D"
            )
        if self.dimension == 3 and (self.sms_factor > 1 or self.passes > 1 or self.slices or self.slices_per_tr):
            raise HalfscanError(
                "protocol.dimension=3 contradicts slices, slices_per_tr, sms_factor and concatenations: a slab has none"
            )
        if self.sequence == "gre" and self.echo_train_length > 1:
            raise HalfscanError(
                f"protocol.echo_train_length={self.echo_train_length} contradicts sequence=gre, which reads one line a TR: "
                "mprage and epi read several"
            )
        if self.reference == "separate" and self.reference_lines is not None and self.slices is None and self.dimension == 2:
            raise HalfscanError(
                f"protocol.reference_lines={self.reference_lines} of a separate reference need slices to be timed"
            )
        if self.sequence == "epi" and self.echo_train_length > 1:
            raise HalfscanError("protocol.echo_train_length: EPI's follows from its lines and segments; leave it at 1")
        if self.sequence != "epi" and self.segments > 1:
            raise HalfscanError(f"protocol.segments={self.segments} contradicts sequence={self.sequence}: segments are of EPI")
        if self.slices is not None and self.sms_factor > self.slices:
            raise HalfscanError(f"protocol.sms_factor={self.sms_factor} is larger than slices={self.slices}")
        if self.slices is not None and self.concatenations is not None:
            groups = math.ceil(self.slices / self.sms_factor)
            if self.concatenations > groups:
                raise HalfscanError(
                    f"protocol.concatenations={self.concatenations} are more than the {groups} excitations of slices"
                )
        fitting = self.excitations_per_tr
        if self.slices is not None and fitting is not None and self.passes * fitting * self.sms_factor < self.slices:
            raise HalfscanError(
                f"protocol.concatenations={self.concatenations} with slices_per_tr={self.slices_per_tr} and "
                f"sms_factor={self.sms_factor} reach {self.passes * fitting * self.sms_factor} of {self.slices} slices"
            )
        self.check_train(self.echo_train_length)

    def check_train(self, echoes: int) -> None:
        """Refuses a TR that is shorter than the echo trains that must fit into it.

        Raises:
            HalfscanError: naming TR, train and slices.
        """
        spacing = self.echo_spacing_s or (SHORTEST_ECHO_SPACING_S if echoes > 1 else 0.0)
        trains = self.excitations_per_tr or 1
        if echoes * spacing * trains > self.tr_s * (1 + 1e-9):
            raise HalfscanError(
                f"protocol.tr_s={self.tr_s:g} is shorter than {trains} echo train{'s' if trains > 1 else ''} of {echoes} echoes "
                f"{1000 * spacing:g} ms apart ({echoes * spacing * trains:g} s): lengthen TR or shorten the train"
            )

    @property
    def excitations_per_tr(self) -> int | None:
        """Slices, or groups of slices, that share a TR; None where the protocol does not say."""
        if self.slices_per_tr is not None:
            return self.slices_per_tr
        if self.dimension == 3 or self.slices is None or self.concatenations is None:
            return None
        return math.ceil(self.slices / (self.sms_factor * self.concatenations))

    @property
    def passes(self) -> int:
        """Concatenations, stated or from the slices.

        Raises:
            HalfscanError: neither.
        """
        if self.concatenations is not None:
            return self.concatenations
        if self.slices is None or self.slices_per_tr is None:
            raise HalfscanError("protocol.concatenations=null needs slices and slices_per_tr to be derived from")
        return math.ceil(self.slices / (self.sms_factor * self.slices_per_tr))

    def steps(self, lines: int) -> int:
        """Phase encodes of a volume that reads `lines` lines along ky: times partitions in 3D, π/4 of them if elliptical."""
        share = math.pi / 4 if self.elliptical else 1.0
        return math.ceil(lines * self.partitions * share - 1e-9)

    def echoes(self, steps: int) -> int:
        """Lines that one shot reads."""
        return math.ceil(steps / self.segments) if self.sequence == "epi" else self.echo_train_length

    def shots(self, steps: int) -> int:
        """Shots that read `steps` phase encodes once.

        Raises:
            HalfscanError: an echo train, or more segments, than there are phase encodes.
        """
        if steps < 1:
            raise HalfscanError(f"a scan of {steps} lines takes no time: sample at least one")
        if self.sequence == "epi":
            if self.segments > steps:
                raise HalfscanError(f"protocol.segments={self.segments} are more than the {steps} sampled lines")
            if math.ceil(steps / self.echoes(steps)) < self.segments:
                raise HalfscanError(f"protocol.segments={self.segments} leave a shot without any of the {steps} sampled lines")
            self.check_train(self.echoes(steps))
            return self.segments
        if self.echo_train_length > steps:
            raise HalfscanError(
                f"protocol.echo_train_length={self.echo_train_length} is longer than the {steps} sampled lines: "
                "shorten the train or sample more"
            )
        return math.ceil(steps / self.echo_train_length)

    def assumption(self, name: str, unit: str) -> Quantity:
        """An assumed value with its range, or a stated one without."""
        value, bounds = float(getattr(self, name)), self._ranges()[name]
        if bounds is None:
            return Quantity(value=value, unit=unit, method="stated", low=value, high=value)
        return Quantity(value=value, unit=unit, method="assumed", low=float(bounds[0]), high=float(bounds[1]))

    def reference_scan(self) -> Quantity:
        """Time of the reference scan that an accelerated scan needs [s]: lines · excitations · time a line, and for
        slices excited together a single-band scan; of unknown lines or slices the median of scanners."""
        separate, together = self.reference == "separate", self.sms_factor > 1
        if not separate and not together:
            return Quantity(value=0.0, unit="s", method="modelled", low=0.0, high=0.0)
        if separate and (self.slices is None or self.reference_lines is None):
            value, (low, high) = (SMS_S, SMS_RANGE_S) if together else (SEPARATE_S, SEPARATE_RANGE_S)
            return Quantity(value=value, unit="s", method="assumed", low=low, high=high)
        method = "stated" if self.assumed.reference_line_s is None and self.assumed.sms_reference_s is None else "assumed"
        line, band = self.assumption("reference_line_s", "s"), self.assumption("sms_reference_s", "s")
        count = self.reference_excitations
        value, low, high = (
            count * (at_line or 0.0) + (at_band or 0.0) * together
            for at_line, at_band in ((line.value, band.value), (line.low, band.low), (line.high, band.high))
        )
        return Quantity(value=value, unit="s", method=method, low=low, high=high)

    @property
    def reference_excitations(self) -> int:
        """Excitations times lines of a separate reference scan; 0 where there is none, or where they are not known."""
        if self.reference != "separate":
            return 0
        return (self.reference_lines or 0) * math.ceil((self.slices or 0) / self.sms_factor)


def _one_of(name: str, value: object, known: Sequence[str]) -> None:
    if value not in known:
        raise HalfscanError(f"protocol.{name}={value} is unknown: use {', '.join(known)}")


def _count(name: str, value: float | None, least: int) -> None:
    if value is None:
        return
    if not least <= value <= MOST or value != int(value):
        raise HalfscanError(f"protocol.{name}={_short(value)} must be a whole number from {least} to {MOST:,}")


def _short(value: float) -> str:
    """A number for messages: overlong integers are cut."""
    said = str(value)
    return said if len(said) <= 24 else said[:20] + "..."


def _at_least(name: str, value: float | None, bound: float, exclusive: bool = False) -> None:
    if value is None:
        return
    if not bound <= value <= LONGEST_S or (exclusive and value == bound):
        least = f"{'above' if exclusive else 'at least'} {bound}"
        raise HalfscanError(f"protocol.{name}={_short(value)} must be {least}, and at most {LONGEST_S:g} s")


def _check_range(name: str, value: float, bounds: Range) -> None:
    if bounds is None:
        return
    if len(bounds) != 2 or not all(0 <= bound <= MOST for bound in bounds) or bounds[0] > bounds[1]:
        raise HalfscanError(f"protocol.assumed.{name}={list(bounds)} must be [low, high], or null where the value is known")
    if not bounds[0] <= value <= bounds[1]:
        raise HalfscanError(
            f"protocol.{name}={value:g} lies outside what is assumed of it, {bounds[0]:g} to {bounds[1]:g}: if you know it, "
            f"add protocol.assumed.{name}=null"
        )
