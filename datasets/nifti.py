"""NIfTI images (.nii, .nii.gz): finished images, whose k-space is made from them. See `nifti.md`."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ..bench.acquisition import Acquisition, Provenance, Timing
from ..bench.errors import HalfscanError
from . import sidecar as beside
from .images import CAVEAT, COMPLEX_CAVEAT, image_stack, kspace_of
from .nifti_file import NiftiFile, Order, open_file, starts_as_nifti
from .sidecar import Sidecar
from .source import Source, open_all, pseudonyms
from .survey import survey
from .timing import first_stated, sidecar_timing

log = logging.getLogger(__name__)

SUFFIXES = (".nii", ".nii.gz")
LETTERS = ("i", "j", "k")
"""BIDS's names of the array's axes."""
_MOST = 1_000_000
_SUBJECT = re.compile(r"(sub-[A-Za-z0-9]+)(_|$)")
"""How BIDS begins the names of a subject's files."""


@dataclass(frozen=True, kw_only=True)
class Nifti(Source):
    """One file, or a folder of files; a volume a file, or of a 4D file a volume each.

    Raises:
        HalfscanError: settings that can't be.
    """

    phase_axis: str | None = None
    """i, j or k: which axis of the array is phase encoding, of files that do not say; None: the first within the slice."""
    name: str = "nifti"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.phase_axis is not None and self.phase_axis not in LETTERS:
            raise HalfscanError(f"dataset.phase_axis={self.phase_axis} must be i, j or k, an axis of the array")

    def recognises(self, path: Path) -> bool:
        return path.name.lower().endswith(SUFFIXES) and path.is_file() and starts_as_nifti(path)

    def volumes(self) -> Sequence[Acquisition]:
        """All volumes, by file name.

        Raises:
            HalfscanError: naming every file that can't be used.
        """
        found = self.files((".nii", ".gz"))
        named = [file for file in found if file.name.lower().endswith(SUFFIXES)]
        if not named:
            raise HalfscanError(f"dataset.path={self.path}: no {', '.join(SUFFIXES)} file")
        if foreign := [file.name for file in found if file not in named]:
            log.warning("dataset.path: %d files of another kind are left aside: %s", len(foreign), ", ".join(foreign[:5]))
        return open_all(named, self._open)

    def _open(self, file: Path) -> Iterator[Acquisition]:
        # scan.nii.gz has its sidecar in scan.json, as BIDS has it.
        stem = re.sub(r"\.nii(\.gz)?$", "", file.name, flags=re.IGNORECASE)
        base = file.with_name(f"{stem}.nii")
        sidecar = beside.read_sidecar(base)
        content = open_file(file)
        with beside.stated_values(base):
            beside.refuse_undersampled(file, sidecar)
            order, unsaid = self._order(content, sidecar)
            timing = first_stated(sidecar_timing(sidecar), bids_timing(sidecar))
            subject = _SUBJECT.match(stem)
            stated = self.patient_in(base) or str(sidecar.get("patient") or (subject[1] if subject else stem))
            field = beside.number(sidecar, "field_strength_T") or _positive(sidecar, "MagneticFieldStrength")
            contrast = beside.contrast(sidecar.get("contrast"))
        for volume in range(content.volumes):
            images = self.central(image_stack(file, content.shape_in(order), partial(content.plane, order, volume)))
            found = survey([file], images, (volume, order, self.max_slices))
            kspace = kspace_of(images)
            name = stem if content.volumes == 1 else f"{stem}_{volume}"
            with beside.stated_values(base):
                patient, pseudonym = pseudonyms(stated, name, beside.published_as(sidecar))
                yield Acquisition(
                    kspace=kspace,
                    patient=patient,
                    volume=pseudonym,
                    digest=hashlib.sha256(f"{found.digest} image to k-space".encode()).hexdigest(),
                    provenance=Provenance.PROCESSED,
                    # Of an image, nobody knows which lines were: none is padding that could be told from the others.
                    acquired=np.ones(kspace.size("ky"), dtype=bool),
                    timing=timing,
                    voxel_mm=beside.voxel_mm(sidecar, kspace) or content.voxel_mm(order),
                    field_strength_t=field,
                    contrast=contrast,
                    file_name=file.name,
                    caveat="; ".join(filter(None, (COMPLEX_CAVEAT if content.is_complex else CAVEAT, unsaid))),
                    redistributable=beside.redistributable(sidecar),
                )

    def _order(self, content: NiftiFile, sidecar: Sidecar) -> tuple[Order, str | None]:
        """(slice, ky, kx) axes of the array, and what nobody says of them.

        Raises:
            HalfscanError: header and sidecar contradict each other, or themselves.
        """
        frequency, phase, through = content.encoding
        stated = bids_phase_axis(sidecar)
        known = [axis for axis in content.encoding if axis is not None]
        if phase is None:
            known += [] if stated is None else [stated]
        elif stated not in (None, phase):
            raise HalfscanError(
                f"{content.file}: phase encoding is along {LETTERS[phase]} in its header and {LETTERS[stated]} in its sidecar; "
                "mend the sidecar's PhaseEncodingDirection"
            )
        if len(set(known)) < len(known):
            raise HalfscanError(
                f"{content.file}: two of slice, phase and frequency encoding lie along one axis of the array; "
                "mend the header's dim_info or the sidecar's PhaseEncodingDirection"
            )
        phase = stated if phase is None else phase
        if through is None:
            through = 2 if frequency is None or phase is None else 3 - frequency - phase
        free = [axis for axis in range(3) if axis not in (through, frequency)]
        if phase is None and frequency is None and self.phase_axis is not None:
            free = [LETTERS.index(self.phase_axis)]
        unsaid = None
        if phase is None:
            phase = free[0]
            if len(free) > 1:
                unsaid = f"which axis was phase encoded is not stated: {LETTERS[phase]} was taken"
        if through in (phase, frequency):
            raise HalfscanError(
                f"{content.file}: {LETTERS[through]} is both its slice axis and one that is encoded within the slice; "
                "state slice, phase and frequency in its header (dim_info), or give another dataset.phase_axis"
            )
        return (through, phase, 3 - through - phase), unsaid


def bids_phase_axis(sidecar: Sidecar) -> int | None:
    """The array's axis of phase encoding, as BIDS states it (`j-` is j, run backwards).

    Raises:
        ValueError: another word than BIDS's six.
    """
    stated = sidecar.get("PhaseEncodingDirection", sidecar.get("PhaseEncodingAxis"))
    if stated is None:
        return None
    if not isinstance(stated, str) or not re.fullmatch("[ijk]-?", stated):
        raise ValueError("PhaseEncodingDirection must be i, j or k, with - where it runs backwards")
    return LETTERS.index(stated[0])


def bids_timing(sidecar: Sidecar) -> Timing:
    """What BIDS's keys say, which have seconds. Of its texts none is kept.

    Raises:
        ValueError: a number that is no time or count of a scan.
    """
    train, averages = _positive(sidecar, "EchoTrainLength"), _positive(sidecar, "NumberOfAverages")
    return Timing(
        tr_s=_positive(sidecar, "RepetitionTime"),
        te_s=_positive(sidecar, "EchoTime"),
        echo_train_length=int(train) if train and train == int(train) else None,
        averages=int(averages) if averages and averages == int(averages) else None,
    )


def _positive(sidecar: Sidecar, key: str) -> float | None:
    """A number above 0; None where it is absent, a note or a list."""
    value = beside.number(sidecar, key)
    if value is not None and value >= _MOST:
        raise ValueError(f"{key} is beyond every scan")
    return value
