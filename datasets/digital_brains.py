"""Patients made from tissue maps: deformed, with lesions, seen by coils, with noise; their truth is known. See the card."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from ..bench.acquisition import Acquisition, Axis, ComplexArray, KSpace, Provenance
from ..bench.errors import HalfscanError
from ..bench.files import whole_file
from ..bench.identity import public_id
from ..bench.sources import source_hash
from .atlas import SPACING_MM, Atlas, atlas_version, load_atlas
from .coils import ring_sensitivities
from .simulation import FINER, coloured_noise, noise_covariance, render, smooth_phase
from .tissue import TISSUES, Contrast, Tissue, TissueName, signal, tissues_at

Split: TypeAlias = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")

CAVEAT = "all patients are deformed copies of one anatomy, so intervals show how the simulation varies, not how patients do"
FIELD_OF_VIEW_MM = 240.0
_KNOTS = 7
_BONE_MM, _FAT_MM = 7.0, 6.0


@dataclass(frozen=True, kw_only=True)
class Lesion:
    """A round lesion with a soft edge."""

    slice_index: int
    y_mm: float
    x_mm: float
    radius_mm: float


@dataclass(frozen=True, kw_only=True)
class DigitalBrains:
    """Seeded patients of one anatomy, split by patient.

    Raises:
        HalfscanError: a setting out of range.
    """

    split: Split = "test"
    """Which patients `acquisitions` gives."""
    train: int = 20
    """Patients to train on."""
    validation: int = 4
    """Patients to choose on."""
    test: int = 36
    """Patients to test on."""
    contrasts: tuple[Contrast, ...] = ("t2",)
    """A volume each for every patient."""
    slices: int = 2
    """Axial slices a patient, 12 mm apart."""
    matrix: int = 128
    """Samples along ky and kx."""
    coils: int = 8
    field_strength_t: float = 3.0
    snr: float = 50.0
    """Peak of the noise-free root sum of squares over the noise standard deviation of one channel [1]."""
    noise_correlation: float = 0.1
    """Between neighbouring coils [1]."""
    deformation_mm: float = 4.0
    """Standard deviation of the smooth displacement between patients [mm]: a setting, not evidence."""
    tissue_spread: float = 0.05
    """Relative standard deviation of T1, T2, T2* and proton density between patients [1]."""
    lesion_share: float = 0.5
    """Share of patients with lesions [1]."""
    data_seed: int = 0
    cache: str | None = None
    """Folder of rendered k-space; None: the user's cache folder."""
    name: str = "digital_brains"

    def __post_init__(self) -> None:
        object.__setattr__(self, "contrasts", tuple(self.contrasts))  # YAML knows only lists, caches need a tuple
        tissues_at(self.field_strength_t)
        for contrast in self.contrasts:
            signal(tissues_at(self.field_strength_t)["grey"], contrast)
        if self.split not in SPLITS:
            raise HalfscanError(f"dataset.split={self.split} is unknown: use {', '.join(SPLITS)}")
        for setting, low in {
            "train": 0,
            "validation": 0,
            "test": 0,
            "slices": 1,
            "matrix": 16,
            "coils": 1,
            "data_seed": 0,
        }.items():
            if getattr(self, setting) < low:
                raise HalfscanError(f"dataset.{setting}={getattr(self, setting)} must be at least {low}")
        ranges = {"noise_correlation": 0.499, "deformation_mm": 15, "tissue_spread": 0.3, "lesion_share": 1}
        for setting, high in ranges.items():
            if not 0 <= getattr(self, setting) <= high:
                raise HalfscanError(f"dataset.{setting}={getattr(self, setting)} must lie between 0 and {high}")
        if not self.snr > 0 or self.slices > 5 or not self.contrasts or len(set(self.contrasts)) < len(self.contrasts):
            raise HalfscanError(
                f"dataset: snr={self.snr} must be positive, slices={self.slices} at most 5, "
                f"contrasts={list(self.contrasts)} one or several different ones"
            )

    def acquisitions(self) -> Sequence[Acquisition]:
        """The volumes of this split, simulated when they are read.

        Raises:
            HalfscanError: nilearn's templates are missing.
        """
        version = atlas_version()
        return [self._acquisition(patient, contrast, version) for patient in self.patients() for contrast in self.contrasts]

    def of_split(self, split: Split) -> DigitalBrains:
        """The same cohort's patients of another split."""
        return replace(self, split=split)

    def patients(self) -> range:
        """Numbers of the patients in this split. Patient 17 is the same whatever the sizes of the splits after it."""
        first = {"test": 0, "train": self.test, "validation": self.test + self.train}[self.split]
        return range(first, first + getattr(self, self.split))

    def lesions(self, patient: int) -> tuple[Lesion, ...]:
        """Where a patient's lesions are; empty for the healthy ones."""
        rng = self._rng(patient, "lesions")
        if rng.random() >= self.lesion_share:
            return ()
        return tuple(
            Lesion(
                slice_index=int(rng.integers(self.slices)),
                # Periventricular white matter lies in these two bands.
                y_mm=float(rng.uniform(-45, 45)),
                x_mm=float(rng.choice([-1, 1]) * rng.uniform(18, 42)),
                radius_mm=float(rng.uniform(2, 6)),
            )
            for _ in range(int(rng.integers(1, 4)))
        )

    def _rng(self, patient: int, purpose: str) -> np.random.Generator:
        key = hashlib.sha256(f"{self.data_seed} {patient} {purpose}".encode()).digest()
        return np.random.default_rng(np.frombuffer(key, dtype="<u4").tolist())

    def _acquisition(self, patient: int, contrast: Contrast, version: str) -> Acquisition:
        # Cohort sizes, the cache and the name do not change what a patient looks like.
        settings = {
            key: value for key, value in asdict(self).items() if key not in (*SPLITS, "split", "contrasts", "cache", "name")
        }
        content = json.dumps([settings, patient, contrast, version], sort_keys=True)
        digest = hashlib.sha256(content.encode()).hexdigest()
        shape = (self.slices, self.coils, self.matrix, self.matrix)
        axes: tuple[Axis, ...] = ("slice", "coil", "ky", "kx")
        return Acquisition(
            kspace=KSpace(axes=axes, shape=shape, load=lambda part: _noisy(self, patient, contrast, digest)[part]),
            truth=KSpace(axes=axes, shape=shape, load=lambda part: _noise_free(self, patient, contrast, digest)[part]),
            read_noise_cov=lambda: _covariance(self, patient, contrast, digest),
            patient=public_id("digital_brains", f"{self.data_seed} {patient}"),
            volume=f"{patient:04d}-{contrast}",
            digest=digest,
            provenance=Provenance.SIMULATED,
            acquired=np.ones(self.matrix, dtype=bool),
            voxel_mm=(4.0, FIELD_OF_VIEW_MM / self.matrix, FIELD_OF_VIEW_MM / self.matrix),
            field_strength_t=self.field_strength_t,
            contrast=contrast.upper(),
            redistributable=True,
            caveat=CAVEAT,
        )


