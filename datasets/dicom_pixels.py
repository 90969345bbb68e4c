"""The pixels of one DICOM file: where they lie, in which bits, and one frame at a time."""

from __future__ import annotations

import io
import logging
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..bench.errors import HalfscanError
from .images import MOST_VOXELS
from .source import readable, unchanged

PIXEL_DATA = 0x7FE00010
_UNDEFINED = 0xFFFFFFFF
_DENSEST = 1000
"""Most that compression shrinks a picture."""
_ONE_AT_A_TIME = threading.RLock()
"""What warns and logs is the whole process's: two threads would restore each other's silence."""


@dataclass(frozen=True, kw_only=True)
class Pixels:
    """Pixel data of a file: looked at, not yet read."""

    file: Path
    mtime_ns: int
    syntax: str = field(repr=False)
    """UID of the transfer syntax."""
    native: bool
    dtype: str
    """Of the stored integers, byte order included."""
    stored_bits: int
    rows: int
    columns: int
    frames: int
    offset: int
    """Of the value [bytes]."""

    def read(self, frame: int) -> npt.NDArray[Any]:
        """(row, column) integers of one frame."""
        unchanged(self.file, self.mtime_ns)
        # Without pydicom where that will do: its readers take turns.
        with readable(self.file, "DICOM") if self.native else decoded(self.file):
            stored = self._native(frame) if self.native else self._decompressed(frame)
        # What lies above the stored bits is no part of the value: old scanners kept overlays there.
        unused = stored.dtype.itemsize * 8 - self.stored_bits
        return (stored << unused) >> unused

    def _native(self, frame: int) -> npt.NDArray[Any]:
        each = self.rows * self.columns
        start = self.offset + frame * each * np.dtype(self.dtype).itemsize
        read = np.fromfile(self.file, self.dtype, each, offset=start).reshape(self.rows, self.columns)
        return read.astype(read.dtype.newbyteorder("="), copy=False)

    def _decompressed(self, frame: int) -> npt.NDArray[Any]:
        from pydicom.pixels.decoders.base import get_decoder
        from pydicom.uid import UID

        decoder: Any = get_decoder(UID(self.syntax))
        kind = np.dtype(self.dtype)
        with BoundedFile(self.file) as stream:
            stream.seek(self.offset)
            read, _ = decoder.as_array(
                stream,
                index=frame,
                raw=True,
                transfer_syntax_uid=UID(self.syntax),
                pixel_keyword="PixelData",
                rows=self.rows,
                columns=self.columns,
                number_of_frames=self.frames,
                samples_per_pixel=1,
                photometric_interpretation="MONOCHROME2",
                bits_allocated=8 * kind.itemsize,
                bits_stored=self.stored_bits,
                pixel_representation=int(kind.kind == "i"),
            )
        return read.reshape(self.rows, self.columns)


class BoundedFile(io.BufferedReader):
    """A file that is never asked for more than it has: a damaged length would take that much memory first."""

    def __init__(self, file: Path) -> None:
        super().__init__(io.FileIO(file))
        self._file = file
        self._size = file.stat().st_size

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            # pydicom reads all at once only to inflate it, to a size that nobody knows.
            raise HalfscanError(f"{self._file}: its whole content is deflated, which is not read; convert it (dcmconv +te)")
        return super().read(min(size, max(self._size - self.tell(), 0)))


