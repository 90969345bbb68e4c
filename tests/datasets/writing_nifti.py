"""Writes NIfTI files with nibabel: complex images of k-space, or any array, with a sidecar as BIDS has it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch

from halfscan.bench.operators import to_image


def write(
    folder: Path, kspace: np.ndarray, name: str = "scan", phi: str | None = None, *, suffix: str = ".nii", **settings: Any
) -> Path:
    """The complex image of one coil's (slice, 1, ky, kx), stored as (kx, ky, slice)."""
    if kspace.shape[1] != 1:
        raise ValueError(f"NIfTI has one channel, and this k-space {kspace.shape[1]}")
    image = to_image(torch.from_numpy(kspace[:, 0].astype(np.complex128))).numpy()
    return write_image(folder, image.transpose(2, 1, 0).astype(np.complex64), name, phi, suffix=suffix, **settings)


def write_image(
    folder: Path,
    array: np.ndarray,
    name: str = "scan",
    phi: str | None = None,
    *,
    suffix: str = ".nii",
    encoding: tuple[int | None, int | None, int | None] | None = (0, 1, 2),
    zooms: tuple[float, ...] | None = None,
    units: str | None = "mm",
    slope: tuple[float, float] | None = None,
    sidecar: dict[str, Any] | None = None,
    kind: type = nib.Nifti1Image,
) -> Path:
    """Any array as it is; `encoding` is (frequency, phase, slice) of the header, `slope` its scaling."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}{suffix}"
    image = kind(array, np.eye(4), dtype=array.dtype)
    header = image.header
    if encoding is not None:
        header.set_dim_info(*encoding)
    if zooms is not None:
        header.set_zooms(zooms)
    if units is not None:
        header.set_xyzt_units(units)
    if slope is not None:
        header.set_slope_inter(*slope)
    if phi:
        for field in ("descrip", "aux_file", "intent_name", *(("db_name",) if kind is nib.Nifti1Image else ())):
            header[field] = phi.encode()[: header[field].dtype.itemsize]
        header.extensions.append(nib.nifti1.Nifti1Extension("comment", phi.encode()))
        header.extensions.append(nib.nifti1.Nifti1Extension("afni", f"<AFNI_attributes>{phi}</AFNI_attributes>".encode()))
    image.to_filename(path)
    stated = dict(sidecar or {})
    if phi:
        named = ("PatientName", "PatientID", "PatientBirthDate", "InstitutionName", "DeviceSerialNumber", "ProtocolName")
        stated |= dict.fromkeys((*named, "SeriesDescription", "StationName", "AcquisitionDateTime", "patient"), phi)
    if stated:
        (folder / f"{name}.json").write_text(json.dumps(stated), encoding="utf-8")
    return path


def stored(kspace: np.ndarray) -> np.ndarray:
    """What such a file holds of the k-space: all of it, but for the rounding of two transforms."""
    return kspace
