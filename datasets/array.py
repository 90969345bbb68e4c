"""k-space as a plain array (.npz, .npy, .h5) with a JSON sidecar that says what its axes are. See `array.md`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..bench.acquisition import AXES, Acquisition, Axis, ComplexArray, KSpace, Timing
from ..bench.errors import HalfscanError
from . import sidecar as beside
from .hdf5 import check_file, names
from .header import read_header
from .noise import checked_covariance, noise_covariance
from .sidecar import Sidecar
from .source import Source, check_provenance, open_all, pseudonyms, readable, unchanged
from .survey import survey
from .timing import first_stated, sidecar_timing

SUFFIXES = (".npz", ".npy", ".h5", ".hdf5")
KEY = "kspace"
HEADER = "ismrmrd_header"
"""Data set of a fastMRI file that holds the ISMRMRD header."""
NOISE, NOISE_COV = "noise", "noise_cov"
"""Arrays beside the k-space: (coil, sample) of noise alone, or (coil, coil) its covariance."""
LEGACY_AXES = {"shape_slices_coils_ky_kx": ("slice", "coil", "ky", "kx")}
"""Sidecar keys that state shape and axes at once."""


@dataclass(frozen=True, kw_only=True)
class Array(Source):
    """One file, or a folder of files, a volume each.

    Raises:
        HalfscanError: settings that can't be.
    """

    axes: tuple[str, ...] | None = None
    """Overrides the sidecar's axes."""
    provenance: str | None = None
    """Overrides the sidecar's provenance."""
    name: str = "array"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_provenance(self.provenance)

    def recognises(self, path: Path) -> bool:
        if path.suffix.lower() in (".npz", ".npy"):
            return path.is_file()
        found = names(path, SUFFIXES)
        return bool(found) and HEADER not in found and not any("/" in name for name in found)

    def volumes(self) -> Sequence[Acquisition]:
        """All volumes, by file name.

        Raises:
            HalfscanError: naming every file that can't be used.
        """
        return open_all(self.files(SUFFIXES), self._open)

    def _open(self, file: Path) -> Iterator[Acquisition]:
        sidecar = beside.read_sidecar(file)
        content = _inspect(file)
        with beside.stated_values(file):
            axes = self._axes(file, sidecar, content.shape)
            beside.refuse_undersampled(file, sidecar)
        order = [axes.index(axis) for axis in AXES if axis in axes]
        named: tuple[Axis, ...] = tuple(axis for axis in AXES if axis in axes)
        shape = tuple(content.shape[index] for index in order)
        kspace = self.central(KSpace(axes=named, shape=shape, load=lambda part: content.read(file, order, part)))
        found = survey([file], kspace, (axes, self.max_slices))
        noise_cov = _noise_cov(file, kspace.size("coil"))
        known = f"{found.digest} {named} {kspace.shape}"
        if noise_cov is not None:
            known += f" {hashlib.sha256(noise_cov.tobytes()).hexdigest()}"
        with beside.stated_values(file):
            stated = self.patient_in(file) or str(sidecar.get("patient") or file.stem)
            patient, volume = pseudonyms(stated, file.stem, beside.published_as(sidecar))
            yield Acquisition(
                kspace=kspace,
                patient=patient,
                volume=volume,
                digest=hashlib.sha256(known.encode()).hexdigest(),
                provenance=beside.stated_provenance(file, self.provenance, sidecar),
                acquired=found.acquired(str(file)),
                read_noise_cov=None if noise_cov is None else lambda: noise_cov,
                timing=_timing(file, sidecar),
                voxel_mm=beside.voxel_mm(sidecar, kspace),
                field_strength_t=beside.number(sidecar, "field_strength_T"),
                contrast=beside.contrast(sidecar.get("contrast")),
                file_name=file.name,
                redistributable=beside.redistributable(sidecar),
            )

    def _axes(self, file: Path, sidecar: Sidecar, shape: tuple[int, ...]) -> tuple[str, ...]:
        stated = self.axes or sidecar.get("axes") or next((LEGACY_AXES[key] for key in LEGACY_AXES if key in sidecar), None)
        if stated is None:
            raise HalfscanError(
                f"{file}: nothing says what its axes are: write {file.with_suffix('.json').name} with "
                '{"axes": ["slice", "coil", "ky", "kx"]}, or pass dataset.axes'
            )
        axes = tuple(str(axis) for axis in stated)
        if unknown := [axis for axis in axes if axis not in AXES]:
            raise HalfscanError(f"{file}: unknown axis {unknown[0]!r}: the axes are {', '.join(AXES)}")
        if len(axes) != len(shape) or len(set(axes)) < len(axes):
            raise HalfscanError(f"{file}: an array of shape {shape} does not fit the axes {', '.join(axes)}")
        if not {"ky", "kx"} <= set(axes):
            raise HalfscanError(f"{file}: the axes {', '.join(axes)} lack ky or kx: only Cartesian 2D k-space is read")
        if further := [axis for axis in axes if axis not in ("slice", "coil", "ky", "kx")]:
            raise HalfscanError(f"{file}: the axis {further[0]} is not handled yet: only slice, coil, ky, kx are")
        for key in LEGACY_AXES:
            if key in sidecar and not self.axes and tuple(sidecar[key]) != shape:
                raise HalfscanError(f"{file}: the sidecar states the shape {sidecar[key]} and the array has {list(shape)}")
        return axes


