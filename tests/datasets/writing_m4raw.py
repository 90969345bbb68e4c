"""Writes M4Raw repetitions: files of fastMRI's layout under M4Raw's names."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from . import writing_fastmri


def write(folder: Path, kspace: np.ndarray, name: str = "scan", phi: str | None = None) -> Path:
    """Two repetitions of one scan; returns their folder."""
    for repetition in (1, 2):
        writing_fastmri.write(folder, kspace, f"{name}_T1{repetition:02d}", phi)
    return folder
