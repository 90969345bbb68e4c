"""A protocol as a console prints it (matrix, percentages, factors) → lines, and a `Protocol` that times them.

The form is that of a JSON file `{"protocols": [{"protocol": NAME, "tr_ms": ..., ...}]}`, one object a protocol, whose keys
docs/scan_time.md lists.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from ..errors import HalfscanError, one_line
from .fitted import SHIPPED, Fitted
from .protocol import Assumed, Protocol, expected_lines
from .seconds import ScanTime, scan_time

Reference: TypeAlias = Literal["integrated", "separate", "self_calibrated"]
Kind: TypeAlias = Literal["integrated", "separate", "SMS", "self-calibrated", "unaccelerated"]
KINDS: tuple[Kind, ...] = ("integrated", "separate", "SMS", "self-calibrated", "unaccelerated")

# Sequence names that the fields of this form do not describe, and what they would need.
_UNDESCRIBED = {
    r"ep|resolve": "EPI: time it with protocol=epi",
    r".*(haste|tgse|trufi|blade|cine)": "no Cartesian turbo spin echo or gradient echo with one readout scheme for all TRs",
}
_THREE_D = re.compile(r".*(3d|spc|space|vibe|mprage|mpr\b|tfl|ciss|dess|swi)")
_MODES: dict[str, Reference] = {
    "integrated": "integrated",
    "self-calibration": "self_calibrated",
    **dict.fromkeys(("separate", "tse/separate", "gre/separate", "epi/separate", "flash/separate"), "separate"),
}
# Keys that say nothing of the time, or of what it is compared with; every other unknown key is named in the report.
INFORMATIONAL = ("protocol", "scanner", "sequence", "parallel_imaging", "deep_resolve", "source")
TIMING_KEYS = (
    "console_scan_time_s",
    "tr_ms",
    "averages",
    "concatenations",
    "slices",
    "base_resolution",
    "phase_resolution_percent",
    "fov_phase_percent",
    "phase_oversampling_percent",
    "turbo_factor",
    "acceleration_factor",
    "reference_lines",
    "reference_scan_mode",
    "phase_partial_fourier",
    "sms_factor",
    "measurements",
    "partitions",
    "elliptical_scanning",
)
_MOST = 1_000_000


@dataclass(frozen=True, kw_only=True)
class ConsoleProtocol:
    """What a console shows of a 2D turbo spin echo or gradient echo protocol, or of a 3D one with `partitions`.

    Raises:
        HalfscanError: values that are impossible or contradict each other, by the console's name of the field.
    """

    name: str
    tr_s: float
    base_resolution: int
    phase_resolution: float = 1.0
    """Share of the base resolution [1]."""
    fov_phase: float = 1.0
    """Field of view along phase over that along readout [1]."""
    phase_oversampling: float = 0.0
    """[1]"""
    partial_fourier: float = 1.0
    """Share of the lines that is read [1]."""
    turbo_factor: int = 1
    averages: int = 1
    measurements: int = 1
    concatenations: int = 1
    slices: int | None = None
    acceleration: float = 1.0
    """Of parallel imaging, in the plane."""
    reference_lines: int | None = None
    reference: Reference = "integrated"
    sms_factor: int = 1
    partitions: int | None = None
    """3D: phase encodes along kz; None: 2D."""
    elliptical: bool = False
    printed_s: float | None = None
    """Acquisition time that the console printed [s]."""
    group: str = ""
    """Body region or scanner, for errors that leave one out."""

    def __post_init__(self) -> None:
        for name in ("base_resolution", "phase_resolution", "fov_phase", "acceleration"):
            self._refuse_unless(name, getattr(self, name) > 0, "must be above 0")
        self._refuse_unless("partial_fourier", 0.5 <= self.partial_fourier <= 1, "must lie between 4/8 and 1")
        self._refuse_unless("phase_oversampling", self.phase_oversampling >= 0, "must not be negative")
        self._refuse_unless("acceleration", self.acceleration >= 1, "must be at least 1")
        self._refuse_unless("reference_lines", (self.reference_lines or 0) >= 0, "must not be negative")
        if self.printed_s is not None:
            self._refuse_unless("printed_s", self.printed_s > 0, "must be above 0")
        full = self.full_lines
        self._refuse_unless("acceleration", self.acceleration <= full, f"is larger than the {full} phase-encode lines")
        if self.acceleration > 1 and self.reference == "integrated":
            lines = self.reference_lines or 0
            self._refuse_unless("reference_lines", lines > 0, "integrated reference lines must be stated")
            self._refuse_unless("reference_lines", lines <= full, f"are more than the {full} phase-encode lines")
        # Built once here, so that what a `Protocol` refuses is refused with the console's protocol named.
        self.scan()

    def _refuse_unless(self, field: str, holds: bool, words: str) -> None:
        if not holds:
            raise HalfscanError(f"{_CONSOLE_NAMES.get(field, field)}={getattr(self, field)} {words}")

    @property
    def kind(self) -> Kind:
        """How the calibration lines are had."""
        if self.sms_factor > 1:
            return "SMS"
        if self.acceleration <= 1:
            return "unaccelerated"
        return "self-calibrated" if self.reference == "self_calibrated" else self.reference

    @property
    def full_lines(self) -> int:
        """Phase-encode lines without acceleration, partial Fourier applied."""
        lines = self.base_resolution * self.phase_resolution * self.fov_phase * (1 + self.phase_oversampling)
        whole = math.floor(lines + 0.5)
        return max(1, math.floor(whole * self.partial_fourier + 0.5))

    @property
    def lines(self) -> int:
        """That the accelerated scan reads. Integrated reference lines add to them; a separate scan or averages that
        interleave (self-calibration) do not."""
        added = self.reference_lines if self.reference == "integrated" else None
        return expected_lines(self.full_lines, self.acceleration, added or 0)

    def protocol(self, fitted: Fitted = SHIPPED) -> Protocol:
        """How its lines are timed.

        Args:
            fitted: the times that no console prints; others than the shipped ones carry no range.
        """
        known = Assumed(dummies=None, preparation_s=None, reference_line_s=None, sms_reference_s=None)
        try:
            return Protocol(
                name=self.name,
                sequence="tse" if self.turbo_factor > 1 else "gre",
                dimension=2 if self.partitions is None else 3,
                tr_s=self.tr_s,
                echo_train_length=self.turbo_factor,
                averages=self.averages,
                volumes=self.measurements,
                slices=self.slices if self.partitions is None else None,
                sms_factor=self.sms_factor,
                concatenations=self.concatenations,
                partitions=self.partitions or 1,
                elliptical=self.elliptical,
                reference=self.reference if self.acceleration > 1 or self.sms_factor > 1 else "integrated",
                reference_lines=self.reference_lines if self.slices else None,
                reference_line_s=fitted.reference_line_s,
                sms_reference_s=fitted.sms_reference_s,
                preparation_s=fitted.preparation_s,
                assumed=Assumed() if fitted == SHIPPED else known,
            )
        except HalfscanError as error:
            raise HalfscanError(_as_console(one_line(error))) from error

    def scan(self, fitted: Fitted = SHIPPED) -> ScanTime:
        """Its seconds, term by term."""
        protocol = self.protocol(fitted)
        try:
            return scan_time(self.lines, protocol, accelerated=self.acceleration > 1)
        except HalfscanError as error:
            raise HalfscanError(_as_console(one_line(error))) from error

    def without_acceleration(self) -> ConsoleProtocol:
        """The same protocol, fully sampled."""
        return replace(self, acceleration=1.0, printed_s=None)


# What a console calls the fields of a protocol.
_CONSOLE_NAMES = {
    "printed_s": "console_scan_time_s",
    "acceleration": "acceleration_factor",
    "phase_resolution": "phase_resolution_percent / 100",
    "fov_phase": "fov_phase_percent / 100",
    "phase_oversampling": "phase_oversampling_percent / 100",
    "partial_fourier": "phase_partial_fourier",
    "protocol.echo_train_length": "turbo_factor",
    "protocol.tr_s": "tr_ms / 1000",
    "protocol.volumes": "measurements",
}


def _as_console(message: str) -> str:
    """A protocol's refusal in the console's words."""
    for ours, theirs in _CONSOLE_NAMES.items():
        message = message.replace(f"{ours}=", f"{theirs}=") if ours.startswith("protocol.") else message
    return message.replace("protocol.", "")


@dataclass(frozen=True, kw_only=True)
class ConsoleFile:
    """A file's protocols, and why others were refused."""

    protocols: tuple[ConsoleProtocol, ...]
    refused: Mapping[str, str]
    """Place and name → reason."""
    unused: tuple[str, ...] = ()
    """Keys that the file states and the time does not depend on here: perhaps misspelt."""


