"""Writes DICOM series with pydicom: classic, a file a slice, or enhanced, all slices in one file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import torch
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from halfscan.bench.operators import to_image, to_kspace

MR, ENHANCED = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1"
TEXTS = (
    *("PatientName", "PatientAddress", "OtherPatientNames", "PatientComments", "InstitutionName", "InstitutionAddress"),
    *("StationName", "ReferringPhysicianName", "OperatorsName", "PerformingPhysicianName", "StudyDescription"),
    *("SeriesDescription", "ProtocolName", "DeviceSerialNumber", "ManufacturerModelName", "ImageComments", "StudyID"),
    *("AccessionNumber", "BodyPartExamined", "ContrastBolusAgent", "PatientID", "RequestedProcedureDescription"),
)
Change = Callable[[Dataset, int], None]


def write(folder: Path, kspace: np.ndarray, name: str = "scan", phi: str | None = None, **settings: Any) -> Path:
    """The magnitude images of one coil's (slice, 1, ky, kx), in 16 bits; returns the folder of the series."""
    return write_images(folder, _magnitude(kspace), name, phi, **settings)


def stored(kspace: np.ndarray) -> np.ndarray:
    """What such files hold of the k-space: that of the magnitude images, rounded to 16 bits."""
    images = _magnitude(kspace)
    pixels, slope = _pixels(images)
    rounded = torch.from_numpy((pixels * slope)[:, None].astype(np.complex128))
    return to_kspace(rounded).numpy().astype(np.complex64)


def _magnitude(kspace: np.ndarray) -> np.ndarray:
    if kspace.shape[1] != 1:
        raise ValueError(f"DICOM has one channel, and this k-space {kspace.shape[1]}")
    return np.abs(to_image(torch.from_numpy(kspace[:, 0].astype(np.complex128))).numpy())


def _pixels(images: np.ndarray) -> tuple[np.ndarray, float]:
    # To eight digits, as a decimal string of DICOM may have.
    slope = float(f"{images.max() / 60000:.8g}") or 1.0
    return np.round(images / slope).astype(np.uint16), slope


def write_images(
    folder: Path,
    images: np.ndarray,
    name: str = "scan",
    phi: str | None = None,
    *,
    enhanced: bool = False,
    series: str | None = None,
    patient: str = "P1",
    syntax: str = ExplicitVRLittleEndian,
    change: Change | None = None,
) -> Path:
    """(slice, row, column) images; `change` alters each data set before it is written."""
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    uid = series or generate_uid()
    pixels, slope = _pixels(images)
    sets = [_enhanced(pixels, slope)] if enhanced else [_classic(image, slope, at) for at, image in enumerate(pixels)]
    for at, one in enumerate(sets):
        one.SOPInstanceUID, one.SeriesInstanceUID, one.StudyInstanceUID = (
            generate_uid(),
            uid,
            generate_uid(entropy_srcs=[patient]),
        )
        one.PatientID, one.Modality, one.SeriesNumber = patient, "MR", 5
        _describe(one, enhanced)
        # What is planted need not be what a field may hold.
        with pydicom.config.disable_value_validation():
            if phi:
                _plant(one, phi)
            if change:
                change(one, at)
            _save(one, place / f"IM{at:04d}", syntax)
    return place


def _describe(one: Dataset, enhanced: bool) -> None:
    one.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"]
    one.MagneticFieldStrength, one.AcquisitionDuration = 3.0, 95.5
    one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
    one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 0
    if not enhanced:
        one.ScanningSequence, one.SequenceVariant = "SE", ["SK", "SP"]
        one.RepetitionTime, one.EchoTime, one.EchoTrainLength, one.NumberOfAverages = 2800, 33, 16, 2


