"""A Siemens raw-data file: where its measurements, headers and readouts lie. Sizes are checked before anything is allocated.

The layout and the flags are twixtools' own. Its reader is not used: it loads every sample on opening, and never comes back from
some damaged files.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from ..bench.acquisition import ComplexArray
from ..bench.errors import HalfscanError
from .twix_header import TwixHeader, read_header

SUFFIXES = (".dat",)
_RAID_BYTES, _ENTRY_BYTES = 8, 152
_MOST_MEASUREMENTS = 64
_NEW = 10_000
"""The first number of a file of software VD or later lies below; that of VB is its header's length."""
_LONGEST_HEADER = 64 << 20
"""Of a measurement [bytes]: real ones take one to some MiB."""
_COILS_ADJUSTMENT = b"AdjCoilSens"
"""Siemens' own name of the measurement that comes first; other names are free text and not looked at."""
_NO_IMAGE = (
    *("RTFEEDBACK", "HPFEEDBACK", "REFPHASESTABSCAN", "PHASESTABSCAN", "PHASCOR", "NOISEADJSCAN", "noname60"),
    *("RETRO_DUMMYSCAN", "B1_CONTROLLOOP", "MDH_VOP"),
)
"""Flags of readouts that are no part of an image."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How readouts are stored: with one header for all channels (VD and later), or one for each (VB)."""

    header: np.dtype[np.void]
    """At the start of a readout."""
    before: int
    """Bytes before the first channel."""
    channel: np.dtype[np.void]
    """Before each channel's samples."""

    def size(self, channels: int, samples: int) -> int:
        """Of a readout [bytes]."""
        return self.before + channels * (self.channel.itemsize + 8 * samples)

    def read(self, stream: IO[bytes], at: int, channels: int, samples: int) -> tuple[npt.NDArray[np.uint16], ComplexArray]:
        """Ids (channel,) and samples (channel, sample) of a readout."""
        stream.seek(at + self.before)
        block = stream.read(self.size(channels, samples) - self.before)
        found = np.frombuffer(block, _channel(self.channel, samples), channels)
        return found["head"]["ChannelId"], found["samples"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Measurement:
    """One measurement of a file: its header and its readouts' headers, without samples."""

    header: TwixHeader
    layout: Layout
    old: bool
    """Of software VB."""
    adjusts_coils: bool
    readouts: npt.NDArray[Any]
    """(readout,) headers."""
    places: npt.NDArray[np.int64]
    """(readout,) where each starts in the file [bytes]."""

    def flagged(self, *names: str) -> npt.NDArray[np.bool_]:
        """(readout,) those with one of the flags."""
        from twixtools import mdh_def

        mask = sum(1 << mdh_def.mask_dict[name] for name in names)
        return (self.readouts["EvalInfoMask"] & np.uint64(mask)) != 0

    def images(self) -> npt.NDArray[np.intp]:
        """Indices of the readouts that images are made of; a separate reference for parallel imaging is left aside."""
        reference = self.flagged("PATREFSCAN") & ~self.flagged("PATREFANDIMASCAN")
        return np.flatnonzero(~self.flagged(*_NO_IMAGE) & ~reference)

    def noise(self) -> npt.NDArray[np.intp]:
        """Indices of the readouts of noise alone."""
        return np.flatnonzero(self.flagged("NOISEADJSCAN"))


@lru_cache(maxsize=16)
def _channel(head: np.dtype[np.void], samples: int) -> np.dtype[np.void]:
    """A channel of a readout."""
    return np.dtype([("head", head), ("samples", "<c8", (samples,))])


def known_by_its_head(path: Path) -> bool:
    """Whether a file begins as Siemens raw data do."""
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            first, second = struct.unpack("<II", stream.read(8))
    except (OSError, struct.error):
        return False
    return 0 < second <= _MOST_MEASUREMENTS and (first < _NEW or first < size)


def measurements(stream: IO[bytes], size: int) -> Iterator[Measurement]:
    """The measurements of a file, the last one first: earlier ones are adjustments of it.

    Args:
        stream: of the whole file.
        size: of the file [bytes].

    Raises:
        HalfscanError: it is no such file, or is cut.
        ImportError: twixtools is missing.
    """
    from twixtools import mdh_def

    head = stream.read(_RAID_BYTES)
    if len(head) < _RAID_BYTES:
        raise HalfscanError(f"{size} bytes are no Siemens raw data")
    first, count = struct.unpack("<II", head)
    if first >= _NEW:
        old = Layout(header=np.dtype(mdh_def.VB17_header), before=0, channel=np.dtype(mdh_def.VB17_header))
        yield _measurement(stream, (0, size), old, old=True)
        return
    if not 0 < count <= _MOST_MEASUREMENTS or size < _RAID_BYTES + _ENTRY_BYTES * count:
        raise HalfscanError("it does not begin as Siemens raw data do")
    entries = stream.read(_ENTRY_BYTES * count)
    header = np.dtype(mdh_def.Scan_header)
    new = Layout(header=header, before=header.itemsize, channel=np.dtype(mdh_def.Channel_header))
    for index in reversed(range(count)):
        start, length = struct.unpack_from("<QQ", entries, _ENTRY_BYTES * index + 8)
        protocol = entries[_ENTRY_BYTES * index + 88 : _ENTRY_BYTES * (index + 1)].rstrip(b"\0")
        if length == 0 and count == 1:
            length = max(size - start, 0)
        if length == 0 or start < _RAID_BYTES + _ENTRY_BYTES * count or start + length > size:
            raise HalfscanError(
                f"measurement {index + 1} of {count} ends at byte {start + length:,} of {size:,}: the file is cut"
            )
        yield _measurement(stream, (start, start + length), new, adjusts_coils=protocol == _COILS_ADJUSTMENT)


def _measurement(
    stream: IO[bytes], extent: tuple[int, int], layout: Layout, *, old: bool = False, adjusts_coils: bool = False
) -> Measurement:
    start, stop = extent
    stream.seek(start)
    length = int.from_bytes(stream.read(4), "little")
    if not 8 <= length <= min(stop - start, _LONGEST_HEADER):
        raise HalfscanError(f"a header of {length:,} bytes in a measurement of {stop - start:,}: no Siemens raw data, or cut")
    stream.seek(start)
    header = read_header(stream.read(length))
    readouts, places = _walk(stream, start + length, stop, layout)
    return Measurement(
        header=header,
        layout=layout,
        old=old,
        adjusts_coils=adjusts_coils,
        readouts=np.frombuffer(readouts, layout.header),
        places=np.array(places, dtype=np.int64),
    )


def _walk(stream: IO[bytes], at: int, stop: int, layout: Layout) -> tuple[bytes, Sequence[int]]:
    """Headers and places of the readouts, up to the mark that ends a measurement."""
    from twixtools import mdh_def

    end, sync = (1 << mdh_def.mask_dict[name] for name in ("ACQEND", "SYNCDATA"))
    fields: Mapping[str, Any] = layout.header.fields or {}
    mask_at, samples_at, channels_at = (fields[name][1] for name in ("EvalInfoMask", "SamplesInScan", "UsedChannels"))
    headers = bytearray()
    places: list[int] = []
    while at + layout.header.itemsize <= stop:
        stream.seek(at)
        head = stream.read(layout.header.itemsize)
        if len(head) < layout.header.itemsize:
            break
        (mask,) = struct.unpack_from("<Q", head, mask_at)
        if mask & end:
            return bytes(headers), places
        if mask & sync:
            length = int.from_bytes(head[:4], "little") % (1 << 25)
            if length < len(head):
                raise HalfscanError(f"a packet of {length} bytes at byte {at:,}: the file is damaged")
        else:
            (samples,), (channels,) = struct.unpack_from("<H", head, samples_at), struct.unpack_from("<H", head, channels_at)
            if not samples or not channels:
                raise HalfscanError(f"a readout without samples at byte {at:,}: the file is damaged")
            length = layout.size(channels, samples)
            headers += head
            places.append(at)
        at += length
    raise HalfscanError("its last readout is missing: the measurement was stopped, or the file is cut")
