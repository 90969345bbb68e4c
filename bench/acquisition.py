"""What a scanner delivered: one volume of one patient, lazily read, with named axes, timing and provenance."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from enum import StrEnum
from typing import Any, Literal, Protocol, TypeAlias, get_args, runtime_checkable

import numpy as np
import numpy.typing as npt

from .errors import HalfscanError

Axis: TypeAlias = Literal["repetition", "echo", "frame", "slice", "coil", "kz", "ky", "kx"]
Domain: TypeAlias = Literal["k-space", "image"]
TruthKind: TypeAlias = Literal["noise_free", "repeat_average"]
"""Without noise, or the mean of other repetitions of the scan: its noise is its own, and not the sampled lines'."""
Selection: TypeAlias = Mapping[Axis, int | slice]
ComplexArray: TypeAlias = npt.NDArray[np.complex64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]

AXES: tuple[Axis, ...] = get_args(Axis)
"""All axes in storage order: coil before the encoded axes, the fully sampled readout kx last."""
ENCODED: tuple[Axis, ...] = ("kz", "ky", "kx")


class Provenance(StrEnum):
    """What the samples are."""

    MEASURED = "measured"
    """As the receiver digitised them."""
    PROCESSED = "processed"
    """Altered after the receiver (interference removed, filled in, made from images), or of unstated origin."""
    SIMULATED = "simulated"
    """Computed from a model of anatomy and scanner."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """What the data's own header says of timing; None where the source is silent."""

    sequence: Literal["tse", "gre", "epi"] | None = None
    tr_s: float | None = None
    """Repetition time [s]."""
    te_s: float | None = None
    """Echo time [s]."""
    echo_spacing_s: float | None = None
    """From echo to echo [s]."""
    echo_train_length: int | None = None
    averages: int | None = None
    concatenations: int | None = None
    dummies: int | None = None
    """Shots played out before data are kept, a concatenation."""
    total_s: float | None = None
    """Duration that the scanner itself recorded [s]; where present it is the truth."""
    total_within_s: float | None = None
    """Half a unit of its last digit [s]; None: as of a number that was not rounded."""


@dataclass(frozen=True, kw_only=True)
class KSpace:
    """A lazy array with named axes.

    Raises:
        HalfscanError: unknown, repeated or misordered axes, or a shape that does not fit them.
    """

    axes: tuple[Axis, ...]
    shape: tuple[int, ...]
    load: Callable[[tuple[int | slice, ...]], ComplexArray] = field(repr=False)
    """Reads an index, one entry an axis."""
    domains: Mapping[Axis, Domain] = field(default_factory=lambda: dict.fromkeys(ENCODED, "k-space"))
    """Whether each encoded axis still is k-space or already image."""

    def __post_init__(self) -> None:
        if unknown := [axis for axis in self.axes if axis not in AXES]:
            raise HalfscanError(f"unknown k-space axis {unknown[0]!r}: the axes are {', '.join(AXES)}")
        if list(self.axes) != sorted(set(self.axes), key=AXES.index):
            raise HalfscanError(f"k-space axes {self.axes} must each stand once, in the order {', '.join(AXES)}")
        if len(self.shape) != len(self.axes):
            raise HalfscanError(f"k-space of shape {self.shape} does not fit the axes {self.axes}")

    def size(self, axis: Axis) -> int:
        """The length along an axis, 1 where it is absent."""
        return self.shape[self.axes.index(axis)] if axis in self.axes else 1

    def read(self, selection: Selection | None = None) -> ComplexArray:
        """Loads the selected part.

        Args:
            selection: an index or slice for some axes; an integer drops its axis. Default: everything.

        Returns:
            complex64 array, its axes in the order of `axes`.
        """
        chosen = selection or {}
        if absent := [axis for axis in chosen if axis not in self.axes]:
            raise HalfscanError(f"k-space has no axis {absent[0]!r}: it has {', '.join(self.axes)}")
        # As it lies in memory: readers swap and cut axes as views, and a copy would cost as much as reading.
        return np.asarray(self.load(tuple(chosen.get(axis, slice(None)) for axis in self.axes)), dtype=np.complex64)

    def read_stack(self, start: int = 0, stop: int | None = None) -> ComplexArray:
        """Slices start to stop (default: all) as (slice, coil, ky, kx), with axes of length 1 where the data have none."""
        part = self.read({"slice": slice(start, stop)} if "slice" in self.axes else None)
        present = [axis for axis in self.axes if self.size(axis) > 1 or axis in ("slice", "coil", "ky", "kx")]
        shape = {axis: part.shape[self.axes.index(axis)] for axis in present}
        if further := [axis for axis in shape if axis not in ("slice", "coil", "ky", "kx")]:
            raise HalfscanError(f"the axis {further[0]} is not handled yet: only slice, coil, ky, kx are")
        return part.reshape([shape.get(axis, 1) for axis in ("slice", "coil", "ky", "kx")])


