"""Writes files as fastMRI and M4Raw publish them: HDF5 with the ISMRMRD header, by h5py and the ismrmrd library."""

from __future__ import annotations

from pathlib import Path

import h5py
import ismrmrd
import numpy as np


def header(
    encoded: tuple[int, int],
    shown: tuple[int, int],
    lines: tuple[int, int, int],
    phi: str | None = None,
    trajectory: str = "cartesian",
) -> bytes:
    """An ISMRMRD header of (kx, ky) matrices with pixels of 1 mm; `lines` are the counter's minimum, maximum and centre."""
    xsd = ismrmrd.xsd
    text = phi or "none"

    def space(matrix: tuple[int, int]) -> object:
        x, y = matrix
        return xsd.encodingSpaceType(
            matrixSize=xsd.matrixSizeType(x=x, y=y, z=1), fieldOfView_mm=xsd.fieldOfViewMm(x=float(x), y=float(y), z=3.0)
        )

    limits = xsd.encodingLimitsType(
        kspace_encoding_step_1=xsd.limitType(minimum=lines[0], maximum=lines[1], center=lines[2]),
        average=xsd.limitType(minimum=0, maximum=0, center=0),
    )
    encoding = xsd.encodingType(
        encodedSpace=space(encoded),
        reconSpace=space(shown),
        encodingLimits=limits,
        trajectory=xsd.trajectoryType(trajectory),
        echoTrainLength=4,
    )
    whole = xsd.ismrmrdHeader(
        subjectInformation=xsd.subjectInformationType(patientName=text, patientID=text, patientGender="O"),
        studyInformation=xsd.studyInformationType(studyID=text, studyDescription=text, bodyPartExamined=text),
        measurementInformation=xsd.measurementInformationType(
            measurementID=text, patientPosition=xsd.patientPositionType("HFS"), protocolName=text, seriesDescription=text
        ),
        acquisitionSystemInformation=xsd.acquisitionSystemInformationType(
            systemVendor=text, systemModel=text, institutionName=text, stationName=text, deviceID=text, systemFieldStrength_T=2.89
        ),
        experimentalConditions=xsd.experimentalConditionsType(H1resonanceFrequency_Hz=123_000_000),
        encoding=[encoding],
        sequenceParameters=xsd.sequenceParametersType(TR=[2800.0], TE=[33.0], sequence_type="TurboSpinEcho", echo_spacing=[11.1]),
        userParameters=xsd.userParametersType(userParameterString=[xsd.userParameterStringType(name=text, value=text)]),
    )
    return xsd.ToXML(whole).encode()


def write(
    folder: Path,
    kspace: np.ndarray,
    name: str = "scan",
    phi: str | None = None,
    *,
    padding: tuple[int, int] = (0, 0),
    shown: tuple[int, int] | None = None,
    acquisition: str = "AXT2",
    patient_id: str | None = None,
) -> Path:
    """(slice, coil, ky, kx), or without coils, with `padding` lines of zeros before and after them."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.h5"
    before, after = padding
    padded = np.pad(kspace, [(0, 0)] * (kspace.ndim - 2) + [(before, after), (0, 0)])
    size, readout = padded.shape[-2:]
    lines = (0, kspace.shape[-2] - 1, size // 2 - before)
    with h5py.File(path, "w") as file:
        file["kspace"] = np.ascontiguousarray(padded.swapaxes(-1, -2))
        file["ismrmrd_header"] = header((readout, size), shown or (readout, size), lines, phi)
        file["reconstruction_rss"] = np.zeros((len(kspace), 4, 4), np.float32)
        file.attrs.update(acquisition=phi or acquisition, patient_id=phi or patient_id or name, max=1.0, norm=1.0)
        if phi:
            file.attrs["comment"] = phi
    return path
