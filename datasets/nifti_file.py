"""One NIfTI file: what its header declares, checked against the file before anything is taken on trust, and its planes."""

from __future__ import annotations

import gzip
import math
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..bench.errors import HalfscanError
from .images import MOST_VOXELS, Plane
from .source import readable, unchanged

Order: TypeAlias = tuple[int, int, int]
"""(slice, ky, kx) as axes of the array."""
TYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8", "c8", "c16")
_SIZES = {348: b"n+1", 540: b"n+2"}
"""Bytes of a header, by which it is known, and what its magic must then be."""
_UNITS_MM = {1: 1000.0, 2: 1.0, 3: 0.001}
"""NIfTI's codes of metre, millimetre, micrometre; 0 is unknown."""
_EXTENSION = 4
"""Bytes behind a header that say whether extensions follow; those may hold whole DICOM headers, and are not read."""
_DEFLATE = 1032
"""Most that deflate can shrink anything."""
_PIECE = 1 << 20


@dataclass(frozen=True, kw_only=True)
class NiftiFile:
    """What a header declares, and the file can hold."""

    file: Path
    mtime_ns: int
    shape: tuple[int, int, int]
    volumes: int
    dtype: str
    offset: int
    """Of the first voxel [bytes], once decompressed."""
    slope: float
    intercept: float
    encoding: tuple[int | None, int | None, int | None]
    """(frequency, phase, slice) axes, None where the header is silent."""
    zooms_mm: tuple[float, float, float] | None
    """Distance of voxels along the array's axes; None without a unit."""

    @property
    def is_complex(self) -> bool:
        return np.dtype(self.dtype).kind == "c"

    @property
    def compressed(self) -> bool:
        return self.file.suffix.lower() == ".gz"

    @property
    def volume_bytes(self) -> int:
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    def shape_in(self, order: Order) -> tuple[int, int, int]:
        """(slice, ky, kx)."""
        slices, ky, kx = (self.shape[axis] for axis in order)
        return slices, ky, kx

    def voxel_mm(self, order: Order) -> tuple[float, float, float] | None:
        """(slice, ky, kx)."""
        if self.zooms_mm is None:
            return None
        slices, ky, kx = (self.zooms_mm[axis] for axis in order)
        return slices, ky, kx

    def plane(self, order: Order, volume: int, index: int) -> Plane:
        """(ky, kx) of one slice, scaled."""
        unchanged(self.file, self.mtime_ns)
        through, ky, kx = order
        with readable(self.file, "NIfTI"):
            if through == 2 and not self.compressed:
                each = self.volume_bytes // self.shape[2]
                start = self.offset + volume * self.volume_bytes + index * each
                stored = np.fromfile(self.file, self.dtype, math.prod(self.shape[:2]), offset=start)
                raw = stored.reshape(self.shape[:2], order="F")
            else:
                raw = np.take(_volume(self, volume), index, axis=through)
        with np.errstate(all="ignore"):
            scaled = raw * np.float64(self.slope) + self.intercept
        return scaled if ky < kx else scaled.T


def starts_as_nifti(file: Path) -> bool:
    """Whether the first bytes are a header's."""
    try:
        return _guess(_first_bytes(file)) is not None
    except (OSError, EOFError, zlib.error):
        return False


def open_file(file: Path) -> NiftiFile:
    """Reads the header alone.

    Raises:
        HalfscanError: no NIfTI, or one that declares what it does not hold or nobody could show as an image.
    """
    if not file.is_file():
        raise HalfscanError(f"{file}: is no regular file")
    stat = file.stat()
    with readable(file, "NIfTI"):
        block = _first_bytes(file)
    if (size := _guess(block)) is None:
        raise HalfscanError(f"{file}: does not begin as NIfTI (Analyze and pairs of .hdr and .img are not read); is it whole?")
    with readable(file, "NIfTI"):
        found = _parse(file, stat.st_mtime_ns, _header(block[:size], size))
    declared = found.offset + found.volumes * found.volume_bytes
    shown = " × ".join(map(str, (*found.shape, found.volumes)))
    if not found.compressed and stat.st_size != declared:
        raise HalfscanError(
            f"{file}: its header declares {shown} voxels, {declared:,} bytes in all, and it has {stat.st_size:,}: is it whole?"
        )
    if found.compressed and declared > _DEFLATE * stat.st_size:
        raise HalfscanError(f"{file}: its header declares {shown} voxels, more than this file can hold: is it whole?")
    return found