def read_console_file(path: Path) -> ConsoleFile:
    """Reads protocols with the times that a console printed.

    Raises:
        HalfscanError: no such file, no JSON of that form, or no protocol that can be used.
    """
    try:
        content = json.loads(path.read_text("utf-8"), object_pairs_hook=_without_repeats)
    except OSError as error:
        raise HalfscanError(f"{path}: can't be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise HalfscanError(f"{path}: is no JSON ({one_line(error)})") from error
    listed = content.get("protocols") if isinstance(content, dict) else content
    if not isinstance(listed, list) or not listed:
        raise HalfscanError(f'{path}: holds no protocols; write {{"protocols": [{{"protocol": "NAME", "tr_ms": 4000, ...}}]}}')
    protocols, refused = [], {}
    for number, entry in enumerate(listed, 1):
        try:
            protocols.append(parse_console(entry))
        except HalfscanError as error:
            name = _printable(entry.get("protocol", "")) if isinstance(entry, dict) else ""
            refused[f"protocol {number} {name}".strip()] = one_line(error)
    if not protocols:
        place, reason = next(iter(refused.items()))
        raise HalfscanError(f"{path}: no protocol can be used; {place}: {reason}")
    known = {*TIMING_KEYS, *INFORMATIONAL}
    unused = dict.fromkeys(_printable(key) for entry in listed if isinstance(entry, dict) for key in entry if key not in known)
    return ConsoleFile(protocols=tuple(protocols), refused=refused, unused=tuple(unused))


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"the key {repeated[0]!r} stands twice in one object")
    return dict(pairs)


