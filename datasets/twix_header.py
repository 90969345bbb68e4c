"""The protocol in a Siemens measurement's header, by an allow-list: numbers, and the two ids that a patient goes by.

Source: the header's own text, ASCCONV lines (`alTR[0] = 2000000`) and XProtocol entries (`<ParamLong."name"> { 1 }`). What the
numbers mean follows ismrmrd/siemens_to_ismrmrd (parameter_maps). Times there are in µs or ns, lengths in mm.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..bench.acquisition import Timing
from ..bench.errors import HalfscanError

PROTOCOLS = ("MeasYaps", "Phoenix")
"""Parts of a header that hold the protocol as ASCCONV text; the second is a copy of the first."""
_PARTS = 32
"""More parts than any header has."""
_NAME = re.compile(rb"\w{1,48}")
_ASCCONV = re.compile(rb"### ASCCONV BEGIN[^\n]*\n(.*?)### ASCCONV END ###", re.DOTALL)
_ENTRY = re.compile(
    rb'<Param(?:String|Long|Double)\."(PatientID|PatientLOID|flReadoutOSFactor|alRegridMode|lEchoSpacing)">\s{0,64}\{([^{}]{0,256})\}'
)
_NUMBER = re.compile(rb"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.])")
_SLICE = "sSliceArray.asSlice[0]."
_KEPT = re.compile(
    r"alTR\[0\]|alTE\[\d{1,2}\]|lAverages|lTotalScanTimeSec|ucSequenceType|sProtConsistencyInfo\.flNominalB0|sRXSPEC\.lGain"
    r"|sRXSPEC\.alDwellTime\[0\]|sSliceArray\.lConc|sSliceArray\.asSlice\[0\]\.d(Thickness|PhaseFOV|ReadoutFOV)"
    r"|sKSpace\.(lBaseResolution|ucDimension|ucTrajectory|dPhaseOversamplingForDialog)"
    r"|sFastImaging\.(lEPIFactor|lTurboFactor|lSegments)|sPat\.(lAccelFactPE|lAccelFact3D)|sSliceAcceleration\.lMultiBandFactor"
)
"""Names of the ASCCONV lines that are kept, all of them numbers."""
_SIEMENS_SEQUENCE = re.compile(r'"+%SiemensSeq%\\+\w+"+')
"""A sequence that Siemens ships; users' own state types that they need not keep to."""
_MOST = 1e12
_FLASH, _EPI, _TSE = 1, 4, 8
"""Of `ucSequenceType`."""
_TRAJECTORIES = {2: "radial", 4: "spiral", 8: "BLADE (propeller)"}


@dataclass(frozen=True, kw_only=True)
class TwixHeader:
    """What a measurement's header says; None wherever it is silent."""

    numbers: Mapping[str, float]
    """ASCCONV lines of the allow-list."""
    siemens_sequence: bool = False
    """Whether the sequence is one that Siemens ships."""
    readout_oversampling: float | None = None
    ramp_sampled: bool = False
    echo_spacing_s: float | None = None
    patient: str | None = field(default=None, repr=False)
    """Id of the patient; never leaves the reader."""

    def number(self, name: str) -> float | None:
        return self.numbers.get(name)

    def positive(self, name: str) -> float | None:
        """A number above 0, else None."""
        return value if (value := self.numbers.get(name)) is not None and value > 0 else None

    def count(self, name: str) -> int | None:
        """A whole number above 0, else None."""
        return int(value) if (value := self.positive(name)) is not None and value == int(value) else None

    def sizes_mm(self) -> tuple[float, float, float] | None:
        """Slice thickness, and the fields of view along ky and kx with their oversampling [mm]."""
        thickness, ky, kx = (self.positive(_SLICE + name) for name in ("dThickness", "dPhaseFOV", "dReadoutFOV"))
        if thickness is None or ky is None or kx is None or self.readout_oversampling is None:
            return None
        return thickness, ky * (1 + self.phase_oversampling), kx * self.readout_oversampling

    @property
    def phase_oversampling(self) -> float:
        """As a fraction of the field of view."""
        value = self.number("sKSpace.dPhaseOversamplingForDialog") or 0.0
        return value if 0 <= value <= 10 else 0.0

    def timing(self, echo: int, *, alone: bool) -> Timing:
        """Of the volume of an echo; the measurement's duration is that of one volume only where it stands `alone`."""
        tr, te = self.positive("alTR[0]"), self.positive(f"alTE[{echo}]")
        kind = self.number("ucSequenceType")
        train = self.count("sFastImaging.lTurboFactor")
        # A segmented readout takes several lines a TR, too, and says elsewhere how many.
        segmented = train == 1 and (self.number("sFastImaging.lSegments") or 1) > 1
        return Timing(
            sequence="tse" if kind == _TSE else "gre" if kind == _FLASH and self.siemens_sequence else None,
            tr_s=None if tr is None else tr * 1e-6,
            te_s=None if te is None else te * 1e-6,
            echo_spacing_s=self.echo_spacing_s,
            echo_train_length=None if segmented else train,
            averages=self.count("lAverages"),
            concatenations=self.count("sSliceArray.lConc"),
            total_s=self.positive("lTotalScanTimeSec") if alone else None,
        )

    def refused(self) -> str | None:
        """Why a scan of such a protocol is not read; None where nothing speaks against it."""
        trajectory = self.number("sKSpace.ucTrajectory") or 1
        if trajectory != 1:
            return f"a {_TRAJECTORIES.get(int(trajectory), 'non-Cartesian')} scan: only Cartesian 2D scans are read"
        if (self.number("sKSpace.ucDimension") or 2) > 2:
            return "a 3D scan (sKSpace.ucDimension): only Cartesian 2D scans are read"
        if (self.number("sFastImaging.lEPIFactor") or 1) > 1 or self.number("ucSequenceType") == _EPI:
            return "an EPI scan (sFastImaging.lEPIFactor): only one line an echo is read"
        if self.ramp_sampled:
            return "sampled on the readout gradient's ramps (alRegridMode): only evenly spaced samples are read"
        if (bands := self.number("sSliceAcceleration.lMultiBandFactor") or 1) > 1:
            return f"{bands:g} slices at once (multiband): its slices lie on top of one another"
        for name in ("sPat.lAccelFactPE", "sPat.lAccelFact3D"):
            if (factor := self.number(name) or 1) > 1:
                return f"parallel imaging ({name} = {factor:g}): undersampled k-space has no truth"
        return None


