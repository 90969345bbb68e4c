"""An ISMRMRD file: which readouts are lines of which image, told from their heads alone.

Source: Inati et al., Magn Reson Med 77:411 (2017), and the ISMRMRD schema, version 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..bench.acquisition import BoolArray, ComplexArray
from ..bench.errors import HalfscanError
from .hdf5 import check_file, names
from .header import Header, read_header
from .source import readable

SUFFIXES = (".h5", ".hdf5", ".mrd")
Heads: TypeAlias = npt.NDArray[Any]
Counter: TypeAlias = npt.NDArray[Any]

_COUNTERS = {"contrast": "e", "phase": "p", "repetition": "r", "set": "s"}
"""What makes a volume of its own, and the letter that names it."""
_NO_IMAGE = (
    *("PARALLEL_CALIBRATION", "NAVIGATION_DATA", "PHASECORR_DATA", "HPFEEDBACK_DATA", "DUMMYSCAN_DATA", "RTFEEDBACK_DATA"),
    *("SURFACECOILCORRECTIONSCAN_DATA", "PHASE_STABILIZATION_REFERENCE", "PHASE_STABILIZATION"),
)
"""Flags of readouts that no image is made of."""
_TRAJECTORIES = ("cartesian", "epi", "radial", "goldenangle", "spiral", "other")
"""Of the schema; what else a header says there may be anything, and is not repeated."""
_SMALLEST = 1000
"""A file's heads may be compressed to so small a part [1]."""
_EMPTIEST = 4
"""An encoded matrix may be so many times as large as what was sampled; beyond, the header is damaged."""


def groups(path: Path) -> list[str]:
    """The groups of a file that hold a header and readouts; none where it is no ISMRMRD file."""
    found = names(path, SUFFIXES)
    holders = ({name.removesuffix(end) for name in found if name.endswith(end)} for end in ("/xml", "/data"))
    return sorted(set.intersection(*holders))


@dataclass(frozen=True, kw_only=True, eq=False)
class Lines:
    """One image's readouts, placed in its k-space."""

    name: str
    """Such as e1_r2; empty where the file holds one image."""
    echo: int
    """Counter of the echo (contrast)."""
    shape: tuple[int, int, int, int]
    """(slice, coil, ky, kx) of the encoded matrix."""
    numbers: npt.NDArray[np.intp]
    """(slice, line, average) of the readouts in the file."""
    places: npt.NDArray[np.intp]
    """(line,) where each line lies along ky."""
    columns: tuple[int, int, int]
    """(first column along kx, first and last sample + 1 of a readout) that are data."""

    @property
    def acquired(self) -> BoolArray:
        """(ky,) True where a line was read."""
        found = np.zeros(self.shape[2], dtype=bool)
        found[self.places] = True
        return found

    @property
    def averages(self) -> int:
        return self.numbers.shape[2]

    @property
    def absent(self) -> int:
        """Samples of a line that were not acquired (asymmetric echo)."""
        return self.shape[3] - (self.columns[2] - self.columns[1])