def _classic(pixels: np.ndarray, slope: float, at: int) -> Dataset:
    one = Dataset()
    one.SOPClassUID = MR
    one.InstanceNumber, one.ImageOrientationPatient = 99 - at, [1, 0, 0, 0, 1, 0]
    one.ImagePositionPatient = [-10, -20, 4.4 * at]
    one.PixelSpacing, one.SliceThickness, one.SpacingBetweenSlices = [0.8, 0.5], 4, 4.4
    one.InPlanePhaseEncodingDirection = "COL"
    one.RescaleSlope, one.RescaleIntercept = f"{slope:.8g}", 0
    one.EchoNumbers = 1
    _put_pixels(one, pixels)
    return one


def _enhanced(pixels: np.ndarray, slope: float) -> Dataset:
    one = Dataset()
    one.SOPClassUID, one.NumberOfFrames = ENHANCED, len(pixels)
    one.EchoPulseSequence, one.MultipleSpinEcho, one.EchoPlanarPulseSequence = "SPIN", "YES", "NO"
    timing, averages, echo, geometry = Dataset(), Dataset(), Dataset(), Dataset()
    timing.RepetitionTime, timing.EchoTrainLength = 2800, 16
    averages.NumberOfAverages, echo.EffectiveEchoTime = 2, 33.0
    geometry.InPlanePhaseEncodingDirection = "COLUMN"
    measures, orientation, values = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [0.8, 0.5], 4
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    values.RescaleSlope, values.RescaleIntercept, values.RescaleType = f"{slope:.8g}", 0, "US"
    shared = Dataset()
    shared.MRTimingAndRelatedParametersSequence, shared.MRAveragesSequence = Sequence([timing]), Sequence([averages])
    shared.MREchoSequence, shared.MRFOVGeometrySequence = Sequence([echo]), Sequence([geometry])
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = Sequence([measures]), Sequence([orientation])
    shared.PixelValueTransformationSequence = Sequence([values])
    one.SharedFunctionalGroupsSequence = Sequence([shared])
    items = []
    for at in range(len(pixels)):
        item, plane = Dataset(), Dataset()
        plane.ImagePositionPatient = [-10, -20, 4.4 * at]
        item.PlanePositionSequence = Sequence([plane])
        items.append(item)
    one.PerFrameFunctionalGroupsSequence = Sequence(items)
    _put_pixels(one, pixels)
    return one


def _put_pixels(one: Dataset, pixels: np.ndarray) -> None:
    one.Rows, one.Columns = pixels.shape[-2:]
    one.PixelData = np.ascontiguousarray(pixels, "<u2").tobytes()


def _plant(one: Dataset, phi: str) -> None:
    """Puts a text wherever one can stand: names, ids, comments, private tags, and those nested in sequences."""
    for keyword in TEXTS:
        setattr(one, keyword, phi)
    one.PatientBirthDate, one.StudyDate = "19610203", "20240203"
    for holder in (one, *one.get("PerFrameFunctionalGroupsSequence", []), *one.get("SharedFunctionalGroupsSequence", [])):
        block = holder.private_block(0x0019, "SIEMENS MR HEADER", create=True)
        block.add_new(0x10, "LO", phi)
        block.add_new(0x11, "UN", phi.encode())
        # Where the vendors keep their durations, and beside them.
        for group, creator, element in (
            (0x0019, "GEMS_ACQU_01", 0x5A),
            (0x2005, "Philips MR Imaging DD 001", 0x33),
            (0x0051, "SIEMENS MR HEADER", 0x0A),
        ):
            block = holder.private_block(group, creator, create=True)
            block.add_new(element, "LO", phi)
            block.add_new(element + 1, "LO", phi)
    physician = Dataset()
    physician.InstitutionName, physician.PersonName = phi, phi
    one.ReferringPhysicianIdentificationSequence = Sequence([physician])


def _save(one: Dataset, path: Path, syntax: str) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = one.SOPClassUID, one.SOPInstanceUID
    meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    one.file_meta = meta
    if meta.TransferSyntaxUID.is_encapsulated:
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        one.compress(syntax, generate_instance_uid=False)
    elif not meta.TransferSyntaxUID.is_little_endian:
        one.PixelData = np.frombuffer(one.PixelData, "<u2").astype(">u2").tobytes()
    one.save_as(path, enforce_file_format=True)
