"""Coil sensitivity maps from the calibration lines: ESPIRiT, the one estimator that everyone uses."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .errors import HalfscanError, NotApplicable

_BLOCK = 2**17
"""Elements of the coil pairs that are worked on at a time [complex samples]: they, and their squares, fit a cache."""
_SQUARINGS = 4
"""A pixel's matrix is squared this often at most: each doubles the power that a product with it is worth."""
_ROUNDING = 1e-7
"""Singular values below this share of the largest are rounding: they come from squares in double precision."""
_TINY = 1e-30


@dataclass(frozen=True, kw_only=True)
class Espirit:
    """ESPIRiT: eigenvector maps of the calibration's null-space-free kernels.

    Source: Uecker et al., Magn Reson Med 71:990 (2014). Deviation: the eigenvectors come from a fixed number of power
    iterations rather than a full decomposition, and the phase is that of the first coil.

    Raises:
        HalfscanError: a setting out of range.
    """

    calibration: int = 24
    """Width of the central square that is used, at most the ACS lines [samples]."""
    kernel: int = 6
    """Kernel width [samples]."""
    threshold: float = 0.02
    """Singular values below this share of the largest are noise."""
    crop: float = 0.8
    """Maps are zero where the eigenvalue is below this: no object there, only noise."""
    iterations: int = 30
    """Power iterations a pixel."""

    def __post_init__(self) -> None:
        if not 1 <= self.kernel <= self.calibration:
            raise HalfscanError(f"maps.kernel={self.kernel} must lie between 1 and maps.calibration={self.calibration}")
        if not 0 <= self.threshold < 1 or not 0 <= self.crop <= 1:
            raise HalfscanError(f"maps.threshold={self.threshold} and maps.crop={self.crop} must lie between 0 and 1")
        if self.iterations < 1:
            raise HalfscanError(f"maps.iterations={self.iterations} must be at least 1")

    def check(self, acs: tuple[int, int] | None, shape: tuple[int, int, int]) -> None:
        """Refuses a calibration region that no kernel fits into.

        Args:
            acs: (start, stop) of the calibration lines along ky.
            shape: (coil, ky, kx) of the k-space.

        Raises:
            NotApplicable: fewer calibration lines than the kernel is wide, or too small a matrix.
        """
        coils, height, readout = shape
        acs_lines = acs[1] - acs[0] if acs else 0
        if coils == 1:
            return
        span = 2 * self.kernel - 1
        if height < span or readout < span:
            raise NotApplicable(
                f"sensitivity maps need a matrix of at least {span} × {span} and it is {height} × {readout}: lower "
                "maps.kernel, or use model=zero_filled_rss with metrics=fastmri, which need none"
            )
        if acs_lines < self.kernel:
            raise NotApplicable(
                f"sensitivity maps need at least {self.kernel} ACS lines and there are {acs_lines}: raise "
                "sampling.acs_lines, or use a model without maps such as model=zero_filled_rss"
            )

    def __call__(self, kspace: Tensor, acs: tuple[int, int] | None, acs_readout: tuple[int, int] | None = None) -> Tensor:
        """Estimates the maps from the calibration lines alone.

        Args:
            kspace: (slice, coil, ky, kx) complex; only the lines within `acs` are looked at.
            acs: (start, stop) of the fully sampled central lines along ky.
            acs_readout: (start, stop) along kx of the fully sampled region; None where the lines are whole.

        Returns:
            (slice, coil, ky, kx) maps of unit norm over the coils, zero outside the object; ones for a single coil.

        Raises:
            HalfscanError: NaN or infinity among the calibration samples.
            NotApplicable: fewer ACS lines than the kernel is wide.
        """
        return self.sets(kspace, acs, acs_readout, 1)[:, 0]

    def sets(
        self, kspace: Tensor, acs: tuple[int, int] | None, acs_readout: tuple[int, int] | None = None, number: int = 2
    ) -> Tensor:
        """Several maps a pixel, for objects larger than the field of view: where it folds, one set is not enough.

        Returns:
            (slice, set, coil, ky, kx), sets orthonormal over the coils and in the order of their eigenvalues; zero where
            an eigenvalue lies below the crop. A single coil has ones in its first set and zeros in the others.
        """
        slices, coils, height, readout = kspace.shape
        if number < 1 or (coils > 1 and number > coils):
            raise HalfscanError(f"{number} sets of maps were asked for: choose between 1 and the number of coils, {coils}")
        if coils == 1:
            maps = kspace.new_zeros(slices, number, coils, height, readout)
            maps[:, 0] = 1
            return maps
        self.check(acs, (coils, height, readout))
        assert acs is not None
        region = kspace[:, :, self._central(height, acs), self._central(readout, acs_readout or (0, readout))]
        if not torch.isfinite(torch.view_as_real(region)).all():
            raise HalfscanError("the calibration lines hold NaN or infinity, and maps can't be estimated from them")
        maps = kspace.new_empty(slices, number, coils, height, readout)
        for one, into in zip(region, maps, strict=True):
            self._one_slice(one, into)
        return maps

    def _central(self, n: int, sampled: tuple[int, int]) -> slice:
        """The calibration samples of an axis: around the centre of k-space, as far as the sampled region allows."""
        width = min(sampled[1] - sampled[0], self.calibration)
        start = min(max((n - width + 1) // 2, sampled[0]), sampled[1] - width)
        return slice(start, start + width)

    def _one_slice(self, region: Tensor, maps: Tensor) -> None:
        """Writes the maps of one slice (set, coil, ky, kx), some lines of the image at a time: blocks stay in the cache."""
        sets, coils, height, readout = maps.shape
        rows = max(1, _BLOCK // (coils**2 * readout))
        for start, gram in self._pixel_gram(self._projection(region), (height, readout), rows):
            stop = start + gram.shape[0] // readout
            for one in range(sets):
                vector, value = self._dominant(gram)
                kept = torch.where(value > self.crop, vector, 0).reshape(stop - start, readout, coils)
                maps[one, :, start:stop] = kept.permute(2, 0, 1)
                if one + 1 < sets:
                    gram = _without(gram, vector.unsqueeze(-1))

    def _projection(self, region: Tensor) -> Tensor:
        """(coil, w, w, coil, w, w): projection onto the row space of the calibration matrix, w the kernel's width."""
        coils = region.shape[0]
        patches = region.to(torch.complex128).unfold(1, self.kernel, 1).unfold(2, self.kernel, 1)
        matrix = patches.permute(1, 2, 0, 3, 4).reshape(-1, coils * self.kernel**2)
        # The smaller of both Gram matrices. It squares the condition number: double precision keeps small singular values.
        tall = len(matrix) > matrix.shape[1]
        power, vectors = torch.linalg.eigh(matrix.mH @ matrix if tall else matrix @ matrix.mH)
        singular = power.clamp(min=0).sqrt()
        large = singular > max(self.threshold, _ROUNDING) * singular[-1]
        kept = vectors[:, large] if tall else matrix.mH @ (vectors[:, large] / singular[large])
        kept = kept.conj().to(torch.complex64)
        return (kept @ kept.mH).reshape(2 * (coils, self.kernel, self.kernel))

    def _pixel_gram(self, projection: Tensor, matrix: tuple[int, int], rows: int) -> Iterator[tuple[int, Tensor]]:
        """(first line, (pixel, coil, coil)) of blocks of lines: Σ_k g_k g_kᴴ of the kernels' images g_k.

        Its eigenvalue is 1 where an object is seen. A product of images is a correlation of kernels, and the sum over
        kernels lies in the projection already: one image a pair of coils instead of one a kernel and coil. As few lags
        differ from zero, it is two thin matrix products and no FFT.
        """
        coils, width = projection.shape[:2]
        span = 2 * width - 1
        lags = projection.new_zeros(span, span, coils, coils)
        for y in range(width):
            for x in range(width):
                # All pairs of samples whose second one is (y, x): lags (dy - y, dx - x), the centre at width - 1.
                row, column = slice(width - 1 - y, span - y), slice(width - 1 - x, span - x)
                lags[row, column] += projection[:, :, :, :, y, x].permute(1, 2, 0, 3)
        along_y, along_x = (_waves(size, width).to(projection.device) for size in matrix)
        lines = along_x @ (lags / width**2).to(torch.complex64).reshape(span, span, -1)
        lines = lines.reshape(span, -1)
        for start in range(0, matrix[0], rows):
            yield start, (along_y[start : start + rows] @ lines).reshape(-1, coils, coils)

    def _dominant(self, gram: Tensor) -> tuple[Tensor, Tensor]:
        """Unit eigenvector (pixel, coil) and eigenvalue (pixel, 1) of the largest eigenvalue; the first coil is real."""
        squarings = min(int(math.log2(self.iterations)), _SQUARINGS)
        power = gram
        for _ in range(squarings):
            power = power @ power
        # The column of the strongest coil is never orthogonal to the dominant eigenvector where an object is seen.
        strongest = power.diagonal(dim1=-2, dim2=-1).real.mT.contiguous().argmax(0)
        vector = power.gather(-1, strongest[:, None, None].expand(-1, gram.shape[-1], 1))
        for _ in range(math.ceil(self.iterations / 2**squarings) - 1):
            vector = power @ _unit(vector)
        vector = gram @ _unit(vector)
        value = _length(vector)
        vector = (vector / value.clamp(min=_TINY)).squeeze(-1)
        # A first coil that sees nothing has no phase to take.
        first = vector[:, :1]
        return vector * torch.where(first == 0, 1, torch.sgn(first).conj()), value.squeeze(-1)


def _waves(size: int, width: int) -> Tensor:
    """(size, 2 width − 1) complex exponentials of the lags −(width − 1) … width − 1 at the pixels of a centred image."""
    pixels = torch.arange(size, dtype=torch.float64) - size // 2
    lags = torch.arange(1 - width, width, dtype=torch.float64)
    return torch.exp(2j * math.pi / size * torch.outer(pixels, lags)).to(torch.complex64)


def _without(gram: Tensor, vector: Tensor) -> Tensor:
    """The Hermitian matrices between what is orthogonal to unit vectors (pixel, coil, 1), however well these are known."""
    rest = gram - vector @ (vector.mH @ gram)
    return rest - (rest @ vector) @ vector.mH


def _length(vector: Tensor) -> Tensor:
    """(pixel, 1, 1) norm of column vectors (pixel, coil, 1)."""
    return (vector.mH @ vector).real.sqrt()


def _unit(vector: Tensor) -> Tensor:
    return vector / _length(vector).clamp(min=_TINY)