@dataclass(frozen=True, kw_only=True, eq=False)
class MrdFile:
    """A file whose heads were read; its samples wait."""

    file: Path
    group: str
    header: Header
    images: tuple[Lines, ...]
    samples: int
    """Of each readout of the images."""
    noise: npt.NDArray[np.intp]
    """Readouts of noise alone, by as many coils."""
    dwell_s: float
    """Of a sample of the images [s]; 0 where the heads do not say."""
    noise_dwell_s: float
    left_aside: int
    """Readouts of other encoding spaces."""

    def read(self, lines: Lines, part: tuple[int | slice, ...]) -> ComplexArray:
        """A part of an image's k-space (slice, coil, ky, kx), the mean of its averages."""
        first, *inside = part
        chosen = range(lines.shape[0])[first]
        slices = [chosen] if isinstance(chosen, int) else list(chosen)
        whole = np.zeros((0, *lines.shape[1:]), np.complex64)
        column, start, stop = lines.columns
        for place, index in enumerate(slices):
            # An average at a time: no more than a slice of readouts is in memory.
            for average in range(lines.averages):
                readouts = self._readouts(lines.numbers[index, :, average], lines.shape[1], self.samples)
                if not len(whole):
                    # Only now do the readouts warrant what their heads declare.
                    whole = np.zeros((len(slices), *lines.shape[1:]), np.complex64)
                for line, samples in zip(lines.places, readouts, strict=True):
                    whole[place, :, line, column : column + stop - start] += samples[:, start:stop]
        if lines.averages > 1:
            whole /= lines.averages
        return whole[(0 if isinstance(chosen, int) else slice(None), *inside)]

    def noise_samples(self, coils: int) -> ComplexArray:
        """(coil, sample) of noise alone."""
        return np.concatenate(self._readouts(self.noise, coils), axis=1)

    def _readouts(self, numbers: npt.NDArray[np.intp], coils: int, samples: int | None = None) -> list[ComplexArray]:
        """(coil, sample) of each, read at once: one by one, as the ismrmrd library does, takes a hundred times as long.

        Raises:
            HalfscanError: they hold other numbers of samples than `samples`, where given.
        """
        import h5py

        order = np.argsort(numbers)
        with readable(self.file, "ISMRMRD"), h5py.File(self.file, "r") as container:
            found = container[self.group]["data"].fields("data")[numbers[order]]
            if samples is not None and any(one.size != 2 * coils * samples for one in found):
                raise HalfscanError(f"{self.file}: its readouts hold other numbers of samples than their heads say: is it whole?")
            read = [np.asarray(one, np.float32).view(np.complex64).reshape(coils, -1) for one in found]
        return [read[place] for place in np.argsort(order)]


def open_file(file: Path) -> MrdFile:
    """Reads header and heads.

    Raises:
        HalfscanError: no ISMRMRD file, or no Cartesian 2D images that are fully sampled, in one line.
    """
    check_file(file)
    found = groups(file)
    if len(found) != 1:
        raise HalfscanError(f"{file}: holds {len(found) or 'no'} groups with xml and data, and an ISMRMRD file has one")
    text, heads = _heads(file, found[0])
    # Of damaged heads fields may be missing, or of another kind.
    with readable(file, "ISMRMRD"), _named(file):
        header = read_header(text)
        if header.trajectory not in (None, "cartesian"):
            said = header.trajectory if header.trajectory in _TRAJECTORIES else "none of the schema"
            raise HalfscanError(f"its trajectory is {said}: only Cartesian 2D k-space is read")
        noise = _flagged(heads, "NOISE_MEASUREMENT")
        space = heads["encoding_space_ref"] == 0
        images = _without_others(heads, noise) & space
        if not images.any():
            raise HalfscanError("no readout is of an image in the first encoding space: further ones are not read")
        lines = tuple(_images(heads, images.nonzero()[0], header))
    fitting = (noise & (heads["active_channels"] == lines[0].shape[1])).nonzero()[0]
    first = heads[images][0]
    return MrdFile(
        file=file,
        group=found[0],
        header=header,
        images=lines,
        samples=int(first["number_of_samples"]),
        noise=fitting,
        dwell_s=float(first["sample_time_us"]) * 1e-6,
        noise_dwell_s=float(heads["sample_time_us"][fitting[0]]) * 1e-6 if len(fitting) else 0.0,
        left_aside=int((~space & ~noise).sum()),
    )


@contextmanager
def _named(file: Path) -> Iterator[None]:
    """Puts the file before what is wrong with it."""
    try:
        yield
    except HalfscanError as error:
        raise HalfscanError(f"{file}: {error}") from error