@dataclass(frozen=True, kw_only=True, eq=False)
class Images:
    """Finished images, as the scanner reconstructed them."""

    stack: KSpace
    """(slice, ky, kx), images, ky down a picture and kx along its rows, whichever way phase encoding ran."""
    affine_mm: npt.NDArray[np.float64] | None
    """(3, 4) that takes (slice, row, column, 1) to the patient's (left, posterior, superior) [mm]; None: unknown."""
    acquired_mm: tuple[float, float] | None = None
    """Size of a pixel (down a column, along a row) before the scanner interpolated [mm]; None: not stated."""
    caveat: str | None = None
    """What limits them as images."""

    def plane(self, number: int) -> npt.NDArray[np.float64]:
        """(row, column) magnitudes of one slice."""
        return np.abs(self.stack.read({"slice": number})).astype(np.float64)


@dataclass(frozen=True, kw_only=True, eq=False)
class Acquisition:
    """One volume of one patient, as acquired."""

    kspace: KSpace
    patient: str
    """Pseudonym of the patient (see `identity`)."""
    volume: str
    """Name of the volume within its data set, free of anything that identifies a person."""
    digest: str
    """SHA-256 of the content of k-space and noise covariance, or of all that they are computed from."""
    provenance: Provenance
    acquired: BoolArray
    """(ky,) True for lines that the scanner sampled; zero padding is not data."""
    truth: KSpace | None = None
    """k-space of the same shape that images are scored against, where there is a better one than their own."""
    truth_kind: TruthKind = "noise_free"
    """What `truth` is."""
    read_noise_cov: Callable[[], ComplexArray] | None = field(default=None, repr=False)
    """Gives `noise_cov`; None where nobody measured it."""
    images: Images | None = None
    """What the k-space was made from, where it was made from finished images."""
    timing: Timing = Timing()
    voxel_mm: tuple[float, float, float] | None = None
    """Voxel size along (slice, ky, kx) [mm]."""
    matrix: tuple[int, int] | None = None
    """(ky, kx) of the image after oversampling is cut off; None: that of the k-space."""
    field_strength_t: float | None = None
    """Static field [T]."""
    contrast: str | None = None
    file_name: str | None = field(default=None, repr=False)
    """Name of the file, for masks seeded as fastMRI does; may name a patient and never leaves this process."""
    caveat: str | None = None
    """What limits these data beyond their provenance, for every table that shows them."""
    redistributable: bool = False
    """Whether pictures of these data may be shown to others; False unless the source says so."""

    @property
    def noise_cov(self) -> ComplexArray | None:
        """(coil, coil) noise covariance of the k-space samples, None where nobody measured it."""
        return None if self.read_noise_cov is None else self.read_noise_cov()

    @property
    def field_of_view(self) -> tuple[int, int]:
        """(ky, kx) of the image."""
        return self.matrix or (self.kspace.size("ky"), self.kspace.size("kx"))

    @property
    def slices(self) -> int:
        return self.kspace.size("slice")


class Dataset(Protocol):
    """A source of acquisitions. Opening one refuses bad input; reading k-space waits until it is asked for."""

    name: str

    def acquisitions(self) -> Sequence[Acquisition]:
        """The volumes, in a fixed order.

        Raises:
            HalfscanError: the source is missing or can't be used, named in one line.
        """
        ...


@runtime_checkable
class Splittable(Dataset, Protocol):
    """A data set with patients to train and to choose on, apart from those that are scored."""

    def of_split(self, split: Literal["train", "validation", "test"]) -> Dataset:
        """The same source's patients of one split; no patient is in two."""
        ...


def record_digest(acquisitions: Sequence[Acquisition]) -> str:
    """SHA-256 over what rows and pictures say of these volumes besides their scores."""
    described = [
        [
            one.patient,
            one.volume,
            one.provenance,
            one.contrast,
            one.field_strength_t,
            one.voxel_mm,
            one.redistributable,
            one.caveat,
            # QA hangs on both; the covariance's own values are in the data set's digest.
            None if one.truth is None else one.truth_kind,
            one.read_noise_cov is None,
            astuple(one.timing),
        ]
        for one in acquisitions
    ]
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()


def manifest_digest(acquisitions: Sequence[Acquisition]) -> str:
    """SHA-256 over what can change a reconstruction from these data: content, shape, acquired lines, in order."""
    described: list[dict[str, Any]] = [
        {
            "digest": acquisition.digest,
            "axes": acquisition.kspace.axes,
            "shape": acquisition.kspace.shape,
            "acquired": acquisition.acquired.tolist(),
            "field_of_view": acquisition.field_of_view,
        }
        for acquisition in acquisitions
    ]
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()