def patient_tissues(cohort: DigitalBrains, patient: int) -> dict[TissueName, Tissue]:
    """A patient's own relaxation times and proton densities: literature values times log-normal factors."""
    rng = cohort._rng(patient, "tissues")
    own = {}
    for name in TISSUES:
        literature = tissues_at(cohort.field_strength_t)[name]
        factors = np.exp(cohort.tissue_spread * rng.standard_normal(4))
        values = (value * factor for value, factor in zip(asdict(literature).values(), factors, strict=True))
        own[name] = Tissue(*(float(value) for value in values))
    return own


def tissue_fractions(cohort: DigitalBrains, patient: int, index: int, atlas: Atlas) -> dict[TissueName, npt.NDArray[np.float32]]:
    """(y, x) share of each tissue in every pixel of one slice, on the fine grid."""
    from scipy import ndimage

    n = FINER * cohort.matrix
    rng = cohort._rng(patient, "anatomy")
    y_mm, x_mm, z_mm = _deformed_plane(n, _height_mm(cohort, index), cohort.deformation_mm, rng)
    where = np.stack(
        [
            millimetres / np.float32(SPACING_MM) + np.float32(middle)
            for millimetres, middle in zip((z_mm, y_mm, x_mm), atlas.centre, strict=True)
        ]
    )
    sampled = {
        name: ndimage.map_coordinates(volume, where, order=1, mode="nearest", prefilter=False)
        for name, volume in atlas.volumes.items()
    }
    thickness = np.exp(0.1 * rng.standard_normal(2))
    bone_edge = _BONE_MM * thickness[0]
    fat_edge = bone_edge + _FAT_MM * thickness[1]
    outside = sampled.pop("outside_mm")
    fractions: dict[TissueName, npt.NDArray[np.float32]] = {
        "grey": sampled["grey"],
        "white": sampled["white"],
        "csf": sampled["csf"],
        "bone": _ramp(outside - 1.0) * _ramp(bone_edge - outside),
        "fat": _ramp(outside - bone_edge) * _ramp(fat_edge - outside),
        "lesion": np.zeros((n, n), dtype=np.float32),
    }
    grid = (np.arange(n, dtype=np.float32) - n // 2) * np.float32(FIELD_OF_VIEW_MM / n)
    for lesion in cohort.lesions(patient):
        if lesion.slice_index == index:
            distance = np.hypot(grid[:, None] - np.float32(lesion.y_mm), grid[None] - np.float32(lesion.x_mm))
            # A lesion replaces brain; where there is none, it would be a mistake of the simulation.
            share = _ramp(lesion.radius_mm - distance) * (fractions["grey"] + fractions["white"])
            fractions["lesion"] = np.maximum(fractions["lesion"], share)
    for name in ("grey", "white"):
        fractions[name] = fractions[name] * (1 - fractions["lesion"])
    # Blurred maps reach over the edge of the brain and would there share a voxel with bone.
    whole = np.maximum(sum(fractions.values()), np.float32(1))
    return {name: (share / whole).astype(np.float32) for name, share in fractions.items()}


def _height_mm(cohort: DigitalBrains, index: int) -> float:
    """Of a slice over the middle of the stack."""
    return 12.0 * (index - (cohort.slices - 1) / 2)


def _ramp(distance_mm: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """0 to 1 over one millimetre."""
    return np.clip(distance_mm + np.float32(0.5), 0, 1).astype(np.float32)


def _deformed_plane(n: int, z_mm: float, deformation_mm: float, rng: np.random.Generator) -> tuple[npt.NDArray[np.float32], ...]:
    """(y, x) positions in the atlas [mm] of the pixels of an axial plane: (y, x, z) each."""
    from scipy.interpolate import RectBivariateSpline

    half = FIELD_OF_VIEW_MM / 2
    knots = np.linspace(-half, half, _KNOTS)
    grid = (np.arange(n) - n // 2) * FIELD_OF_VIEW_MM / n
    # All slices of a patient share these draws; the displacement changes with z as its two layers mix.
    layers = deformation_mm * rng.standard_normal((2, 3, _KNOTS, _KNOTS))
    weight = 0.5 + 0.5 * np.sin(z_mm / 30)
    field = np.sqrt(weight) * layers[0] + np.sqrt(1 - weight) * layers[1]
    shift = [RectBivariateSpline(knots, knots, one)(grid, grid) for one in field]
    scale = 1 + 0.04 * rng.standard_normal(2)
    angle = np.radians(4 * rng.standard_normal())
    y, x = grid[:, None] * scale[0], grid[None] * scale[1]
    along_y = np.cos(angle) * y - np.sin(angle) * x + shift[0]
    along_x = np.sin(angle) * y + np.cos(angle) * x + shift[1]
    return along_y.astype(np.float32), along_x.astype(np.float32), (z_mm + 10 + shift[2]).astype(np.float32)


def simulate(cohort: DigitalBrains, patient: int, contrast: Contrast) -> ComplexArray:
    """(slice, coil, ky, kx) noise-free k-space of a patient."""
    atlas, tissues = load_atlas(), patient_tissues(cohort, patient)
    signals = {name: np.float32(signal(tissue, contrast)) for name, tissue in tissues.items()}
    rng = cohort._rng(patient, "scan")
    phase = rng.uniform(-0.5, 0.5, 3)
    z_jitter = rng.uniform(-10, 10)
    n = FINER * cohort.matrix
    volume = np.empty((cohort.slices, cohort.coils, cohort.matrix, cohort.matrix), dtype=np.complex64)
    for index in range(cohort.slices):
        fractions = tissue_fractions(cohort, patient, index, atlas)
        image = sum((signals[name] * share for name, share in fractions.items()), np.zeros((n, n), dtype=np.float32))
        extent, z_mm = (FIELD_OF_VIEW_MM, FIELD_OF_VIEW_MM), _height_mm(cohort, index) + z_jitter
        coils = ring_sensitivities(cohort.coils, (n, n), extent, z_mm=z_mm, ring_radius_mm=170.0)
        volume[index] = render(coils * (image * smooth_phase((n, n), *phase)), (cohort.matrix, cohort.matrix))
    return volume


@lru_cache(maxsize=8)
def _noise_free(cohort: DigitalBrains, patient: int, contrast: Contrast, digest: str) -> ComplexArray:
    """From the cache on disk where it is there; a damaged file is made again."""
    # Edited simulation code must not find what the code before it rendered.
    path = _cache_folder(cohort.cache) / f"{digest}-{source_hash(__name__)[:12]}.npy"
    try:
        return np.load(path)
    except (OSError, ValueError, EOFError):
        volume = simulate(cohort, patient, contrast)
    try:
        with whole_file(path) as draft, draft.open("wb") as stream:
            np.save(stream, volume)
    except OSError as error:
        raise HalfscanError(f"can't write {path} ({error.strerror}): name another folder with dataset.cache") from error
    return volume


def _covariance(cohort: DigitalBrains, patient: int, contrast: Contrast, digest: str) -> ComplexArray:
    """(coil, coil) of the noise in every sample."""
    return noise_covariance(_noise_free(cohort, patient, contrast, digest), cohort.snr, cohort.noise_correlation)


@lru_cache(maxsize=8)
def _noisy(cohort: DigitalBrains, patient: int, contrast: Contrast, digest: str) -> ComplexArray:
    clean = _noise_free(cohort, patient, contrast, digest)
    covariance = _covariance(cohort, patient, contrast, digest)
    return clean + coloured_noise(covariance, clean.shape, cohort._rng(patient, f"noise {contrast}"))


def _cache_folder(configured: str | None) -> Path:
    base = configured or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "halfscan"
    return Path(base).expanduser() / "digital_brains"
