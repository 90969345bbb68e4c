"""Siemens raw data (twix, .dat): one measurement a file, a volume each echo, repetition, set and phase. See `twix.md`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ..bench.acquisition import Acquisition, ComplexArray, KSpace, Provenance
from ..bench.errors import HalfscanError, one_line
from .padding import acquired_lines
from .source import Source, check_provenance, open_all, pseudonyms, readable, unchanged
from .survey import survey
from .twix_file import SUFFIXES, Measurement, known_by_its_head, measurements
from .twix_header import TwixHeader
from .twix_lines import Lines, split
from .twix_noise import noise_cov


@dataclass(frozen=True, kw_only=True)
class Twix(Source):
    """One file, or a folder of files.

    Raises:
        HalfscanError: settings that can't be.
    """

    provenance: str | None = None
    """Overrides *measured*."""
    public_dataset: str | None = None
    """Name of the public data set that the files are of: pseudonyms are then unsalted hashes that others can pair."""
    name: str = "twix"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_provenance(self.provenance)

    def recognises(self, path: Path) -> bool:
        return path.suffix.lower() in SUFFIXES and path.is_file() and known_by_its_head(path)

    def volumes(self) -> Sequence[Acquisition]:
        """All volumes, by file name, then echo, repetition, set and phase.

        Raises:
            HalfscanError: naming every file that can't be used, or twixtools is missing.
        """
        files = self.files(SUFFIXES)
        try:
            import twixtools  # noqa: F401
        except ImportError as error:
            raise HalfscanError(f"dataset=twix needs twixtools: pip install 'halfscan[formats]' ({one_line(error)})") from error
        return open_all(files, self._open)

    def _open(self, file: Path) -> Iterator[Acquisition]:
        with readable(file, "Siemens raw data"), _named(file), file.open("rb", buffering=0) as stream:
            stat = file.stat()
            found = measurements(stream, stat.st_size)
            scan = next(found)
            if why := scan.header.refused():
                raise HalfscanError(why)
            volumes = list(split(stream, scan))
            covs = _covariances(file, stream, scan, found, volumes)
        alone = len(volumes) == len({lines.echo for lines in volumes})
        for lines, cov in zip(volumes, covs, strict=True):
            yield self._volume(file, stat.st_mtime_ns, scan.header, lines, cov, alone)

    def _volume(
        self, file: Path, mtime_ns: int, header: TwixHeader, lines: Lines, noise_cov: ComplexArray | None, alone: bool
    ) -> Acquisition:
        def load(part: tuple[int | slice, ...]) -> ComplexArray:
            unchanged(file, mtime_ns)
            with readable(file, "Siemens raw data"):
                return lines.read(file, part)

        kspace = self.central(KSpace(axes=("slice", "coil", "ky", "kx"), shape=lines.shape, load=load))
        found = survey([file], kspace, (lines.name, lines.top, lines.left, self.max_slices))
        known = f"{found.digest} {kspace.shape}"
        if noise_cov is not None:
            known += f" {hashlib.sha256(noise_cov.tobytes()).hexdigest()}"
        patient, volume = pseudonyms(self.patient_in(file) or header.patient or file.stem, file.stem, self.public_dataset)
        absent, height, width = lines.absent, lines.shape[2], lines.shape[3]
        sizes = header.sizes_mm()
        return Acquisition(
            kspace=kspace,
            patient=patient,
            volume=f"{volume}_{lines.name}" if lines.name else volume,
            digest=hashlib.sha256(known.encode()).hexdigest(),
            provenance=Provenance(self.provenance or Provenance.MEASURED),
            acquired=acquired_lines(file, found, lines.acquired),
            read_noise_cov=None if noise_cov is None else lambda: noise_cov,
            timing=header.timing(lines.echo, alone=alone),
            voxel_mm=None if sizes is None else (sizes[0], sizes[1] / height, sizes[2] / width),
            matrix=_matrix(header, height, width),
            field_strength_t=header.positive("sProtConsistencyInfo.flNominalB0"),
            file_name=file.name,
            caveat=f"asymmetric echo: {absent} of {width} samples of each line were not acquired" if absent else None,
        )


def _matrix(header: TwixHeader, height: int, width: int) -> tuple[int, int]:
    """(ky, kx) of the image without oversampling; where the readout's is not stated, the base resolution goes."""
    base = header.count("sKSpace.lBaseResolution")
    columns = round(width / header.readout_oversampling) if header.readout_oversampling else min(base or width, width)
    return max(1, round(height / (1 + header.phase_oversampling))), max(1, columns)


def _covariances(
    file: Path, stream: IO[bytes], scan: Measurement, earlier: Iterator[Measurement], volumes: Sequence[Lines]
) -> list[ComplexArray | None]:
    """The noise covariance of each volume; earlier measurements are looked at only where the scan has no noise of its own."""
    before = () if scan.noise().size else tuple(earlier)
    return [noise_cov(file, stream, scan, before, lines) for lines in volumes]


@contextmanager
def _named(file: Path) -> Iterator[None]:
    """Puts the file before what is wrong with it."""
    try:
        yield
    except HalfscanError as error:
        raise error if str(file) in str(error) else HalfscanError(f"{file}: {error}") from error