def read_parts(content: bytes) -> dict[str, bytes]:
    """The parts of a header by name.

    Raises:
        HalfscanError: they do not fit into it.
    """
    count, at = int.from_bytes(content[4:8], "little"), 8
    if not 0 < count <= _PARTS:
        raise HalfscanError(f"its header claims {count:,} parts")
    parts: dict[str, bytes] = {}
    for _ in range(count):
        end = content.find(b"\0", at, at + 49)
        start = end + 5
        length = int.from_bytes(content[end + 1 : start], "little")
        if end < 0 or not _NAME.fullmatch(content[at:end]) or start + length > len(content):
            raise HalfscanError("the parts of its header do not fit into it")
        parts[content[at:end].decode("ascii")] = content[start : start + length]
        at = start + length
    return parts


def read_header(content: bytes) -> TwixHeader:
    """What a measurement's header says.

    Raises:
        HalfscanError: it holds no protocol.
    """
    parts = read_parts(content)
    protocol = next((found for name in PROTOCOLS if (found := _ASCCONV.search(parts.get(name, b"")))), None)
    if protocol is None:
        raise HalfscanError("its header holds no protocol (MeasYaps)")
    numbers: dict[str, float] = {}
    siemens = False
    for line in protocol.group(1).split(b"\n"):
        name, equals, value = (part.strip() for part in line.decode("latin-1").partition("="))
        if equals and _KEPT.fullmatch(name) and (number := _number(value)) is not None:
            numbers[name] = number
        elif name == "tSequenceFileName":
            siemens = _SIEMENS_SEQUENCE.fullmatch(value) is not None
    entries: dict[str, list[bytes]] = {}
    for name in ("Config", "Meas", "Dicom"):
        for one in _ENTRY.finditer(parts.get(name, b"")):
            entries.setdefault(one.group(1).decode("ascii"), []).append(one.group(2))
    spacing = _first(entries.get("lEchoSpacing", []))
    oversampling = _first(entries.get("flReadoutOSFactor", []))
    return TwixHeader(
        numbers=numbers,
        siemens_sequence=siemens,
        readout_oversampling=oversampling if oversampling is not None and 1 <= oversampling <= 16 else None,
        ramp_sampled=(_first(entries.get("alRegridMode", [])) or 1) > 1,
        echo_spacing_s=None if spacing is None else spacing * 1e-6,
        patient=_patient(entries),
    )


def _number(text: str) -> float | None:
    """A number of any scan, written as 12, 0x1 or 1.5e-3."""
    try:
        value = float(int(text, 16)) if text.lower().startswith("0x") else float(text)
    except (ValueError, OverflowError):
        return None
    return value if math.isfinite(value) and abs(value) <= _MOST else None


def _first(entries: list[bytes]) -> float | None:
    """The first number above 0 of several entries; `<Precision> 6` says how the numbers after it are printed."""
    for entry in entries:
        for text in _NUMBER.findall(re.sub(rb"<Precision>\s*\d+", b"", entry)):
            if 0 < (value := float(text)) <= _MOST:
                return value
    return None


def _patient(found: Mapping[str, list[bytes]]) -> str | None:
    """The patient's id, else the one that the scanner's own data base uses; ids of x's were scrubbed and are none."""
    for name in ("PatientID", "PatientLOID"):
        for entry in found.get(name, []):
            text = entry.decode("latin-1").strip().strip('"').strip()
            if re.search(r"[^\Wx_]", text, re.IGNORECASE):
                return text
    return None