def _heads(file: Path, group: str) -> tuple[bytes | str, Heads]:
    """The header's text, and the heads of all readouts."""
    import h5py

    with readable(file, "ISMRMRD"), h5py.File(file, "r") as container:
        data = container[group]["data"]
        if data.dtype.names is None or not {"head", "data"} <= set(data.dtype.names) or data.ndim != 1 or not len(data):
            raise HalfscanError(f"{file}: {group}/data holds no readouts")
        most = file.stat().st_size * (_SMALLEST if data.id.get_create_plist().get_nfilters() else 1)
        if len(data) * data.dtype["head"].itemsize > most:
            raise HalfscanError(f"{file}: declares {len(data):,} readouts, more than it can hold: is it whole?")
        return container[group]["xml"][0], data.fields("head")[:]


def _flagged(heads: Heads, *flags: str) -> BoolArray:
    """Heads that carry one of the flags."""
    import ismrmrd

    bits = sum(1 << (getattr(ismrmrd, f"ACQ_IS_{flag}") - 1) for flag in flags)
    return (heads["flags"] & np.uint64(bits)) != 0


def _without_others(heads: Heads, noise: BoolArray) -> BoolArray:
    """Readouts that images are made of.

    Raises:
        HalfscanError: some run backwards, lie off a grid, or are compressed.
    """
    import ismrmrd

    both = _flagged(heads, "PARALLEL_CALIBRATION_AND_IMAGING")
    images = ~noise & (~_flagged(heads, *_NO_IMAGE) | both)
    if not images.any():
        raise HalfscanError("no readout is of an image: all are noise, calibration or navigators")
    if (_flagged(heads, "REVERSE") & images).any():
        raise HalfscanError("its readouts run to and fro (bipolar, EPI): their phases differ, and they are not handled")
    if heads["trajectory_dimensions"][images].any():
        raise HalfscanError("its readouts carry a trajectory: only Cartesian 2D k-space is read")
    packed = sum(1 << (getattr(ismrmrd, f"ACQ_COMPRESSION{number}") - 1) for number in (1, 2, 3, 4))
    if ((heads["flags"] & np.uint64(packed)) != 0).any():
        raise HalfscanError("its samples are compressed: decompress them first")
    return images


def _images(heads: Heads, numbers: npt.NDArray[np.intp], header: Header) -> Iterator[Lines]:
    counters = {name: heads["idx"][name][numbers] for name in (*_COUNTERS, "slice", "kspace_encode_step_1", "average")}
    if (heads["idx"]["kspace_encode_step_2"][numbers] != heads["idx"]["kspace_encode_step_2"][numbers[0]]).any():
        raise HalfscanError("it is encoded along kz as well (3D), which is not handled yet: only slices of 2D k-space are read")
    if header.encoded is None:
        raise HalfscanError("its header states no encoded matrix (encodedSpace/matrixSize)")
    if header.encoded[2] > 1:
        raise HalfscanError(f"its encoded matrix has {header.encoded[2]} partitions (3D), which are not handled yet")
    coils, columns = _columns(heads[numbers], header.encoded[0])
    keys = np.stack([counters[name] for name in _COUNTERS], axis=1)
    slices = np.unique(counters["slice"])
    volumes, which, sizes = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    varying = [index for index in range(len(_COUNTERS)) if len(np.unique(volumes[:, index])) > 1]
    letters = [*_COUNTERS.values()]
    parts = np.split(np.argsort(which.ravel(), kind="stable"), np.cumsum(sizes)[:-1])
    for key, inside in zip(volumes.tolist(), parts, strict=True):
        own = {name: values[inside] for name, values in counters.items()}
        table, places, height = _table(numbers[inside], own, slices, header)
        yield Lines(
            name="_".join(f"{letters[index]}{key[index] + 1}" for index in varying),
            echo=key[letters.index("e")],
            shape=(len(slices), coils, height, header.encoded[0]),
            numbers=table,
            places=places,
            columns=columns,
        )


