"""The ISMRMRD header, in MRD files and in fastMRI's: timing, matrices, the lines that were acquired, the field.

Of a header's texts one is kept, the patient's id, to be made a pseudonym: names, dates, institutions and serial numbers stay
in the file.

Source: the ISMRMRD schema, version 1 (sequenceParameters, encoding, encodingLimits). Times there are in ms, lengths in mm.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from ..bench.acquisition import KSpace, Timing
from ..bench.errors import HalfscanError, one_line

Size: TypeAlias = tuple[int, int, int]
Limits: TypeAlias = tuple[int, int, int]

PROTON_HZ_PER_T = 42.577478518e6
"""Gyromagnetic ratio of the proton over 2π (CODATA 2018)."""
_MOST = 1_000_000
_LONGEST = 4_000_000
"""Of a header [characters]: they are some ten thousand."""
_SEQUENCES: dict[str, Literal["tse", "gre", "epi"]] = {
    **dict.fromkeys(("turbospinecho", "tse", "fse", "fastspinecho"), "tse"),
    **dict.fromkeys(("flash", "gre", "gradientecho", "spgr"), "gre"),
    **dict.fromkeys(("epi", "ep2d"), "epi"),
}


@dataclass(frozen=True, kw_only=True)
class Header:
    """What an ISMRMRD header says; None wherever it is silent."""

    timing: Timing
    trajectory: str | None = None
    encoded: Size | None = None
    """(x, y, z) samples of the encoded space, oversampling and zero padding included."""
    encoded_mm: tuple[float, float, float] | None = None
    recon: Size | None = None
    """(x, y, z) pixels of the image that the scanner would show."""
    recon_mm: tuple[float, float, float] | None = None
    lines: Limits | None = None
    """(minimum, maximum, centre) of the phase-encode counter."""
    partitions: Limits | None = None
    acceleration: tuple[float, float] = (1.0, 1.0)
    """Of parallel imaging along (y, z)."""
    field_strength_t: float | None = None
    noise_bandwidth: float | None = None
    """Of a noise scan, relative to that of its samples: the receiver's filter [1]."""
    patient_id: str | None = field(default=None, repr=False)
    """As the site names the patient; it leaves a reader as a pseudonym alone."""


def read_header(xml: str | bytes) -> Header:
    """What the header says; None for every field that it leaves out.

    Raises:
        HalfscanError: no XML, or XML with entities of its own, which a header has no use for.
    """
    text = xml.decode("utf-8", "replace") if isinstance(xml, bytes) else str(xml)
    if len(text) > _LONGEST:
        raise HalfscanError(f"the ISMRMRD header has {len(text):,} characters: it is not read")
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise HalfscanError("the ISMRMRD header declares entities: it is not read")
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        raise HalfscanError(f"the ISMRMRD header is no XML ({one_line(error)})") from error
    encoding = root.find("{*}encoding")
    tesla = _number(root, "{*}acquisitionSystemInformation/{*}systemFieldStrength_T")
    larmor = _number(root, "{*}experimentalConditions/{*}H1resonanceFrequency_Hz", most=1e10)
    trajectory = encoding.findtext("{*}trajectory") if encoding is not None else None
    factor = "{*}parallelImaging/{*}accelerationFactor/{*}"
    return Header(
        timing=_timing(root.find("{*}sequenceParameters"), encoding),
        trajectory=trajectory.strip().lower()[:32] if trajectory else None,
        encoded=_size(encoding, "encodedSpace"),
        encoded_mm=_extent(encoding, "encodedSpace"),
        recon=_size(encoding, "reconSpace"),
        recon_mm=_extent(encoding, "reconSpace"),
        lines=_limits(encoding, "kspace_encoding_step_1"),
        partitions=_limits(encoding, "kspace_encoding_step_2"),
        acceleration=(
            _number(encoding, f"{factor}kspace_encoding_step_1") or 1.0,
            _number(encoding, f"{factor}kspace_encoding_step_2") or 1.0,
        ),
        field_strength_t=tesla or (None if not larmor else larmor / PROTON_HZ_PER_T),
        noise_bandwidth=_number(root, "{*}acquisitionSystemInformation/{*}relativeReceiverNoiseBandwidth") or None,
        patient_id=(root.findtext("{*}subjectInformation/{*}patientID") or "").strip() or None,
    )


def _timing(sequence: ElementTree.Element | None, encoding: ElementTree.Element | None) -> Timing:
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


def _number(element: ElementTree.Element | None, path: str, most: float = _MOST) -> float | None:
    """The first such entry as a number; None where it is absent, or no number from 0 to `most`."""
    found = element.findtext(path) if element is not None else None
    try:
        value = float(found) if found is not None else math.nan
    except ValueError:
        return None
    return value if 0 <= value <= most else None


def _whole(element: ElementTree.Element | None, path: str) -> int | None:
    value = _number(element, path)
    return int(value) if value is not None and value == int(value) else None


def _size(encoding: ElementTree.Element | None, space: str) -> Size | None:
    x, y, z = (_whole(encoding, f"{{*}}{space}/{{*}}matrixSize/{{*}}{axis}") for axis in "xyz")
    return (x, y, z or 1) if x and y else None


def _extent(encoding: ElementTree.Element | None, space: str) -> tuple[float, float, float] | None:
    x, y, z = (_number(encoding, f"{{*}}{space}/{{*}}fieldOfView_mm/{{*}}{axis}") for axis in "xyz")
    return (x, y, z) if x and y and z else None


def _limits(encoding: ElementTree.Element | None, counter: str) -> Limits | None:
    path = f"{{*}}encodingLimits/{{*}}{counter}/{{*}}"
    low, high, centre = (_whole(encoding, path + end) for end in ("minimum", "maximum", "center"))
    if low is None or high is None or centre is None or not low <= centre <= high:
        return None
    return low, high, centre


def _milliseconds(element: ElementTree.Element | None, path: str) -> float | None:
    value = _number(element, path)
    return value / 1000 if value else None


def image_matrix(header: Header, kspace: KSpace) -> tuple[int, int] | None:
    """(ky, kx) of the image within the field of view that the scanner shows: oversampling is cut off.

    Lengths, not pixels, say how much that is: without its padding k-space has fewer, larger pixels in the same field of view.
    """
    encoded, shown = header.encoded_mm, header.recon_mm
    if encoded is None or shown is None:
        return None
    ky, kx = kspace.size("ky"), kspace.size("kx")
    return (
        min(ky, max(1, round(ky * shown[1] / encoded[1]))),
        min(kx, max(1, round(kx * shown[0] / encoded[0]))),
    )


def voxel_mm(header: Header, kspace: KSpace) -> tuple[float, float, float] | None:
    """Voxel size along (slice, ky, kx) [mm] of the lines that remain."""
    encoded = header.encoded_mm
    if encoded is None:
        return None
    return encoded[2] / (header.encoded or (1, 1, 1))[2], encoded[1] / kspace.size("ky"), encoded[0] / kspace.size("kx")