def _printable(text: object) -> str:
    """A name that can't break a table or a terminal."""
    return "".join(sign if sign.isprintable() else "?" for sign in str(text))[:80]


def parse_console(entry: object) -> ConsoleProtocol:
    """One protocol of the JSON form; fields that change the time have no silent default.

    Raises:
        HalfscanError: a field is missing, is no number, or makes no sense.
    """
    if not isinstance(entry, dict):
        raise HalfscanError("a protocol must be a JSON object")
    read = _Reader({str(key): value for key, value in entry.items()})
    name = _printable(entry.get("protocol") or "protocol")
    partitions = read.count("partitions", None)
    _refuse_undescribed(_printable(entry.get("sequence") or ""), partitions)
    acceleration = _acceleration(read)
    sms = read.count("sms_factor", 1) or 1
    return ConsoleProtocol(
        name=name,
        tr_s=read.required("tr_ms") / 1000,
        base_resolution=read.whole("base_resolution"),
        phase_resolution=read.required("phase_resolution_percent") / 100,
        fov_phase=read.required("fov_phase_percent") / 100,
        phase_oversampling=read.required("phase_oversampling_percent") / 100,
        partial_fourier=_partial_fourier(entry.get("phase_partial_fourier")),
        turbo_factor=read.whole("turbo_factor"),
        averages=read.whole("averages"),
        measurements=read.count("measurements", 1) or 1,
        concatenations=read.whole("concatenations"),
        slices=read.count("slices", None),
        acceleration=acceleration,
        reference_lines=read.count("reference_lines", None),
        reference=_reference(entry.get("reference_scan_mode"), acceleration, sms),
        sms_factor=sms,
        partitions=partitions,
        elliptical=_elliptical(entry.get("elliptical_scanning")),
        printed_s=read.number("console_scan_time_s", None),
        group=_printable(entry.get("scanner") or ""),
    )


class _Reader:
    def __init__(self, entry: Mapping[str, Any]) -> None:
        self.entry = entry

    def number(self, key: str, default: float | None) -> Any:
        value = self.entry.get(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise HalfscanError(f"{key}={_printable(repr(value))} must be a number")
        if not -_MOST <= value <= _MOST or 0 < abs(value) < 1e-3:
            raise HalfscanError(f"{key}={_printable(value)} is beyond every scan")
        return float(value)

    def required(self, key: str) -> float:
        value = self.number(key, None)
        if value is None:
            raise HalfscanError(f"{key} is missing, and the time depends on it")
        return float(value)

    def count(self, key: str, default: int | None) -> int | None:
        value = self.number(key, None)
        if value is None:
            return default
        if value != int(value) or value < (key != "reference_lines"):
            raise HalfscanError(f"{key}={value:g} must be a whole number{'' if key == 'reference_lines' else ', at least 1'}")
        return int(value)

    def whole(self, key: str) -> int:
        self.required(key)
        return self.count(key, None) or 0


def _refuse_undescribed(sequence: str, partitions: int | None) -> None:
    lowered = sequence.lower()
    for pattern, words in _UNDESCRIBED.items():
        if re.match(pattern, lowered):
            raise HalfscanError(f"sequence={sequence} is {words}")
    if _THREE_D.match(lowered) and partitions is None:
        raise HalfscanError(f"sequence={sequence} is 3D: state its partitions")


def _acceleration(read: _Reader) -> float:
    """Of parallel imaging; 1 only where it is off."""
    imaging = read.entry.get("parallel_imaging")
    stated = read.number("acceleration_factor", None)
    if imaging is None or str(imaging).upper() == "SMS":
        return 1.0 if stated is None else float(stated)
    if str(imaging).lower() in ("none", "off"):
        if stated is not None and stated > 1:
            raise HalfscanError(f"parallel_imaging={imaging} contradicts acceleration_factor={stated:g}")
        return 1.0
    if stated is None:
        raise HalfscanError(f"acceleration_factor is missing, and parallel_imaging is {_printable(imaging)}")
    return float(stated)


def _elliptical(value: object) -> bool:
    if value is None or value is False or value == "Off":
        return False
    if value is True or value == "On":
        return True
    raise HalfscanError(f"elliptical_scanning={_printable(repr(value))} must be true or false")


def _partial_fourier(value: object) -> float:
    if value is None or value == "Off":
        return 1.0
    found = re.fullmatch(r"(\d)/(\d)", str(value))
    if found is None or found.group(2) == "0":
        raise HalfscanError(f"phase_partial_fourier={_printable(repr(value))} must be Off or a fraction such as 7/8")
    return int(found.group(1)) / int(found.group(2))


def _reference(value: object, acceleration: float, sms: int) -> Reference:
    if value is None and acceleration <= 1 and sms <= 1:
        return "integrated"
    mode = _MODES.get(str(value).strip().lower())
    if mode is None:
        raise HalfscanError(
            f"reference_scan_mode={_printable(value)} must be Integrated, Separate (or TSE/Separate) or Self-calibration"
        )
    return mode