def _columns(heads: Heads, width: int) -> tuple[int, tuple[int, int, int]]:
    """Coils, and which samples of a readout lie where along kx."""
    alike = ("active_channels", "number_of_samples", "center_sample", "discard_pre", "discard_post")
    for name in alike:
        if (heads[name] != heads[name][0]).any():
            raise HalfscanError(f"its readouts differ in {name}, from {heads[name].min()} to {heads[name].max()}")
    coils, samples, centre, before, after = (int(heads[name][0]) for name in alike)
    # A readout as long as the matrix can lie in one place only; some converters leave its centre at 0.
    start = 0 if samples == width else width // 2 - centre
    stop = samples - after
    if coils < 1 or not 0 <= before < stop or start < 0 or start + samples > width:
        raise HalfscanError(
            f"its readouts ({samples} samples, the centre at {centre}, {before} and {after} to be dropped) do not fit the "
            f"{width} columns of its encoded matrix"
        )
    if width > _EMPTIEST * samples:
        raise HalfscanError(f"its encoded matrix has {width} columns and its readouts {samples} samples: the header is damaged")
    return coils, (start + before, before, stop)


def _table(
    numbers: npt.NDArray[np.intp], own: Mapping[str, Counter], slices: Counter, header: Header
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], int]:
    """(slice, line, average) readouts of one image, where its lines lie along ky, and how many that are."""
    assert header.encoded is not None
    height = header.encoded[1]
    steps = own["kspace_encode_step_1"].astype(np.int64)
    centre = header.lines[2] if header.lines else height // 2
    lines = np.unique(steps)
    places = lines - centre + height // 2
    if height > _EMPTIEST * len(lines):
        raise HalfscanError(f"{len(lines)} of {height} lines were read: undersampled k-space has no truth")
    if places[0] < 0 or places[-1] >= height:
        raise HalfscanError(f"its lines {lines[0]} to {lines[-1]}, the centre at {centre}, do not fit a matrix of {height} lines")
    if header.lines is None and len(lines) < height:
        raise HalfscanError(
            f"{len(lines)} of {height} lines were read, and its header does not say which is the centre "
            "(encodingLimits/kspace_encoding_step_1)"
        )
    if len(lines) <= lines[-1] - lines[0]:
        missing = int(lines[-1] - lines[0] + 1 - len(lines))
        factor = f" (acceleration {header.acceleration[0]:g})" if header.acceleration[0] > 1 else ""
        raise HalfscanError(f"{missing} lines between sampled ones are missing{factor}: undersampled k-space has no truth")
    order = np.lexsort((own["average"], steps, own["slice"]))
    _refuse_uneven(own["slice"][order], steps[order], own["average"][order], slices, lines)
    averages = len(numbers) // (len(slices) * len(lines))
    return numbers[order].reshape(len(slices), len(lines), averages), places.astype(np.intp), height


def _refuse_uneven(slices: Counter, steps: Counter, averages: Counter, all_slices: Counter, lines: Counter) -> None:
    """Refuses lines that are missing, or there more often than others; in the order of slice, line and average."""
    twice = (np.diff(slices) == 0) & (np.diff(steps) == 0) & (np.diff(averages) == 0)
    if twice.any():
        at = int(twice.nonzero()[0][0])
        raise HalfscanError(f"line {steps[at]} of slice {slices[at]} is there twice in average {averages[at]}")
    # Not as a table of slices and lines: damaged counters would make it as large as the square of the readouts.
    cells, counts = np.unique(
        np.searchsorted(all_slices, slices) * len(lines) + np.searchsorted(lines, steps), return_counts=True
    )
    gaps = (cells != np.arange(len(cells))).nonzero()[0]
    absent = int(gaps[0]) if len(gaps) else len(cells)
    fewer = cells[counts != counts.max()]
    first = min(absent, int(fewer[0])) if len(fewer) else absent
    if first < len(all_slices) * len(lines):
        at_slice, at_line = divmod(first, len(lines))
        raise HalfscanError(
            f"line {lines[at_line]} of slice {all_slices[at_slice]} is there {0 if first == absent else counts[first]} times "
            f"and others {counts.max()}: lines are missing, or averaged unevenly"
        )
