"""M4Raw: brains at 0.3 T, scanned several times, so that a truth with noise of its own exists. See `m4raw.md`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..bench.acquisition import Acquisition, ComplexArray, KSpace, Provenance
from ..bench.errors import HalfscanError
from ..bench.operators import to_image, to_kspace
from .fastmri_file import SUFFIXES, FastMriFile, open_file
from .header import image_matrix, voxel_mm
from .padding import acquired_lines, strip
from .source import Source, open_all, part_of, pseudonyms
from .survey import survey

_NAME = re.compile(r"(?P<study>.+)_(?P<contrast>T1|T2|FLAIR|GRE|PD)(?P<repetition>\d\d)")
_SMOOTH = 32
"""Central samples that tell the phase between two repetitions."""
_PUBLISHED_STUDY = re.compile(r"20\d{8}")


@dataclass(frozen=True, kw_only=True)
class M4Raw(Source):
    """A folder of files named STUDY_CONTRASTnn.h5, nn the repetition; a volume each study and contrast.

    Raises:
        HalfscanError: settings that can't be.
    """

    repetition: int = 1
    """The repetition that is undersampled; the mean of all others is its truth."""
    name: str = "m4raw"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.repetition < 1:
            raise HalfscanError(f"dataset.repetition={self.repetition} must be at least 1")

    def volumes(self) -> Sequence[Acquisition]:
        """All volumes, by study and contrast.

        Raises:
            HalfscanError: naming every file that can't be used.
        """
        named: dict[tuple[str, str], list[Path]] = {}
        strange = []
        for file in self.files(SUFFIXES):
            found = _NAME.fullmatch(file.stem)
            if found is None:
                strange.append(file.name)
            else:
                named.setdefault((found["study"], found["contrast"]), []).append(file)
        if strange:
            raise HalfscanError(
                f"dataset.path={self.path}: {', '.join(strange)}: not named STUDY_CONTRASTnn.h5, such as 2022061003_T101.h5"
            )
        return open_all(named.items(), lambda item: self._open(*item[0], item[1]))

    def _open(self, study: str, contrast: str, files: Sequence[Path]) -> Iterator[Acquisition]:
        tested = [file for file in files if int(file.stem[-2:]) == self.repetition]
        if not tested:
            raise HalfscanError(
                f"{files[0].parent / f'{study}_{contrast}'}: there is no repetition {self.repetition} (dataset.repetition), but "
                f"{', '.join(file.stem[-2:] for file in files)}"
            )
        file = tested[0]
        opened = open_file(file)
        others = [open_file(other) for other in files if other != file]
        for other in others:
            if other.kspace.shape != opened.kspace.shape or other.header.lines != opened.header.lines:
                raise HalfscanError(
                    f"{other.file}: another shape, or other lines, than {file.name}: no repetition of the same scan"
                )
        whole = self.central(opened.kspace)
        surveys = [survey([one.file], self.central(one.kspace), self.max_slices) for one in (opened, *others)]
        stripped = strip(whole, acquired_lines(file, surveys[0], opened.lines))
        published = "M4Raw" if _PUBLISHED_STUDY.fullmatch(study) and self.patient_pattern is None else None
        patient, volume = pseudonyms(self.patient_in(file) or study, f"{study}_{contrast}", published)
        known = " ".join([*(one.digest for one in surveys), str(stripped.lines)])
        yield Acquisition(
            kspace=stripped.kspace,
            truth=self._mean(opened, others, stripped.lines) if others else None,
            truth_kind="repeat_average",
            patient=patient,
            volume=volume,
            digest=hashlib.sha256(known.encode()).hexdigest(),
            provenance=Provenance.MEASURED,
            acquired=stripped.acquired,
            timing=opened.header.timing,
            voxel_mm=voxel_mm(opened.header, stripped.kspace),
            matrix=image_matrix(opened.header, stripped.kspace),
            field_strength_t=opened.header.field_strength_t,
            contrast=contrast,
            file_name=file.name,
        )

    def _mean(self, tested: FastMriFile, others: Sequence[FastMriFile], lines: tuple[int, int]) -> KSpace:
        """Of the other repetitions, each with the phase of the tested one, slice by slice."""
        like, *parts = (part_of(self.central(one.kspace), "ky", *lines) for one in (tested, *others))

        def load(index: tuple[int | slice, ...]) -> ComplexArray:
            # Phases need all coils and the whole plane, whatever part of them is asked for.
            chosen, *inside = index
            slices = slice(chosen, chosen + 1) if isinstance(chosen, int) else chosen
            whole = (slices, *(slice(None) for _ in inside))
            reference = like.load(whole)
            mean = np.mean([in_phase(part.load(whole), reference) for part in parts], axis=0)
            return mean[(0 if isinstance(chosen, int) else slice(None), *inside)]

        return KSpace(axes=like.axes, shape=like.shape, load=load)


def in_phase(kspace: ComplexArray, reference: ComplexArray) -> ComplexArray:
    """A repetition with the smooth phase of another one: between them the field of a low-field magnet drifts, and the echo
    moves within the readout, so that their complex mean would lose signal.

    The phase is that of the coils' common product in the central k-space, where the signal is hundreds of times the noise:
    the reference's noise stays out of it.

    Args:
        kspace, reference: (slice, coil, ky, kx) complex64, or without coils.
    """
    import torch

    window = np.outer(*(_central(size) for size in kspace.shape[-2:])).astype(np.float32)
    smooth, like = (to_image(torch.from_numpy(np.ascontiguousarray(one * window))) for one in (kspace, reference))
    product = like * smooth.conj()
    product = product.sum(1, keepdim=True) if product.ndim == 4 else product
    phase = torch.where(product == 0, 1, torch.sgn(product))
    return to_kspace(to_image(torch.from_numpy(np.ascontiguousarray(kspace))) * phase).numpy()


def _central(size: int) -> npt.NDArray[np.floating]:
    """(size,) Hann window over the central samples."""
    offset = np.abs(np.arange(size) - size // 2) / (_SMOOTH / 2)
    return np.where(offset < 1, 0.5 + 0.5 * np.cos(np.pi * offset), 0)
