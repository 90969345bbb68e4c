"""k-space as a plain array (.npz, .npy, .h5) with a JSON sidecar that says what its axes are. See `array.md`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..bench.acquisition import AXES, Acquisition, Axis, BoolArray, ComplexArray, KSpace, Provenance, Timing
from ..bench.errors import HalfscanError, one_line
from ..bench.identity import private_id, public_id
from .timing import first_stated, header_timing, sidecar_timing

SUFFIXES = (".npz", ".npy", ".h5", ".hdf5")
KEY = "kspace"
HEADER = "ismrmrd_header"
"""Data set of a fastMRI file that holds the ISMRMRD header."""
NOISE, NOISE_COV = "noise", "noise_cov"
"""Arrays beside the k-space: (coil, sample) of noise alone, or (coil, coil) its covariance."""
OUR_FFT = "image = fftshift(ifft2(ifftshift(k), norm=ortho))"
LEGACY_AXES = {"shape_slices_coils_ky_kx": ("slice", "coil", "ky", "kx")}
"""Sidecar keys that state shape and axes at once."""
RAW_SUFFIXES = (".dat", ".7", ".lab", ".raw")
"""What scanners themselves write: Siemens twix, GE P-file, Philips lab/raw."""
OPEN_LICENCE = re.compile(r"(cc0(-1\.0)?|cc-by(-sa)?(-\d\.\d)?|mit|bsd-[23]-clause|apache-2\.0)(?![\w-])", re.IGNORECASE)
"""Licences that let pictures be shown; CC-BY-NC and -ND do not pass."""


@dataclass(frozen=True, kw_only=True)
class Array:
    """One file, or a folder of files, a volume each.

    Raises:
        HalfscanError: settings that can't be.
    """

    path: str
    axes: tuple[str, ...] | None = None
    """Overrides the sidecar's axes."""
    provenance: str | None = None
    """Overrides the sidecar's provenance."""
    patient_pattern: str | None = None
    """Regular expression whose first group finds the patient in a file name; None: the sidecar's `patient`, or the
    whole name, a patient a file."""
    max_slices: int | None = None
    """Only this many central slices of each volume."""
    name: str = "array"

    def __post_init__(self) -> None:
        if self.provenance is not None and self.provenance not in set(Provenance):
            raise HalfscanError(f"dataset.provenance={self.provenance} is unknown: use {', '.join(Provenance)}")
        if self.max_slices is not None and self.max_slices < 1:
            raise HalfscanError(f"dataset.max_slices={self.max_slices} must be at least 1")
        if self.patient_pattern is not None:
            try:
                groups = re.compile(self.patient_pattern).groups
            except re.error as error:
                raise HalfscanError(f"dataset.patient_pattern={self.patient_pattern!r}: {error}") from error
            if groups < 1:
                raise HalfscanError(f"dataset.patient_pattern={self.patient_pattern!r} needs a group: (...)")

    def acquisitions(self) -> Sequence[Acquisition]:
        """All volumes, by file name.

        Raises:
            HalfscanError: naming every file that can't be used.
        """
        opened: list[Acquisition] = []
        refused: list[str] = []
        for file in self._files():
            try:
                opened.append(self._open(file))
            except HalfscanError as error:
                refused.append(one_line(error))
            except (TypeError, ValueError, AttributeError, OverflowError) as error:
                # Any value of a wrong type in a sidecar ends here; the array itself was read by then.
                refused.append(f"{file.with_suffix('.json')}: a value is of the wrong kind ({one_line(error)}), see array.md")
        if refused:
            raise HalfscanError("; ".join(refused))
        return opened

    def _files(self) -> list[Path]:
        path = Path(self.path).expanduser()
        if path.is_dir():
            files = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES)
            if not files:
                raise HalfscanError(f"dataset.path={self.path}: no {', '.join(SUFFIXES)} file in this folder")
            return files
        if not path.exists():
            raise HalfscanError(f"dataset.path={self.path}: no such file or folder")
        if path.suffix not in SUFFIXES:
            raise HalfscanError(f"dataset.path={self.path}: {path.suffix or 'no suffix'} is not one of {', '.join(SUFFIXES)}")
        return [path]

    def _open(self, file: Path) -> Acquisition:
        sidecar = _read_sidecar(file)
        stat = file.stat()
        content = _inspect(file, stat.st_size, stat.st_mtime_ns)
        axes = self._axes(file, sidecar, content.shape)
        order = [axes.index(axis) for axis in AXES if axis in axes]
        shape = tuple(content.shape[index] for index in order)
        named: tuple[Axis, ...] = tuple(axis for axis in AXES if axis in axes)
        first, slices = self._slices(shape[named.index("slice")] if "slice" in named else 1)
        if "slice" in named:
            shape = tuple(slices if axis == "slice" else size for axis, size in zip(named, shape, strict=True))

        def load(part: tuple[int | slice, ...]) -> ComplexArray:
            whole = _load(file, content.key, content.mtime_ns).transpose(order)
            if "slice" in named:
                whole = whole.take(range(first, first + slices), axis=named.index("slice"))
            return whole[part]

        kspace = KSpace(axes=named, shape=shape, load=load)
        noise_cov = _noise_cov(file, kspace.size("coil"))
        known = f"{content.digest} {axes} {first} {slices}"
        if noise_cov is not None:
            known += f" {hashlib.sha256(noise_cov.tobytes()).hexdigest()}"
        patient, volume = self._names(file, sidecar)
        if sidecar.get("fully_sampled") is False:
            raise HalfscanError(f"{file}: its sidecar says it is undersampled: there is no truth to score against")
        return Acquisition(
            kspace=kspace,
            patient=patient,
            volume=volume,
            digest=hashlib.sha256(known.encode()).hexdigest(),
            provenance=self._provenance(file, sidecar),
            acquired=_acquired_lines(file, kspace),
            read_noise_cov=None if noise_cov is None else lambda: noise_cov,
            timing=_timing(file, sidecar),
            voxel_mm=_voxel(sidecar, kspace),
            field_strength_t=_number(sidecar.get("field_strength_T")),
            contrast=_contrast(sidecar.get("contrast")),
            file_name=file.name,
            redistributable=_redistributable(sidecar),
        )

    def _axes(self, file: Path, sidecar: dict[str, Any], shape: tuple[int, ...]) -> tuple[str, ...]:
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

    def _slices(self, available: int) -> tuple[int, int]:
        count = min(self.max_slices or available, available)
        return (available - count) // 2, count

    def _names(self, file: Path, sidecar: dict[str, Any]) -> tuple[str, str]:
        """Patient and volume, free of anything that identifies a person."""
        stated = str(sidecar.get("patient") or file.stem)
        if self.patient_pattern is not None:
            found = re.search(self.patient_pattern, file.stem)
            if found is None or found.group(1) is None:
                raise HalfscanError(f"{file}: dataset.patient_pattern={self.patient_pattern!r} finds no patient in its name")
            stated = found.group(1)
        if published := sidecar.get("source_repo") or sidecar.get("public_dataset"):
            return public_id(str(published), stated), file.stem
        return private_id(stated), private_id(file.stem)

    def _provenance(self, file: Path, sidecar: dict[str, Any]) -> Provenance:
        """Stated, else measured where the sidecar names the scanner's own raw file, else processed: the cautious label."""
        stated = self.provenance or sidecar.get("provenance")
        if stated is not None:
            if stated not in set(Provenance):
                raise HalfscanError(f"{file}: the sidecar's provenance {stated!r} is not one of {', '.join(Provenance)}")
            return Provenance(stated)
        sources = sidecar.get("source_paths") or []
        raw = bool(sources) and all(str(source).endswith(RAW_SUFFIXES) for source in sources)
        return Provenance.MEASURED if raw else Provenance.PROCESSED


