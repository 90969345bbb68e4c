"""fastMRI knee and brain files, multi- and single-coil. See `fastmri.md`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..bench.acquisition import Acquisition, Provenance
from ..bench.errors import HalfscanError
from .fastmri_file import HEADER, KEY, SUFFIXES, open_file
from .hdf5 import holds
from .header import image_matrix, voxel_mm
from .padding import acquired_lines, strip
from .source import Source, open_all, pseudonyms
from .survey import survey

CONTRASTS = {
    "CORPD_FBK": "PD",
    "CORPDFS_FBK": "PD-FS",
    "AXT1": "T1",
    "AXT1PRE": "T1-pre",
    "AXT1POST": "T1-post",
    "AXT2": "T2",
    "AXFLAIR": "FLAIR",
}
"""fastMRI's names of its protocols; any other text may name a patient, and is not kept."""
_PUBLISHED_NAME = re.compile(r"file(_brain|_prostate)?(_AX[A-Z0-9]+)?(_\d+)*\d*")


@dataclass(frozen=True, kw_only=True)
class FastMri(Source):
    """One file, or a folder of files, a volume each.

    Raises:
        HalfscanError: settings that can't be.
    """

    padding: Literal["strip", "keep"] = "strip"
    """`strip`: lines that were never acquired are cut off; `keep`: the grid of fastMRI's own images, whose padded lines
    count neither as acquired nor as sampled."""
    name: str = "fastmri"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.padding not in ("strip", "keep"):
            raise HalfscanError(f"dataset.padding={self.padding} must be strip or keep")

    def recognises(self, path: Path) -> bool:
        return holds(path, SUFFIXES, KEY, HEADER)

    def volumes(self) -> Sequence[Acquisition]:
        """All volumes, by file name.

        Raises:
            HalfscanError: naming every file that can't be used.
        """
        return open_all(self.files(SUFFIXES), self._open)

    def _open(self, file: Path) -> Iterator[Acquisition]:
        opened = open_file(file)
        whole = self.central(opened.kspace)
        found = survey([file], whole, self.max_slices)
        acquired = acquired_lines(file, found, opened.lines)
        kspace, lines = whole, (0, whole.size("ky"))
        if self.padding == "strip":
            stripped = strip(whole, acquired)
            kspace, acquired, lines = stripped.kspace, stripped.acquired, stripped.lines
        patient = self.patient_in(file)
        published = "fastMRI" if _PUBLISHED_NAME.fullmatch(file.stem) and patient is None and opened.patient_id else None
        patient, volume = pseudonyms(patient or opened.patient_id or file.stem, file.stem, published)
        yield Acquisition(
            kspace=kspace,
            patient=patient,
            volume=volume,
            digest=hashlib.sha256(f"{found.digest} {lines}".encode()).hexdigest(),
            provenance=Provenance.MEASURED,
            acquired=acquired,
            timing=opened.header.timing,
            voxel_mm=voxel_mm(opened.header, kspace),
            matrix=image_matrix(opened.header, kspace),
            field_strength_t=opened.header.field_strength_t,
            contrast=CONTRASTS.get(opened.acquisition or ""),
            file_name=file.name,
        )