@dataclass(frozen=True)
class _Content:
    """An array in a file: looked at, not yet read."""

    key: str
    shape: tuple[int, ...]
    mtime_ns: int

    def read(self, file: Path, order: Sequence[int], part: tuple[int | slice, ...]) -> ComplexArray:
        """A part of the array, its axes put in `order`."""
        unchanged(file, self.mtime_ns)
        stored = [part[order.index(axis)] for axis in range(len(order))]
        left = [axis for axis in order if not isinstance(stored[axis], int)]
        with readable(file, file.suffix):
            if file.suffix.lower() in (".npy", ".npz"):
                array = _load(file, self.key, self.mtime_ns)[tuple(stored)]
            else:
                import h5py

                with h5py.File(file, "r") as container:
                    array = container[self.key][tuple(stored)]
            return np.asarray(array).transpose([sorted(left).index(axis) for axis in left]).astype(np.complex64, copy=False)


def _inspect(file: Path) -> _Content:
    """Refuses what can be no k-space by its kind and shape alone."""
    mtime_ns = file.stat().st_mtime_ns
    with readable(file, file.suffix):
        if file.suffix.lower() in (".npy", ".npz"):
            key, found = _read(file)
            kind, shape = found.dtype, found.shape
        else:
            import h5py

            check_file(file)
            with h5py.File(file, "r") as container:
                key = _choose(file, [name for name, item in container.items() if isinstance(item, h5py.Dataset)])
                kind, shape = container[key].dtype, container[key].shape
    if kind.kind != "c":
        raise HalfscanError(f"{file}: k-space must be complex and this is {kind}; combine real and imaginary parts first")
    if 0 in shape:
        raise HalfscanError(f"{file}: the array is empty, shape {shape}")
    return _Content(key=key, shape=shape, mtime_ns=mtime_ns)


@lru_cache(maxsize=1)
def _load(file: Path, key: str, mtime_ns: int) -> npt.NDArray[np.complexfloating]:
    """The whole array; .npz can't be read in parts. Only the latest volume stays in memory."""
    return _read(file, key)[1]


def _read(file: Path, key: str | None = None) -> tuple[str, npt.NDArray[Any]]:
    # Opened here: on a damaged archive numpy would leave its own handle open.
    with file.open("rb") as stream:
        loaded = np.load(stream, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return KEY, loaded
        with loaded:
            chosen = key or _choose(file, list(loaded.files))
            return chosen, loaded[chosen]


def _read_noise(file: Path) -> tuple[str, npt.NDArray[Any]] | None:
    """What the file holds of noise, and under which name."""

    def first(holds: Mapping[str, Any]) -> tuple[str, npt.NDArray[Any]] | None:
        return next(((name, np.asarray(holds[name])) for name in (NOISE_COV, NOISE) if name in holds), None)

    with readable(file, file.suffix):
        if file.suffix.lower() == ".npy":
            return None
        if file.suffix.lower() == ".npz":
            with file.open("rb") as stream, np.load(stream, allow_pickle=False) as loaded:
                return first(loaded)
        import h5py

        with h5py.File(file, "r") as container:
            return first(container)


def _noise_cov(file: Path, coils: int) -> ComplexArray | None:
    """(coil, coil) covariance of the k-space samples, None where the file holds no noise."""
    if (found := _read_noise(file)) is None:
        return None
    name, stated = found
    if stated.dtype.kind not in ("fc" if name == NOISE_COV else "c") or not stated.size or not np.isfinite(stated).all():
        raise HalfscanError(f"{file}: {name} must be of finite complex numbers; mend it, or leave it out")
    if stated.ndim != 2 or stated.shape[0] != coils or (name == NOISE_COV and stated.shape[1] != coils):
        wanted = f"({coils}, {coils})" if name == NOISE_COV else f"({coils}, samples)"
        raise HalfscanError(f"{file}: {name} has the shape {stated.shape} and must have {wanted}, coils first")
    values = stated.astype(np.complex128)
    return checked_covariance(file, name, values if name == NOISE_COV else noise_covariance(values))


def _choose(file: Path, names: list[str]) -> str:
    if KEY in names:
        return KEY
    if len(names) == 1:
        return names[0]
    raise HalfscanError(f"{file}: no array called {KEY!r}; it holds {', '.join(names) or 'none'}")


def _timing(file: Path, sidecar: Sidecar) -> Timing:
    """The sidecar's timing, and the ISMRMRD header's where the sidecar is silent and the file carries one."""
    stated = sidecar_timing(sidecar)
    if file.suffix.lower() in (".npy", ".npz"):
        return stated
    import h5py

    with readable(file, file.suffix), h5py.File(file, "r") as container:
        return first_stated(stated, read_header(container[HEADER][()]).timing) if HEADER in container else stated