def _header(block: bytes, size: int) -> Any:
    import nibabel

    # Unchecked, and checked below: nibabel would mend what it can, and log it.
    kind = nibabel.Nifti1Header if size == 348 else nibabel.Nifti2Header
    return kind(block, check=False)


def _parse(file: Path, mtime_ns: int, header: Any) -> NiftiFile:
    dims = [int(size) for size in header["dim"]]
    if not 2 <= dims[0] <= 7 or min(dims[1 : dims[0] + 1]) < 1:
        raise HalfscanError(f"{file}: its header declares the dimensions {dims}: is it whole?")
    sizes = [*dims[1 : dims[0] + 1], 1, 1][: max(4, dims[0])]
    if any(size > 1 for size in sizes[4:]):
        raise HalfscanError(f"{file}: it has more than four dimensions ({dims[1 : dims[0] + 1]}); take volumes out first")
    if math.prod(sizes) > MOST_VOXELS:
        raise HalfscanError(f"{file}: its header declares {math.prod(sizes):,} voxels, more than are read: is it whole?")
    dtype, code = _dtype(header), int(header["datatype"])
    if dtype is None:
        raise HalfscanError(
            f"{file}: its voxels are of NIfTI's type {code}, no real or complex numbers of up to 64 bits (colour is not read)"
        )
    magic_size = header.sizeof_hdr
    offset = float(header["vox_offset"])
    if not (offset >= magic_size + _EXTENSION and offset == int(offset)):
        raise HalfscanError(f"{file}: its header says that voxels begin at byte {offset:g}: is it whole?")
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or math.isnan(slope):
        # NIfTI's way to say that voxels are not scaled.
        slope, intercept = 1.0, 0.0
    if not (math.isfinite(slope) and math.isfinite(intercept)):
        raise HalfscanError(f"{file}: its header scales voxels by {slope:g} and {intercept:g}: mend it")
    return NiftiFile(
        file=file,
        mtime_ns=mtime_ns,
        shape=(sizes[0], sizes[1], sizes[2]),
        volumes=sizes[3],
        dtype=dtype,
        offset=int(offset),
        slope=slope,
        intercept=intercept,
        encoding=header.get_dim_info(),
        zooms_mm=_zooms(header),
    )


def _dtype(header: Any) -> str | None:
    """numpy's name of the voxels' type, byte order included; None for those that are not read."""
    try:
        found = header.get_data_dtype()
    except Exception:
        # nibabel raises its own error for codes that it does not know.
        return None
    name = f"{found.kind}{found.itemsize}"
    return found.newbyteorder(header.endianness).str if name in TYPES else None


def _zooms(header: Any) -> tuple[float, float, float] | None:
    factor = _UNITS_MM.get(int(header["xyzt_units"]) & 7)
    sizes = [float(value) for value in header["pixdim"][1:4]]
    if int(header["dim"][0]) == 2:
        # No third dimension, and so no thickness.
        return None
    if factor is None or not all(0 < size < 1e6 for size in sizes):
        return None
    return sizes[0] * factor, sizes[1] * factor, sizes[2] * factor


def _first_bytes(file: Path) -> bytes:
    with gzip.open(file) if file.suffix.lower() == ".gz" else file.open("rb") as stream:
        return stream.read(max(_SIZES))


def _guess(block: bytes) -> int | None:
    """Bytes of the header that begins here, None where none does."""
    for size, magic in _SIZES.items():
        at = 344 if size == 348 else 4
        if len(block) >= size and size in (int.from_bytes(block[:4], end) for end in ("little", "big")):
            return size if block[at : at + 3] == magic else None
    return None


@lru_cache(maxsize=1)
def _volume(content: NiftiFile, volume: int) -> npt.NDArray[Any]:
    """One whole volume: what is compressed, or cut across, can't be read in parts. Only the latest stays in memory."""
    with gzip.open(content.file) if content.compressed else content.file.open("rb") as stream:
        stream.seek(content.offset + volume * content.volume_bytes)
        read = bytearray()
        # Piece by piece: memory grows with what the file really holds.
        while missing := content.volume_bytes - len(read):
            piece = stream.read(min(missing, _PIECE))
            if not piece:
                raise HalfscanError(f"{content.file}: it ends before the voxels that its header declares: is it whole?")
            read += piece
        # The end of a compressed file bears its checksum.
        if volume == content.volumes - 1 and stream.read(1):
            raise HalfscanError(f"{content.file}: it holds more voxels than its header declares: is it whole?")
    return np.frombuffer(read, content.dtype).reshape(content.shape, order="F")
