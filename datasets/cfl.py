"""k-space as BART keeps it: a .cfl file of complex numbers and a .hdr file of their dimensions. See `cfl.md`."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..bench.acquisition import Acquisition, ComplexArray, KSpace
from ..bench.errors import HalfscanError
from . import sidecar as beside
from .padding import strip
from .source import Source, open_all, pseudonyms, readable, unchanged
from .survey import survey
from .timing import sidecar_timing

CFL, HDR = ".cfl", ".hdr"
DIMENSIONS = (
    *("READ", "PHS1", "PHS2", "COIL", "MAPS", "TE", "COEFF", "COEFF2"),
    *("ITER", "CSHIFT", "TIME", "TIME2", "LEVEL", "SLICE", "AVG", "BATCH"),
)
"""BART's names of its dimensions, in the order of the file, the fastest first."""
HANDLED = ("READ", "PHS1", "COIL", "SLICE", "AVG")
_TITLE = b"# Dimensions"
_LONGEST = 65536
"""Of what is read of a .hdr [bytes]: dimensions stand at its top."""
_BYTES = 8
"""Of a complex64 sample."""


@dataclass(frozen=True, kw_only=True)
class Cfl(Source):
    """One pair of files, or a folder of pairs, a volume each.

    Raises:
        HalfscanError: settings that can't be.
    """

    name: str = "cfl"

    def recognises(self, path: Path) -> bool:
        header = path.with_suffix(HDR)
        if path.suffix.lower() != CFL or not path.is_file() or not header.is_file():
            return False
        try:
            with header.open("rb") as stream:
                return _TITLE in stream.read(_LONGEST)
        except OSError:
            return False

    def volumes(self) -> Sequence[Acquisition]:
        """All volumes, by file name.

        Raises:
            HalfscanError: naming every file that can't be used.
        """
        pairs = dict.fromkeys(file.with_suffix(CFL) for file in self.files((CFL, HDR)))
        return open_all(pairs, self._open)

    def _open(self, file: Path) -> Iterator[Acquisition]:
        sidecar = beside.read_sidecar(file)
        with beside.stated_values(file):
            beside.refuse_undersampled(file, sidecar)
        content = _inspect(file)
        whole = self.central(KSpace(axes=("slice", "coil", "ky", "kx"), shape=content.shape, load=content.load))
        found = survey([file, file.with_suffix(HDR)], whole, self.max_slices)
        stripped = strip(whole, found.acquired(str(file)))
        with beside.stated_values(file):
            stated = self.patient_in(file) or str(sidecar.get("patient") or file.stem)
            patient, volume = pseudonyms(stated, file.stem, beside.published_as(sidecar))
            timing = sidecar_timing(sidecar)
            if timing.averages is None and content.averages > 1:
                timing = replace(timing, averages=content.averages)
            voxel = beside.voxel_mm(sidecar, whole)
            if voxel is not None:
                # The field of view stays: fewer lines are larger pixels.
                voxel = (voxel[0], voxel[1] * whole.size("ky") / stripped.kspace.size("ky"), voxel[2])
            yield Acquisition(
                kspace=stripped.kspace,
                patient=patient,
                volume=volume,
                digest=hashlib.sha256(f"{found.digest} {content.averages} {stripped.lines}".encode()).hexdigest(),
                provenance=beside.stated_provenance(file, None, sidecar),
                acquired=stripped.acquired,
                timing=timing,
                voxel_mm=voxel,
                field_strength_t=beside.number(sidecar, "field_strength_T"),
                contrast=beside.contrast(sidecar.get("contrast")),
                file_name=file.name,
                redistributable=beside.redistributable(sidecar),
            )