@contextmanager
def decoded(file: Path) -> Iterator[None]:
    """Turns whatever a damaged file makes pydicom raise into one line, and keeps its words, which quote values, to itself."""
    logger = logging.getLogger("pydicom")
    with _ONE_AT_A_TIME, readable(file, "DICOM"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before, logger.disabled = logger.disabled, True
        try:
            yield
        except (HalfscanError, MemoryError, OSError):
            raise
        except Exception as error:
            raise HalfscanError(f"{file}: can't be read as DICOM ({type(error).__name__}); is it whole?") from None
        finally:
            logger.disabled = before


def locate_pixels(file: Path, stream: io.BufferedReader, header: Any) -> Pixels:
    """Finds the pixels behind a header, and refuses what the file can't hold or nobody could show as an image.

    Args:
        file: that refusals name.
        stream: where pydicom stopped before them.
        header: pydicom's data set, of group 0028 above all.
    """
    import pydicom

    stat = file.stat()
    syntax = header.file_meta.get("TransferSyntaxUID")
    if not syntax or not pydicom.uid.UID(syntax).is_transfer_syntax:
        raise HalfscanError(f"{file}: its transfer syntax is absent or unknown; convert it (dcmconv +te)")
    syntax = pydicom.uid.UID(syntax)
    if syntax.is_encapsulated:
        _refuse_without_decoder(file, syntax)
    size = {name: _whole(file, header, name) for name in ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit")}
    frames = _whole(file, header, "NumberOfFrames") if header.get("NumberOfFrames") is not None else 1
    allocated, stored = size["BitsAllocated"], size["BitsStored"]
    photometric, samples = header.get("PhotometricInterpretation"), header.get("SamplesPerPixel")
    if photometric != "MONOCHROME2" or samples != 1:
        raise HalfscanError(f"{file}: its pixels are not MONOCHROME2 of one sample; colour and inverted images are not read")
    if allocated not in (8, 16, 32) or not 1 <= stored <= allocated or size["HighBit"] != stored - 1:
        raise HalfscanError(f"{file}: its pixels have {stored} of {allocated} bits in an order that is not read")
    if allocated == 8 and not syntax.is_little_endian:
        raise HalfscanError(f"{file}: its 8-bit pixels are big-endian, which is not read; convert it (dcmconv +te)")
    signed = header.get("PixelRepresentation")
    if signed not in (0, 1):
        raise HalfscanError(f"{file}: it does not say whether its pixels are signed: is it whole?")
    rows, columns = size["Rows"], size["Columns"]
    tag, length = _element(stream, syntax)
    if tag != PIXEL_DATA:
        raise HalfscanError(f"{file}: it holds no integer pixels: is it whole?")
    needed, offset = rows * columns * frames * allocated // 8, stream.tell()
    shown = f"{frames} × {rows} × {columns} pixels"
    if rows * columns * frames > MOST_VOXELS:
        raise HalfscanError(f"{file}: its header declares {shown}, more than are read: is it whole?")
    left = stat.st_size - offset
    if syntax.is_encapsulated:
        if length != _UNDEFINED or needed > _DENSEST * left:
            raise HalfscanError(f"{file}: its header declares {shown}, more than this file can hold: is it whole?")
    elif length != needed + needed % 2 or length > left:
        raise HalfscanError(
            f"{file}: its header declares {shown}, {needed:,} bytes; {length:,} are announced and {left:,} left: is it whole?"
        )
    return Pixels(
        file=file,
        mtime_ns=stat.st_mtime_ns,
        syntax=str(syntax),
        native=not syntax.is_encapsulated,
        dtype=f"{'<' if syntax.is_little_endian else '>'}{'i' if signed else 'u'}{allocated // 8}",
        stored_bits=stored,
        rows=rows,
        columns=columns,
        frames=frames,
        offset=offset,
    )


def _refuse_without_decoder(file: Path, syntax: Any) -> None:
    from pydicom.pixels.decoders.base import get_decoder

    try:
        available = get_decoder(syntax).is_available
    except NotImplementedError:
        available = False
    if not available:
        raise HalfscanError(
            f"{file}: its pixels are compressed ({syntax.name}), and nothing here reads that: "
            "pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg, or decompress it (gdcmconv --raw)"
        )


def _element(stream: io.BufferedReader, syntax: Any) -> tuple[int, int]:
    """(tag, length) of the element that begins here; the stream then stands at its value."""
    order = "<" if syntax.is_little_endian else ">"
    head = stream.read(8 if syntax.is_implicit_VR else 12)
    if len(head) < (8 if syntax.is_implicit_VR else 12):
        return 0, 0
    group, element = struct.unpack(f"{order}HH", head[:4])
    return group << 16 | element, struct.unpack(f"{order}L", head[-4:])[0]


def _whole(file: Path, header: Any, keyword: str) -> int:
    value = header.get(keyword)
    if not isinstance(value, int) or value < (keyword != "HighBit"):
        raise HalfscanError(f"{file}: it has no {keyword} that an image could have: is it whole?")
    return int(value)