@dataclass(frozen=True)
class _Content:
    key: str
    shape: tuple[int, ...]
    digest: str
    mtime_ns: int


@lru_cache(maxsize=4096)
def _inspect(file: Path, size: int, mtime_ns: int) -> _Content:
    """Reads a file once: refuses what is no k-space, hashes what is. Cached by size and time of change."""
    key, array = _read(file)
    if array.dtype.kind != "c":
        raise HalfscanError(f"{file}: k-space must be complex and this is {array.dtype}; combine real and imaginary parts first")
    if array.size == 0:
        raise HalfscanError(f"{file}: the array is empty, shape {array.shape}")
    if not np.isfinite(array).all():
        raise HalfscanError(f"{file}: k-space holds NaN or infinity; mend or leave out this file")
    if not array.any():
        raise HalfscanError(f"{file}: k-space is all zeros; leave out this file")
    digest = hashlib.sha256(np.ascontiguousarray(array, dtype=np.complex64).tobytes()).hexdigest()
    return _Content(key=key, shape=array.shape, digest=digest, mtime_ns=mtime_ns)


@lru_cache(maxsize=1)
def _load(file: Path, key: str, mtime_ns: int) -> npt.NDArray[np.complexfloating]:
    """The whole array; .npz can't be read in parts. Only the latest volume stays in memory."""
    if not file.exists() or file.stat().st_mtime_ns != mtime_ns:
        raise HalfscanError(f"{file}: changed or vanished since it was checked; start the sweep again")
    return _read(file, key)[1]


def _read(file: Path, key: str | None = None) -> tuple[str, npt.NDArray[Any]]:
    with _readable(file):
        if file.suffix in (".npy", ".npz"):
            # Opened here: on a damaged archive numpy would leave its own handle open.
            with file.open("rb") as stream:
                loaded = np.load(stream, allow_pickle=False)
                if file.suffix == ".npy":
                    return KEY, loaded
                with loaded:
                    chosen = key or _choose(file, list(loaded.files))
                    return chosen, loaded[chosen]
        import h5py

        with h5py.File(file, "r") as container:
            chosen = key or _choose(file, [name for name, item in container.items() if isinstance(item, h5py.Dataset)])
            return chosen, np.asarray(container[chosen])


