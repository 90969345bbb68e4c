"""Which readouts of a Siemens measurement make which line of which volume, and reading them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from ..bench.acquisition import ComplexArray
from ..bench.errors import HalfscanError
from .twix_file import Layout, Measurement

_COUNTERS = {"e": "Eco", "r": "Rep", "s": "Set", "p": "Phs"}
"""Loop counters that make a volume each, and the letters that name them."""
_PARALLEL = 0.999
"""Least cosine between the normals of slices of one stack."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Lines:
    """The readouts of one volume, by slice and line."""

    name: str
    """Such as e1_r2; empty where the measurement is one volume."""
    echo: int
    layout: Layout
    samples: int
    """Of a readout, those that are cut off included."""
    kept: slice
    """Those of them that are data."""
    coils: npt.NDArray[np.uint16]
    """(coil,) ids, in the order of the file."""
    places: npt.NDArray[np.int64]
    """(readout,) where each starts in the file [bytes], by slice and line."""
    starts: npt.NDArray[np.int64]
    """(slice, line + 1) the range of `places` of each line; several are averages of it."""
    shape: tuple[int, int, int, int]
    """(slice, coil, ky, kx) with the centre of k-space at size // 2."""
    top: int
    """Of the first line along ky; what lies beyond the lines was not acquired."""
    left: int
    """Of the first sample along kx."""

    @property
    def acquired(self) -> slice:
        """Along ky."""
        return slice(self.top, self.top + self.starts.shape[1] - 1)

    @property
    def absent(self) -> int:
        """Samples along kx that were not acquired."""
        return self.shape[3] - (self.kept.stop - self.kept.start)

    @property
    def averages(self) -> int | None:
        """Of every line; None where they have several numbers of them."""
        counts = np.diff(self.starts, axis=1)
        return int(counts[0, 0]) if (counts == counts[0, 0]).all() else None

    def read(self, file: Path, index: tuple[int | slice, ...]) -> ComplexArray:
        """A part of the volume, one entry an axis; an integer drops its axis."""
        every = index[1] == slice(None)
        slices, coils, lines, _ = (np.atleast_1d(np.arange(size)[part]) for size, part in zip(self.shape, index, strict=True))
        out = np.zeros((slices.size, coils.size, lines.size, self.shape[3]), dtype=np.complex64)
        columns = slice(self.left, self.left + self.kept.stop - self.kept.start)
        with file.open("rb", buffering=0) as stream:
            for page, number in enumerate(slices):
                for row, line in enumerate(lines - self.top):
                    if not 0 <= line < self.starts.shape[1] - 1:
                        continue
                    start, stop = self.starts[number, line : line + 2]
                    target = out[page, :, row, columns]
                    for place in self.places[start:stop]:
                        samples = self._readout(file, stream, int(place))
                        target += samples if every else samples[coils]
                    if stop - start > 1:
                        target /= stop - start
        # Columns last: a readout lies in one piece.
        dropped = tuple(0 if isinstance(part, int) else slice(None) for part in index[:3])
        return out[(*dropped, index[3])]

    def _readout(self, file: Path, stream: IO[bytes], place: int) -> ComplexArray:
        """(coil, sample) of one readout."""
        ids, samples = self.layout.read(stream, place, self.coils.size, self.samples)
        if not np.array_equal(ids, self.coils):
            raise HalfscanError(f"{file}: the coils of the readout at byte {place:,} are not those of the first")
        return samples[:, self.kept]


def split(stream: IO[bytes], scan: Measurement) -> Iterator[Lines]:
    """The volumes of a measurement, by echo, repetition, set and phase.

    Raises:
        HalfscanError: it holds no image, a volume lacks lines, or is no Cartesian 2D one.
    """
    images = scan.images()
    if not images.size:
        raise HalfscanError("its last measurement holds no image")
    for flag, why in (
        ("REFLECT", "its readouts run to and fro (EPI or a bipolar readout): only those of one direction are read"),
        ("SLICE_ACCEL_REFSCAN", "it excites several slices at once (multiband): its slices lie on top of one another"),
    ):
        if scan.flagged(flag)[images].any():
            raise HalfscanError(why)
    counter = scan.readouts["Counter"]
    if (partitions := len(np.unique(counter["Par"][images]))) > 1:
        raise HalfscanError(f"a 3D scan of {partitions} partitions: only Cartesian 2D scans are read")
    several = {letter: name for letter, name in _COUNTERS.items() if len(np.unique(counter[name][images])) > 1}
    keys = np.stack([counter[name][images] for name in _COUNTERS.values()], axis=1)
    volumes, member = np.unique(keys, axis=0, return_inverse=True)
    order = np.argsort(member.ravel(), kind="stable")
    for volume, chosen in zip(volumes, np.split(images[order], np.cumsum(np.bincount(member.ravel()))[:-1]), strict=True):
        numbers = dict(zip(_COUNTERS, volume.tolist(), strict=True))
        name = "_".join(f"{letter}{numbers[letter] + 1}" for letter in several)
        yield _lines(stream, scan, chosen, name, numbers["e"])