@dataclass(frozen=True, kw_only=True)
class _Content:
    """A pair of files: looked at, not yet read."""

    file: Path
    mtime_ns: int
    shape: tuple[int, int, int, int]
    """(slice, coil, ky, kx): BART's order, read from the slowest dimension to the fastest."""
    averages: int

    def load(self, part: tuple[int | slice, ...]) -> ComplexArray:
        """A part of the volume, the mean of its averages."""
        unchanged(self.file, self.mtime_ns)
        first, *inside = part
        chosen = range(self.shape[0])[first]
        if isinstance(chosen, int):
            return self._slices(chosen, 1)[0][tuple(inside)]
        if chosen.step == 1 and self.averages == 1:
            return self._slices(chosen.start, len(chosen))[(slice(None), *inside)]
        read = [self._slices(index, 1) for index in chosen] or [np.empty((0, *self.shape[1:]), np.complex64)]
        return np.concatenate(read)[(slice(None), *inside)]

    def _slices(self, start: int, count: int) -> ComplexArray:
        """(slice, coil, ky, kx) of neighbouring slices."""
        read = self._run(start, count)
        if self.averages == 1:
            return read
        total = read.astype(np.complex128)
        lines = read.any(axis=(1, 3))
        for average in range(1, self.averages):
            read = self._run(average * self.shape[0] + start, count)
            if not np.array_equal(lines, read.any(axis=(1, 3))):
                # Their mean would be weaker in some lines than in others, and nobody would see it.
                raise HalfscanError(f"{self.file}: its averages sample different lines; average it first, by what each line has")
            total += read
        return (total / self.averages).astype(np.complex64)

    def _run(self, start: int, count: int) -> ComplexArray:
        # Read, not mapped: a mapped file that shrinks under its reader ends the process.
        each = math.prod(self.shape[1:])
        with readable(self.file, "BART .cfl"):
            read = np.fromfile(self.file, "<c8", count * each, offset=_BYTES * each * start)
            return read.reshape(count, *self.shape[1:]).astype(np.complex64, copy=False)


def _inspect(file: Path) -> _Content:
    """Refuses, by name, a pair that is none, or that holds more than slices of Cartesian 2D k-space."""
    header = file.with_suffix(HDR)
    for one in (file, header):
        if not one.is_file():
            raise HalfscanError(f"{file.with_suffix('')}: {one.name} is missing: BART writes .cfl and .hdr as a pair")
    sizes = _sizes(header)
    stat = file.stat()
    if stat.st_size != _BYTES * math.prod(sizes.values()):
        raise HalfscanError(
            f"{file}: {header.name} declares {' × '.join(str(size) for size in sizes.values() if size > 1) or '1'} complex64 "
            f"samples, {_BYTES * math.prod(sizes.values()):,} bytes, and it has {stat.st_size:,}: is it whole?"
        )
    if further := [name for name, size in sizes.items() if size > 1 and name not in HANDLED]:
        said = ", ".join(f"{name} of {sizes[name]}" for name in further)
        mend = "`bart fft -u -i 4`, then `bart transpose 2 13`" if further == ["PHS2"] else "take a part out with `bart slice`"
        raise HalfscanError(
            f"{file}: {said} is not handled: only READ, PHS1, COIL, SLICE and AVG may be above 1 (2D Cartesian k-space); {mend}"
        )
    if sizes["READ"] < 2 or sizes["PHS1"] < 2:
        raise HalfscanError(f"{file}: READ or PHS1 has 1 sample: only Cartesian 2D k-space is read")
    return _Content(
        file=file,
        mtime_ns=stat.st_mtime_ns,
        shape=(sizes["SLICE"], sizes["COIL"], sizes["PHS1"], sizes["READ"]),
        averages=sizes["AVG"],
    )


def _sizes(header: Path) -> dict[str, int]:
    """Every dimension's size. Command, files and creator, which a .hdr keeps too, are not looked at."""
    with readable(header, "BART .hdr"), header.open("rb") as stream:
        lines = [line.strip() for line in stream.read(_LONGEST).splitlines()]
    stated = lines[lines.index(_TITLE) + 1 : lines.index(_TITLE) + 2] if _TITLE in lines else []
    numbers = stated[0].split() if stated else []
    if not 0 < len(numbers) <= len(DIMENSIONS) or not all(re.fullmatch(rb"[1-9]\d{0,9}", number) for number in numbers):
        raise HalfscanError(
            f'{header}: no line "# Dimensions" with up to {len(DIMENSIONS)} sizes of at least 1 below it: is it a BART header?'
        )
    return dict.fromkeys(DIMENSIONS, 1) | dict(zip(DIMENSIONS, map(int, numbers), strict=False))