def _read_noise(file: Path) -> tuple[str, npt.NDArray[Any]] | None:
    """What the file holds of noise, and under which name."""
    with _readable(file):
        if file.suffix == ".npy":
            return None
        if file.suffix == ".npz":
            with file.open("rb") as stream, np.load(stream, allow_pickle=False) as loaded:
                return next(((name, loaded[name]) for name in (NOISE_COV, NOISE) if name in loaded), None)
        import h5py

        with h5py.File(file, "r") as container:
            return next(((name, np.asarray(container[name])) for name in (NOISE_COV, NOISE) if name in container), None)


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
    # Of a receiver's noise the mean is zero: nothing is subtracted.
    covariance = values if name == NOISE_COV else values @ values.conj().T / values.shape[1]
    power = np.linalg.eigvalsh(covariance)
    symmetric = np.allclose(covariance, covariance.conj().T, rtol=1e-4, atol=1e-6 * abs(power[-1]))
    if not symmetric or power[0] <= 1e-7 * power[-1]:
        raise HalfscanError(
            f"{file}: the covariance of {name} is not Hermitian and positive definite: some coils carry no noise of their own"
        )
    return covariance.astype(np.complex64)


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    try:
        yield
    except HalfscanError:
        raise
    except Exception as error:
        # Damaged archives raise whatever their decoder raises: zipfile, zlib, struct and h5py errors alike.
        raise HalfscanError(f"{file}: can't be read as {file.suffix} ({one_line(error)}); is it whole?") from error


def _choose(file: Path, names: list[str]) -> str:
    if KEY in names:
        return KEY
    if len(names) == 1:
        return names[0]
    raise HalfscanError(f"{file}: no array called {KEY!r}; it holds {', '.join(names) or 'none'}")


def _read_sidecar(file: Path) -> dict[str, Any]:
    path = file.with_suffix(".json")
    if not path.exists():
        return {}
    try:
        sidecar = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise HalfscanError(f"{path}: the sidecar is no readable JSON ({one_line(error)})") from error
    if not isinstance(sidecar, dict):
        raise HalfscanError(f"{path}: the sidecar must be a JSON object")
    convention = sidecar.get("fft_convention")
    if convention is not None and convention != OUR_FFT:
        raise HalfscanError(f'{path}: fft_convention must be "{OUR_FFT}"; convert the k-space first')
    return sidecar


def _acquired_lines(file: Path, kspace: KSpace) -> BoolArray:
    """(ky,) True within the block of lines that hold samples; zero padding around it is not data."""
    magnitude = np.abs(kspace.read())
    sampled = magnitude.max(axis=tuple(index for index, axis in enumerate(kspace.axes) if axis != "ky")) > 0
    lines = np.flatnonzero(sampled)
    if lines.size == 0:
        raise HalfscanError(f"{file}: the chosen slices are all zeros; leave out this file")
    inside = np.zeros(sampled.size, dtype=bool)
    inside[lines[0] : lines[-1] + 1] = True
    if not sampled[inside].all():
        missing = int((~sampled[inside]).sum())
        raise HalfscanError(f"{file}: {missing} lines between sampled ones are empty: undersampled k-space has no truth")
    return inside


def _number(value: object) -> float | None:
    """A number, or None: a string in a sidecar is a note, not a value."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _timing(file: Path, sidecar: dict[str, Any]) -> Timing:
    """The sidecar's timing, and the ISMRMRD header's where the sidecar is silent and the file carries one."""
    stated = sidecar_timing(sidecar)
    if file.suffix in (".npy", ".npz"):
        return stated
    import h5py

    with _readable(file), h5py.File(file, "r") as container:
        return first_stated(stated, header_timing(container[HEADER][()])) if HEADER in container else stated


def _voxel(sidecar: dict[str, Any], kspace: KSpace) -> tuple[float, float, float] | None:
    if "voxel_mm" in sidecar:
        slice_mm, y_mm, x_mm = (float(value) for value in sidecar["voxel_mm"])
        return slice_mm, y_mm, x_mm
    thickness, extent = _number(sidecar.get("slice_mm")), sidecar.get("fov_mm")
    if thickness is None or not isinstance(extent, list) or len(extent) != 2:
        return None
    return thickness, extent[0] / kspace.size("ky"), extent[1] / kspace.size("kx")


def _redistributable(sidecar: dict[str, Any]) -> bool:
    stated = sidecar.get("redistributable")
    if isinstance(stated, bool):
        return stated
    return OPEN_LICENCE.match(str(sidecar.get("license", ""))) is not None


def _contrast(value: object) -> str | None:
    """A short name such as T2-FLAIR; free text might name a patient, and it would leave this machine."""
    if value is None:
        return None
    if not isinstance(value, str) or not re.fullmatch(r"[\w*+-]{1,16}", value):
        raise ValueError("contrast must be one short word such as T2-FLAIR")
    return value