def _lines(stream: IO[bytes], scan: Measurement, chosen: npt.NDArray[np.intp], name: str, echo: int) -> Lines:
    readouts = scan.readouts[chosen]
    counter, cut = readouts["Counter"], readouts["CutOff"]
    for what, values in (
        ("samples", readouts["SamplesInScan"]),
        ("coils", readouts["UsedChannels"]),
        ("centres along kx", readouts["CenterCol"]),
        ("centres along ky", readouts["CenterLin"]),
        ("cut-off samples", cut["Pre"]),
        ("cut-off samples", cut["Post"]),
    ):
        if (values != values[0]).any():
            raise HalfscanError(f"its lines differ in their {what}: {values.min()} to {values.max()}")
    one = readouts[0]
    samples, coils = int(one["SamplesInScan"]), int(one["UsedChannels"])
    kept = slice(int(one["CutOff"]["Pre"]), samples - int(one["CutOff"]["Post"]))
    first = int(counter["Lin"].min())
    lines = int(counter["Lin"].max()) - first + 1
    width, left = _centred("kx", kept.start, kept.stop - 1, int(one["CenterCol"]))
    height, top = _centred("ky", first, first + lines - 1, int(one["CenterLin"]))
    numbers, member = np.unique(counter["Sli"], return_inverse=True)
    rank = _spatial_rank(readouts, member)
    cell = rank[member].astype(np.int64) * lines + counter["Lin"].astype(np.int64) - first
    if missing := numbers.size * lines - np.unique(cell).size:
        raise HalfscanError(
            f"{missing:,} of {numbers.size * lines:,} lines are missing: undersampled, or stopped; such k-space has no truth"
        )
    repeat = (cell << 32) + (counter["Ave"].astype(np.int64) << 16) + counter["Seg"]
    if twice := repeat.size - np.unique(repeat).size:
        raise HalfscanError(f"{twice:,} lines were measured again, not as averages: what they are is unknown")
    order = np.argsort(cell, kind="stable")
    edges = np.concatenate([[0], np.cumsum(np.bincount(cell, minlength=numbers.size * lines))])
    starts = np.stack([edges[index * lines : (index + 1) * lines + 1] for index in range(numbers.size)])
    return Lines(
        name=name,
        echo=echo,
        layout=scan.layout,
        samples=samples,
        kept=kept,
        coils=scan.layout.read(stream, int(scan.places[chosen[0]]), coils, samples)[0].copy(),
        places=scan.places[chosen][order],
        starts=starts,
        shape=(numbers.size, coils, height, width),
        top=top,
        left=left,
    )


def _centred(axis: str, first: int, last: int, centre: int) -> tuple[int, int]:
    """Size of the smallest grid whose middle is the centre of k-space, and where the first sample lies on it.

    Raises:
        HalfscanError: the centre does not lie between the samples: the grid would be mostly empty.
    """
    if not first < centre < last:
        raise HalfscanError(f"the centre of k-space, {centre}, does not lie inside {first} to {last} along {axis}")
    below, above = centre - first, last - centre
    size = 2 * below + 1 if below == above else 2 * max(below, above + 1)
    return size, size // 2 - below


def _spatial_rank(readouts: npt.NDArray[Any], member: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """(slice,) the place of each along the stack: right to left, front to back, feet to head.

    Their numbers need not follow space, as slices are excited interleaved; but each readout says where its slice lies. Where
    positions say nothing, as equal ones do, numbers decide.

    Raises:
        HalfscanError: slices of several planes.
    """
    _, one_each = np.unique(member, return_index=True)
    where = readouts["SliceData"][one_each]
    position = np.stack([where["SlicePos"][axis] for axis in ("Sag", "Cor", "Tra")], axis=1).astype(np.float64)
    w, x, y, z = where["Quaternion"].astype(np.float64).T
    if not np.isfinite(position).all() or not np.isfinite(where["Quaternion"]).all():
        raise HalfscanError("the positions of its slices are no numbers")
    normal = np.stack([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x**2 + y**2)], axis=1)
    if (normal @ normal[0] < _PARALLEL).any() and len(one_each) > 1:
        raise HalfscanError("its slices lie in several planes, as a localizer's do: they are no stack")
    along = position @ normal[0] * np.sign(normal[0, np.abs(normal[0]).argmax()])
    if np.unique(along).size < along.size:
        along = np.arange(along.size)
    rank = np.empty(along.size, dtype=np.intp)
    rank[np.argsort(along)] = np.arange(along.size)
    return rank
