"""Writes Siemens raw data with the twixtools library (software VD), and by hand with its types what it can't write (VB)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from twixtools import hdr_def, mdh_def, write_twix
from twixtools.mdb import Mdb_local
from twixtools.seqdata import SeqData, SeqDataHeader

PROTOCOL: dict[str, object] = {
    "tSequenceFileName": '"%SiemensSeq%\\tse"',
    "ucSequenceType": 8,
    "lAverages": 1,
    "lScanTimeSec": 21,
    "lTotalScanTimeSec": 24,
    "alTR[0]": 2800000,
    "alTE[0]": 33000,
    "alTE[1]": 99000,
    "sProtConsistencyInfo.flNominalB0": 2.89362001419,
    "sRXSPEC.lGain": 1,
    "sRXSPEC.alDwellTime[0]": 10000,
    "sSliceArray.lConc": 1,
    "sSliceArray.asSlice[0].dThickness": 3.0,
    "sKSpace.ucDimension": 2,
    "sKSpace.ucTrajectory": "0x1",
    "sFastImaging.lEPIFactor": 1,
    "sFastImaging.lTurboFactor": 4,
    "sPat.lAccelFactPE": 1,
    "sSliceAcceleration.lMultiBandFactor": 1,
}
"""Of a turbo spin echo."""


def readout(
    samples: np.ndarray, centre: int, column: int, slice_mm: float = 0.0, flags: Sequence[str] = (), **counters: int
) -> Any:
    """A readout of (coil, sample) with its counters; `centre` and `column` are those of k-space."""
    one = Mdb_local(np.ascontiguousarray(samples, np.complex64))
    # One header each: the library's own lists the same one for all channels.
    one.channel_hdr = [mdh_def.Channel_header(ChannelId=coil) for coil in range(len(samples))]
    for name, value in counters.items():
        setattr(one.mdh.Counter, name, value)
    one.mdh.CenterLin, one.mdh.CenterCol = centre, column
    one.mdh.SliceData.SlicePos.Tra = slice_mm
    one.mdh.SliceData.Quaternion[:] = (1.0, 0.0, 0.0, 0.0)
    one.set_flags(["ONLINE", *flags])
    return one


def readouts(kspace: np.ndarray, centre: int | None = None, **counters: int) -> list[Any]:
    """All lines of (slice, coil, ky, kx), slices 5 mm apart, from feet to head."""
    slices, _, lines, columns = kspace.shape
    middle = lines // 2 if centre is None else centre
    return [
        readout(kspace[index, :, line], middle, columns // 2, 5.0 * index, Lin=line, Sli=index, **counters)
        for line in range(lines)
        for index in range(slices)
    ]


def noise(samples: np.ndarray) -> Any:
    """A readout of (coil, sample) noise."""
    return readout(samples, 0, 0, flags=["NOISEADJSCAN"])


def packet(text: str) -> Any:
    """Data of another kind, such as of physiology, that lie between readouts."""
    content = text.encode().ljust(64, b"\0")
    one = Mdb_local(SeqData(bytes(SeqDataHeader(packet_size=len(content), id=b"PMU")) + content).tobytes())
    one.set_flags(["SYNCDATA"])
    mdh_def.set_dma_len(one.mdh, 192 + len(one.data))
    one._Mdb_local__data = SeqData(one.data)
    return one


def header(protocol: Mapping[str, object] | None = None, phi: str | None = None, oversampling: float = 1.0, **ids: str) -> bytes:
    """A measurement's header: its parts as text, with `phi` wherever it could name somebody."""
    text = phi or "none"
    named = {"tPatientName", "PatientID", "PatientLOID", "PatientBirthDay", "InstitutionName", "DeviceSerialNumber"}
    named |= {"tProtocolName", "tStudyDescription", "tFreeText", "tPerfPhysiciansName", "SoftwareVersions", "ReferringPhysician"}
    strings = {**dict.fromkeys(sorted(named), text), "PatientID": text if phi else "x" * 12, **ids}
    written = "".join(f'  <ParamString."{name}">  {{ "{value}"  }}\n' for name, value in strings.items())
    lines = {**PROTOCOL, "tProtocolName": f'"{text}"', "tReferenceImage0": f'"{text}"', **(protocol or {})}
    ascconv = "".join(f"{name}\t = \t{value}\n" for name, value in lines.items() if value is not None)
    yaps = f"### ASCCONV BEGIN object=MrProtDataImpl@MrProtocolData version=51130001 ###\n{ascconv}### ASCCONV END ###\n\0"
    factor = f'  <ParamDouble."flReadoutOSFactor">\n  {{\n    <Precision> 6\n    {oversampling:.6f}\n  }}\n'
    grid = '  <ParamLong."alRegridMode">\n  {\n    1 1\n  }\n'
    parts = {
        "Config": f"<XProtocol>\n{{\n{written}}}\n",
        "Dicom": f"<XProtocol>\n{{\n{written}{factor}}}\n\0",
        "Meas": f"<XProtocol>\n{{\n{written}{grid}{factor}}}\n\0",
        "MeasYaps": yaps,
        "Phoenix": f"<XProtocol>\n{{\n{written}}}\n{yaps}",
        "Spice": f"<XProtocol>\n{{\n{written}}}\n\0",
    }
    return _joined({name: part.encode("latin-1") for name, part in parts.items()})


