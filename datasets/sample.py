"""A small built-in sample: k-space simulated from the real volume that nibabel carries. See `sample.md`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ..bench.acquisition import Acquisition, ComplexArray, KSpace, Provenance
from ..bench.errors import HalfscanError
from ..bench.identity import public_id
from .coils import ring_sensitivities
from .simulation import FINER, coloured_noise, noise_covariance, render, smooth_phase


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One person's EPI volume seen by simulated coils, with noise of a stated level.

    Raises:
        HalfscanError: a setting out of range.
    """

    coils: int = 8
    snr: float = 50.0
    """Peak of the noise-free root sum of squares over the noise standard deviation of one channel [1]."""
    noise_correlation: float = 0.1
    """Between neighbouring coils [1]."""
    slices: int = 6
    """Central slices."""
    data_seed: int = 0
    """Of the noise."""
    name: str = "sample"

    def __post_init__(self) -> None:
        if self.coils < 1 or self.slices < 1 or self.data_seed < 0:
            raise HalfscanError(
                f"dataset: coils={self.coils} and slices={self.slices} must be at least 1, data_seed={self.data_seed} 0"
            )
        if not self.snr > 0 or not 0 <= self.noise_correlation < 0.5:
            raise HalfscanError(
                f"dataset.snr={self.snr} must be positive and dataset.noise_correlation={self.noise_correlation} lie in [0, 0.5)"
            )

    def acquisitions(self) -> Sequence[Acquisition]:
        """The one volume.

        Raises:
            HalfscanError: nibabel came without its sample data, or has fewer slices.
        """
        path = _volume_path()
        settings = {key: value for key, value in asdict(self).items() if key != "name"}
        content = hashlib.sha256(path.read_bytes()).hexdigest() + json.dumps(settings, sort_keys=True)
        volume = _Volume(self, path)
        shape = (self.slices, self.coils, *volume.matrix)
        if self.slices > volume.available:
            raise HalfscanError(f"dataset.slices={self.slices}: the sample has {volume.available}")
        return [
            Acquisition(
                kspace=KSpace(axes=("slice", "coil", "ky", "kx"), shape=shape, load=lambda part: volume.noisy[part]),
                truth=KSpace(axes=("slice", "coil", "ky", "kx"), shape=shape, load=lambda part: volume.noise_free[part]),
                patient=public_id("nibabel", path.stem),
                volume="example4d",
                digest=hashlib.sha256(content.encode()).hexdigest(),
                provenance=Provenance.SIMULATED,
                acquired=np.ones(volume.matrix[0], dtype=bool),
                read_noise_cov=lambda: volume.noise_cov,
                voxel_mm=volume.voxel_mm,
                contrast="EPI",
                redistributable=True,
            )
        ]


def _volume_path() -> Path:
    import nibabel

    path = Path(nibabel.__file__).parent / "tests" / "data" / "example4d.nii.gz"
    if not path.exists():
        raise HalfscanError(
            f"dataset=sample: this nibabel {nibabel.__version__} came without tests/data/example4d.nii.gz "
            "(some distributions strip it): pip install --force-reinstall nibabel, or bring data with dataset=array"
        )
    return path


class _Volume:
    """The simulation, done once when the first k-space is asked for."""

    def __init__(self, settings: Sample, path: Path) -> None:
        import nibabel

        self._settings = settings
        self._image = nibabel.load(path)
        x, y, self.available = self._image.shape[:3]
        self.matrix = (int(x), int(y))
        zooms = [float(zoom) for zoom in self._image.header.get_zooms()[:3]]
        self.voxel_mm = (zooms[2], zooms[0], zooms[1])

    @cached_property
    def noise_free(self) -> ComplexArray:
        """(slice, coil, ky, kx)"""
        from scipy import ndimage

        first = (self.available - self._settings.slices) // 2
        chosen = slice(first, first + self._settings.slices)
        anatomy = np.asarray(self._image.dataobj[:, :, chosen, 0], dtype=np.float64)
        anatomy = np.moveaxis(anatomy / anatomy.max(), -1, 0)
        kspace = np.empty((self._settings.slices, self._settings.coils, *self.matrix), dtype=np.complex64)
        extent = (self.matrix[0] * self.voxel_mm[1], self.matrix[1] * self.voxel_mm[2])
        for index, plane in enumerate(anatomy):
            fine = ndimage.zoom(plane, FINER, order=3, grid_mode=True, mode="nearest").clip(min=0)
            z_mm = (first + index - self.available / 2) * self.voxel_mm[0]
            coils = ring_sensitivities(self._settings.coils, fine.shape, extent, z_mm=z_mm)
            kspace[index] = render(coils * fine * smooth_phase(fine.shape, 0.4, -0.3, 0.5), self.matrix)
        return kspace

    @cached_property
    def noise_cov(self) -> ComplexArray:
        """(coil, coil)"""
        return noise_covariance(self.noise_free, self._settings.snr, self._settings.noise_correlation)

    @cached_property
    def noisy(self) -> ComplexArray:
        """(slice, coil, ky, kx)"""
        rng = np.random.default_rng(self._settings.data_seed)
        return self.noise_free + coloured_noise(self.noise_cov, self.noise_free.shape, rng)
