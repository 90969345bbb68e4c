"""Patients to learn reconstruction from: many anatomies, contrasts, coils, matrices and noise levels; no two scans alike."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache

import numpy as np

from ..bench.acquisition import Acquisition, Axis, ComplexArray, KSpace, Provenance
from ..bench.errors import HalfscanError
from ..bench.identity import public_id
from .atlas import atlas_version, load_atlas
from .coils import ring_sensitivities
from .digital_brains import CAVEAT, SPLITS, Split
from .simulation import FINER, coloured_noise, noise_covariance, render, smooth_phase
from .varied_anatomy import head, leaves, off_resonance, smooth_field

_EDITION = 2
"""Goes up whenever the same settings give other patients: their digests must differ, too."""
_SCANNERS = ((1, 128, 128), (8, 128, 128), (12, 128, 128), (16, 128, 128), (8, 160, 128), (12, 128, 160))
"""(coils, ky, kx) that are drawn from; a batch holds one of them."""
_SHARES = (0.1, 0.25, 0.2, 0.25, 0.1, 0.1)
"""How often each is drawn."""
_OFF_RESONANT = 0.7
"""Share of slices whose phase is not smooth, as a gradient echo's is not near air."""


@dataclass(frozen=True, kw_only=True)
class VariedBrains:
    """Seeded patients for training, split by patient.

    What a network must not learn by heart is drawn anew for every patient: plane, deformation, contrast, fat, vessels, phase, the
    number, size and place of the coils, matrix, noise and its correlation, and whether the noise was measured. A share of the
    slices shows no head at all.

    Raises:
        HalfscanError: a setting out of range.
    """

    split: Split = "train"
    """Which patients `acquisitions` gives."""
    train: int = 1200
    """Patients to train on."""
    validation: int = 40
    """Patients to choose on."""
    test: int = 0
    """Patients to test on."""
    slices: int = 4
    """Slices a patient: planes of one contrast, seen by the same coils."""
    generic_share: float = 0.25
    """Share of slices that are leaves and not heads [1]."""
    snr: tuple[float, float] = (20.0, 1000.0)
    """Range of the peak of the root sum of squares over the noise of one channel, drawn evenly on a logarithmic scale [1]."""
    single_coil_snr: tuple[float, float] = (8.0, 100.0)
    """The same for scanners of one coil, which are those of low field [1]."""
    data_seed: int = 0
    name: str = "varied_brains"

    def __post_init__(self) -> None:
        for ranged in ("snr", "single_coil_snr"):
            object.__setattr__(self, ranged, tuple(getattr(self, ranged)))
            bounds = getattr(self, ranged)
            if len(bounds) != 2 or not 0 < bounds[0] <= bounds[1] < float("inf"):
                raise HalfscanError(f"dataset.{ranged}={list(bounds)} must be a range of two positive numbers")
        if self.split not in SPLITS:
            raise HalfscanError(f"dataset.split={self.split} is unknown: use {', '.join(SPLITS)}")
        for setting, low in {"train": 0, "validation": 0, "test": 0, "slices": 1, "data_seed": 0}.items():
            if getattr(self, setting) < low:
                raise HalfscanError(f"dataset.{setting}={getattr(self, setting)} must be at least {low}")
        if not 0 <= self.generic_share <= 1:
            raise HalfscanError(f"dataset.generic_share={self.generic_share} must lie between 0 and 1")

    def acquisitions(self) -> Sequence[Acquisition]:
        """The volumes of this split, simulated when they are read.

        Raises:
            HalfscanError: nilearn's templates are missing.
        """
        version = atlas_version()
        first = {"test": 0, "train": self.test, "validation": self.test + self.train}[self.split]
        return [self._acquisition(patient, version) for patient in range(first, first + getattr(self, self.split))]

    def of_split(self, split: Split) -> VariedBrains:
        """The same cohort's patients of another split."""
        return replace(self, split=split)

    def _rng(self, patient: int, purpose: str) -> np.random.Generator:
        key = hashlib.sha256(f"{self.data_seed} {patient} {purpose}".encode()).digest()
        return np.random.default_rng(np.frombuffer(key, dtype="<u4").tolist())

    def _acquisition(self, patient: int, version: str) -> Acquisition:
        scanner = self._rng(patient, "scanner")
        coils, height, readout = _SCANNERS[int(scanner.choice(len(_SCANNERS), p=_SHARES))]
        measured = bool(scanner.random() < 0.5)
        settings = {key: value for key, value in asdict(self).items() if key not in (*SPLITS, "split", "name")}
        content = json.dumps([_EDITION, settings, patient, version, coils, height, readout], sort_keys=True)
        digest = hashlib.sha256(content.encode()).hexdigest()
        shape = (self.slices, coils, height, readout)
        axes: tuple[Axis, ...] = ("slice", "coil", "ky", "kx")
        return Acquisition(
            kspace=KSpace(axes=axes, shape=shape, load=lambda part: _scan(self, patient, shape)[1][part]),
            truth=KSpace(axes=axes, shape=shape, load=lambda part: _scan(self, patient, shape)[0][part]),
            read_noise_cov=(lambda: _scan(self, patient, shape)[2]) if measured else None,
            patient=public_id("varied_brains", f"{self.data_seed} {patient}"),
            volume=f"{patient:05d}",
            digest=digest,
            provenance=Provenance.SIMULATED,
            acquired=np.ones(height, dtype=bool),
            contrast="random",
            redistributable=True,
            caveat=CAVEAT,
        )


@lru_cache(maxsize=2)
def _scan(cohort: VariedBrains, patient: int, shape: tuple[int, ...]) -> tuple[ComplexArray, ComplexArray, ComplexArray]:
    """K-space without and with noise (slice, coil, ky, kx), and the noise's covariance (coil, coil)."""
    slices, coils, *matrix = shape
    rng = cohort._rng(patient, "scan")
    longer = FINER * max(matrix)
    extent = float(rng.uniform(190, 270))
    gains = np.exp(0.2 * rng.standard_normal(coils) + 1j * rng.uniform(-np.pi, np.pi, coils))
    ring, loop, turn = rng.uniform(125, 190), rng.uniform(35, 80), rng.uniform(0, 2 * np.pi)
    phase = rng.uniform(-1, 1, 3)
    clean = np.empty(shape, dtype=np.complex64)
    for index in range(slices):
        own = cohort._rng(patient, f"slice {index}")
        generic = own.random() < cohort.generic_share
        picture = leaves(longer, own) if generic else head(longer, extent, load_atlas(), own)
        field = own.uniform(0, 1) * smooth_field(longer, own.uniform(0.5, 3), own)
        if own.random() < _OFF_RESONANT:
            field = field + off_resonance(longer, own)
        wave = smooth_phase(picture.shape, *phase) * np.exp(1j * field)
        maps = np.ones((1, *picture.shape), np.complex64)
        if coils > 1:
            maps = ring_sensitivities(
                coils,
                picture.shape,
                (extent, extent),
                z_mm=float(rng.uniform(-40, 40)),
                ring_radius_mm=ring,
                loop_radius_mm=loop,
                first_angle=turn,
            )
        images = (maps * gains[:, None, None].astype(np.complex64)) * (picture * wave)
        clean[index] = render(images.astype(np.complex64), (matrix[0], matrix[1]))
    low, high = cohort.snr if coils > 1 else cohort.single_coil_snr
    snr = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    covariance = noise_covariance(clean, snr, float(rng.uniform(0, 0.3)) if coils > 1 else 0.0)
    return clean, clean + coloured_noise(covariance, clean.shape, rng), covariance
