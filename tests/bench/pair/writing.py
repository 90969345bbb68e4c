"""Writes a study of pairs as scanners would: two DICOM series a patient, and the tables that describe them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from ...conftest import discs
from ...datasets.writing_dicom import Change, write_images

SHAPE = (3, 48, 40)
SPACING = (0.8, 0.5)
"""Between rows, between columns [mm], as the writer has them."""


def anatomy(patient: int) -> np.ndarray:
    """(slice, row, column) of one patient, near 100 in the large disc."""
    fine = discs(4 * SHAPE[1], 4 * SHAPE[2]).abs().numpy()
    one = fine.reshape(SHAPE[1], 4, SHAPE[2], 4).mean((1, 3))
    return 100 * one * (1 + 0.1 * np.arange(SHAPE[0]))[:, None, None] * (1 + 0.02 * patient)


def noisy(images: np.ndarray, deviation: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.hypot(images + rng.normal(0, deviation, images.shape), rng.normal(0, deviation, images.shape))


def stated(seconds: float | None, series: int, offset_mm: tuple[float, float] = (0.0, 0.0), **more: Any) -> Change:
    """A series of so many seconds; `offset_mm` (down, along) moves the stated position of its first pixel."""

    def change(one: Dataset, at: int) -> None:
        one.AcquisitionDuration, one.SeriesNumber = seconds, series
        x, y, z = one.ImagePositionPatient
        one.ImagePositionPatient = [x + offset_mm[1], y + offset_mm[0], z]
        for keyword, value in more.items():
            setattr(one, keyword, value)

    return change


def write_study(
    folder: Path,
    patients: int = 3,
    *,
    seconds: tuple[float | None, float | None] = (120.0, 58.0),
    deviations: tuple[float, float] = (4.0, 4.0),
    phi: str | None = None,
) -> tuple[Path, Path, Path]:
    """(pairs, regions, readers) of patients whose candidate is as noisy as it is told to be."""
    folder.mkdir(parents=True, exist_ok=True)
    pairs, regions, readers = ["pair,reference,candidate"], ["pair,region,slice,row,column,height,width,against"], []
    for patient in range(patients):
        for number, (arm, took, deviation) in enumerate(zip(("reference", "candidate"), seconds, deviations, strict=True)):
            images = noisy(anatomy(patient), deviation, 10 * patient + number)
            change = stated(took, number + 1)
            write_images(folder, images, f"p{patient}/{arm}", phi, patient=f"P{patient}", change=change)
        name = f"{phi or 'case'} {patient}"
        pairs.append(f"{name},p{patient}/reference,p{patient}/candidate")
        regions += [f"{name},bright,1,26,10,5,5,grey", f"{name},grey,1,11,12,6,6,"]
        readers += [
            f"{name},{arm},{reader},{4 + (patient + at) % 2}"
            for at, reader in enumerate((f"Dr. {phi or 'Doe'}", "Dr. Roe"))
            for arm in ("reference", "candidate")
        ]
    written = []
    for name, lines in (("pairs", pairs), ("regions", regions), ("readers", ["pair,arm,reader,score", *readers])):
        written.append(folder / f"{name}.csv")
        written[-1].write_text("\n".join(lines) + "\n", encoding="utf-8")
    first, second, third = written
    return first, second, third
