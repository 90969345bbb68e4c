"""An HDF5 file as fastMRI lays it out (M4Raw does so too): k-space by slice, and the header that other readers drop."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..bench.acquisition import Axis, ComplexArray, KSpace
from ..bench.errors import HalfscanError
from .hdf5 import check_file
from .header import Header, read_header
from .source import readable, unchanged

KEY, HEADER, MASK = "kspace", "ismrmrd_header", "mask"
SUFFIXES = (".h5", ".hdf5")
_PUBLISHED_ID = re.compile(r"[0-9a-f]{64}")
"""fastMRI's `patient_id` is a hash already."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FastMriFile:
    """What a file says before its k-space is read."""

    file: Path
    header: Header
    kspace: KSpace
    """All lines of the file, zero padding included: (slice, coil, ky, kx), or (slice, ky, kx) of one coil."""
    acquisition: str | None
    """Its `acquisition` attribute, such as AXT2; may be any text."""
    patient_id: str | None
    """Its `patient_id` attribute where that is a hash, as fastMRI publishes it."""

    @property
    def lines(self) -> slice:
        """The phase-encode lines that the header calls acquired; all of them where it is silent."""
        size, limits = self.kspace.size("ky"), self.header.lines
        if limits is None:
            return slice(0, size)
        low, high, centre = limits
        first = size // 2 - centre
        return slice(max(first + low, 0), min(first + high + 1, size))


def open_file(file: Path) -> FastMriFile:
    """Reads header and shape; k-space waits until it is asked for.

    Raises:
        HalfscanError: no such file, or an undersampled one, in one line.
    """
    import h5py

    mtime_ns = file.stat().st_mtime_ns
    check_file(file)
    with readable(file, "HDF5"), h5py.File(file, "r") as container:
        missing = [name for name in (KEY, HEADER) if not isinstance(container.get(name), h5py.Dataset)]
        if missing:
            raise HalfscanError(f"{file}: holds no {missing[0]}, so it is no fastMRI file; other arrays: dataset=array")
        if MASK in container:
            raise HalfscanError(
                f"{file}: it holds a mask, so it is an undersampled test file: there is no truth to score against"
            )
        data = container[KEY]
        shape, kind, offset = data.shape, data.dtype, _offset(container, data)
        _refuse_larger_than(file, data)
        header_text = container[HEADER][()]
        attributes = {name: _text(container.attrs, name) for name in ("acquisition", "patient_id")}
    if kind.kind != "c" or len(shape) not in (3, 4) or 0 in shape:
        raise HalfscanError(
            f"{file}: k-space is {kind} of shape {shape}, and fastMRI's is complex of (slice, coil, kx, ky), or without coils"
        )
    try:
        header = read_header(header_text)
    except HalfscanError as error:
        raise HalfscanError(f"{file}: {error}") from error
    if header.trajectory not in (None, "cartesian"):
        raise HalfscanError(f"{file}: its trajectory is {header.trajectory}: only Cartesian 2D k-space is read")
    axes: tuple[Axis, ...] = ("slice", "coil", "ky", "kx") if len(shape) == 4 else ("slice", "ky", "kx")

    def load(part: tuple[int | slice, ...]) -> ComplexArray:
        unchanged(file, mtime_ns)
        *outer, ky, kx = part
        with readable(file, "HDF5"):
            whole = None if offset is None else _read_run(file, offset, shape, tuple(outer))
            if whole is None:
                with h5py.File(file, "r") as container:
                    whole = container[KEY][tuple(outer)]
        # The file holds the readout before the phase encodes. Swapped and cut as a view: a copy would cost as much as
        # reading.
        return np.swapaxes(whole, -1, -2)[..., ky, kx].astype(np.complex64, copy=False)

    published = attributes["patient_id"]
    return FastMriFile(
        file=file,
        header=header,
        kspace=KSpace(axes=axes, shape=(*shape[:-2], shape[-1], shape[-2]), load=load),
        acquisition=attributes["acquisition"],
        patient_id=published if published and _PUBLISHED_ID.fullmatch(published) else None,
    )


def _offset(container: Any, data: Any) -> int | None:
    """Where the samples begin, if they lie in the file as they would in memory; None for chunks, compression, other types."""
    plain = data.chunks is None and data.external is None and data.dtype == np.dtype("<c8") and container.userblock_size == 0
    return data.id.get_offset() if plain else None


def _read_run(
    file: Path, offset: int, shape: tuple[int, ...], outer: tuple[int | slice, ...]
) -> npt.NDArray[np.complex64] | None:
    """Neighbouring whole slices, by one read: in half the time that HDF5 takes. None for any other selection."""
    first, *inside = outer
    chosen = range(shape[0])[first : first + 1 or None] if isinstance(first, int) else range(shape[0])[first]
    if any(one != slice(None) for one in inside) or chosen.step != 1 or not len(chosen):
        return None
    each = math.prod(shape[1:])
    read = np.fromfile(file, np.complex64, len(chosen) * each, offset=offset + 8 * each * chosen.start)
    whole = read.reshape(len(chosen), *shape[1:])
    return whole[0] if isinstance(first, int) else whole


def _refuse_larger_than(file: Path, data: Any) -> None:
    """Refuses an array that the file can't hold: HDF5 would fill what was never written with zeros."""
    stored = data.id.get_storage_size()
    declared = data.size * data.dtype.itemsize
    if data.chunks is None and stored < declared:
        raise HalfscanError(
            f"{file}: k-space of shape {data.shape} needs {declared:,} bytes and {stored:,} are stored: is it whole?"
        )
    if stored > file.stat().st_size or (data.chunks is not None and declared > 1000 * max(stored, 1)):
        raise HalfscanError(f"{file}: k-space of shape {data.shape} is more than this file can hold: is it whole?")


def _text(attributes: Mapping[str, Any], name: str) -> str | None:
    value = attributes.get(name)
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return text if isinstance(text, str) else None