def _joined(parts: Mapping[str, bytes]) -> bytes:
    inside = b"".join(name.encode() + b"\0" + len(part).to_bytes(4, "little") + part for name, part in parts.items())
    padded = -(-(8 + len(inside)) // 32) * 32
    return padded.to_bytes(4, "little") + len(parts).to_bytes(4, "little") + inside.ljust(padded - 8, b"\0")


def save(
    path: Path,
    measured: Sequence[Any],
    head: bytes,
    earlier: Sequence[tuple[str, Sequence[Any], bytes]] = (),
    phi: str | None = None,
) -> Path:
    """A multi-raid file whose last measurement is `measured`, after earlier ones of (protocol name, readouts, header)."""
    scans = []
    for name, mdbs, text in [*earlier, (phi or "none", measured, head)]:
        end = Mdb_local()
        end.set_flags(["ACQEND"])
        entry = np.zeros((), hdr_def.MrParcRaidFileEntry)
        entry["patName_"], entry["protName_"] = (phi or "none").encode(), name.encode()
        scans.append({"mdb": [*mdbs, end], "hdr_str": np.frombuffer(text, "S1"), "raidfile_hdr": entry})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    write_twix(scans, str(path))
    return path


def save_vb(path: Path, measured: Sequence[Any], head: bytes) -> Path:
    """The same scan as software VB stores it: a header for each channel."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        # What starts with less would be taken for a later version's list of measurements.
        longer = head.ljust(10_016, b"\0")
        file.write(len(longer).to_bytes(4, "little") + longer[4:])
        for one in measured:
            for coil, samples in enumerate(one.data):
                old = mdh_def.VB17_header(ChannelId=coil)
                for name in ("EvalInfoMask", "SamplesInScan", "UsedChannels", "Counter", "CenterCol", "CenterLin", "SliceData"):
                    setattr(old, name, object.__getattribute__(one.mdh, name))
                file.write(bytes(old) + samples.tobytes())
        file.write(bytes(mdh_def.VB17_header(EvalInfoMask=1)))
    return path


def write(
    folder: Path,
    kspace: np.ndarray,
    name: str = "scan",
    phi: str | None = None,
    *,
    oversampling: float = 1.0,
    protocol: Mapping[str, object] | None = None,
    **ids: str,
) -> Path:
    """A fully sampled scan of (slice, coil, ky, kx) with pixels of 1 mm."""
    lines, columns = kspace.shape[-2:]
    fields = {
        "sKSpace.lBaseResolution": round(columns / oversampling),
        "sSliceArray.asSlice[0].dPhaseFOV": float(lines),
        "sSliceArray.asSlice[0].dReadoutFOV": columns / oversampling,
    }
    head = header({**fields, **(protocol or {})}, phi, oversampling, **({"PatientLOID": name} if phi is None else {}), **ids)
    return save(folder / f"{name}.dat", [*readouts(kspace), packet(phi or "none")], head, phi=phi)
