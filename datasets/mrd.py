"""ISMRMRD files (.h5, .mrd): a volume each echo, cardiac phase, repetition and set. See `mrd.md`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..bench.acquisition import Acquisition, ComplexArray, KSpace, Provenance
from ..bench.errors import HalfscanError, one_line
from .header import image_matrix, voxel_mm
from .mrd_file import SUFFIXES, Lines, MrdFile, groups, open_file
from .noise import checked_covariance, noise_covariance
from .padding import acquired_lines, strip
from .source import Source, check_contrast, check_provenance, open_all, pseudonyms, unchanged
from .survey import survey


@dataclass(frozen=True, kw_only=True)
class Mrd(Source):
    """One file, or a folder of files.

    Raises:
        HalfscanError: settings that can't be.
    """

    provenance: str | None = None
    """Overrides *measured*."""
    public_dataset: str | None = None
    """Name of the public data set that the files are of: pseudonyms are then unsalted hashes that others can pair."""
    contrast: str | None = None
    """One short word such as T2-FLAIR; headers' own descriptions are not read."""
    name: str = "mrd"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_provenance(self.provenance)
        check_contrast(self.contrast)

    def recognises(self, path: Path) -> bool:
        return bool(groups(path))

    def volumes(self) -> Sequence[Acquisition]:
        """All volumes, by file name, then echo, phase, repetition and set.

        Raises:
            HalfscanError: naming every file that can't be used, or ismrmrd is missing.
        """
        files = self.files(SUFFIXES)
        try:
            import ismrmrd  # noqa: F401
        except ImportError as error:
            raise HalfscanError(f"dataset=mrd needs ismrmrd: pip install 'halfscan[formats]' ({one_line(error)})") from error
        return open_all(files, self._open)

    def _open(self, file: Path) -> Iterator[Acquisition]:
        mtime_ns = file.stat().st_mtime_ns
        opened = open_file(file)
        for lines in opened.images:
            yield self._volume(opened, lines, mtime_ns, _noise_cov(opened, lines))

    def _volume(self, opened: MrdFile, lines: Lines, mtime_ns: int, noise_cov: ComplexArray | None) -> Acquisition:
        file, header = opened.file, opened.header

        def load(part: tuple[int | slice, ...]) -> ComplexArray:
            unchanged(file, mtime_ns)
            return opened.read(lines, part)

        whole = self.central(KSpace(axes=("slice", "coil", "ky", "kx"), shape=lines.shape, load=load))
        found = survey([file], whole, (lines.name, self.max_slices))
        lines_read = lines.acquired.nonzero()[0]
        acquired = acquired_lines(file, found, slice(int(lines_read[0]), int(lines_read[-1]) + 1))
        stripped = strip(whole, acquired)
        known = f"{found.digest} {stripped.lines}"
        if noise_cov is not None:
            known += f" {hashlib.sha256(noise_cov.tobytes()).hexdigest()}"
        patient = self.patient_in(file) or header.patient_id or file.stem
        patient, volume = pseudonyms(patient, file.stem, self.public_dataset)
        return Acquisition(
            kspace=stripped.kspace,
            patient=patient,
            volume=f"{volume}_{lines.name}" if lines.name else volume,
            digest=hashlib.sha256(known.encode()).hexdigest(),
            provenance=Provenance(self.provenance or Provenance.MEASURED),
            acquired=stripped.acquired,
            read_noise_cov=None if noise_cov is None else lambda: noise_cov,
            # The header's first echo time is that of the first echo alone.
            timing=replace(header.timing, averages=lines.averages, te_s=None if lines.echo else header.timing.te_s),
            voxel_mm=voxel_mm(header, stripped.kspace),
            matrix=image_matrix(header, stripped.kspace),
            field_strength_t=header.field_strength_t,
            contrast=self.contrast,
            file_name=file.name,
            caveat="; ".join(_caveats(opened, lines)) or None,
        )


def _caveats(opened: MrdFile, lines: Lines) -> Iterator[str]:
    if lines.absent:
        yield f"asymmetric echo: {lines.absent} of {lines.shape[3]} samples of each line were not acquired"
    if opened.left_aside:
        yield f"{opened.left_aside} readouts of other encoding spaces were left aside"


def _noise_cov(opened: MrdFile, lines: Lines) -> ComplexArray | None:
    """(coil, coil) of the images' samples, from readouts of noise; None where there are none.

    A sample's noise goes with the bandwidth that it is received with, the inverse of its dwell time, within the receiver's
    filter; the mean of n averages has 1/n of it. Source: Kellman & McVeigh, Magn Reson Med 54:1439 (2005).
    """
    if not len(opened.noise):
        return None
    noise = opened.noise_samples(lines.shape[1])
    if not noise.size or not np.isfinite(noise).all():
        raise HalfscanError(f"{opened.file}: its noise readouts hold NaN, infinity or nothing; mend it, or leave them out")
    dwell = opened.noise_dwell_s / opened.dwell_s if opened.noise_dwell_s > 0 and opened.dwell_s > 0 else 1.0
    scale = dwell / (opened.header.noise_bandwidth or 1.0) / lines.averages
    return checked_covariance(opened.file, "its noise readouts", scale * noise_covariance(noise))
