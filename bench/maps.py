"""Coil sensitivity maps from the calibration lines: ESPIRiT, the one estimator that everyone uses."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .errors import HalfscanError, NotApplicable
from .operators import to_image


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
            NotApplicable: fewer ACS lines than the kernel is wide.
        """
        if kspace.shape[1] == 1:
            return torch.ones_like(kspace)
        self.check(acs, (kspace.shape[1], kspace.shape[2], kspace.shape[3]))
        assert acs is not None
        region = (self._central(kspace.shape[2], acs), self._central(kspace.shape[3], acs_readout or (0, kspace.shape[3])))
        return torch.stack([self._one_slice(one, region) for one in kspace])

    def _central(self, n: int, sampled: tuple[int, int]) -> slice:
        """The calibration samples of an axis: around the centre of k-space, as far as the sampled region allows."""
        width = min(sampled[1] - sampled[0], self.calibration)
        start = min(max((n - width + 1) // 2, sampled[0]), sampled[1] - width)
        return slice(start, start + width)

    def _one_slice(self, kspace: Tensor, region: tuple[slice, slice]) -> Tensor:
        vector, value = self._dominant(self._pixel_gram(self._projection(kspace[:, *region]), kspace.shape[1:]))
        vector = vector * torch.exp(-1j * torch.angle(vector[..., :1]))
        maps = torch.where((value > self.crop).unsqueeze(-1), vector, torch.zeros_like(vector))
        return maps.movedim(-1, 0).contiguous()

    def _projection(self, region: Tensor) -> Tensor:
        """(coil, w, w, coil, w, w): projection onto the row space of the calibration matrix, w the kernel's width."""
        coils = region.shape[0]
        patches = region.unfold(1, self.kernel, 1).unfold(2, self.kernel, 1)
        matrix = patches.permute(1, 2, 0, 3, 4).reshape(-1, coils * self.kernel**2)
        # The Gram matrix is small and squares the condition number: double precision keeps the small singular values.
        matrix = matrix.to(torch.complex128)
        power, vectors = torch.linalg.eigh(matrix.mH @ matrix)
        singular = power.clamp(min=0).sqrt()
        kept = vectors[:, singular > self.threshold * singular[-1]].conj()
        return (kept @ kept.mH).reshape(2 * (coils, self.kernel, self.kernel))

    def _pixel_gram(self, projection: Tensor, matrix: torch.Size) -> Tensor:
        """(ky, kx, coil, coil) Σ_k g_k g_kᴴ of the kernels' images g_k; eigenvalue 1 where an object is seen.

        A product of images is a correlation of kernels, and the sum over kernels lies in the projection already: one
        FFT a pair of coils instead of one a kernel and coil.
        """
        coils, width = projection.shape[:2]
        height, readout = matrix
        span = 2 * width - 1
        lags = projection.new_zeros(coils, coils, span, span)
        for y in range(width):
            for x in range(width):
                # All pairs of samples whose second one is (y, x): lags (dy - y, dx - x), the centre at width - 1.
                rows, columns = slice(width - 1 - y, span - y), slice(width - 1 - x, span - x)
                lags[:, :, rows, columns] += projection[:, :, :, :, y, x].permute(0, 3, 1, 2)
        padded = lags.new_zeros(coils, coils, height, readout)
        top, left = height // 2 - (width - 1), readout // 2 - (width - 1)
        padded[:, :, top : top + span, left : left + span] = lags
        # The FFT is unitary and a product of two transforms has one factor too few of √pixels.
        gram = to_image(padded.to(torch.complex64)) * ((height * readout) ** 0.5 / width**2)
        return gram.permute(2, 3, 0, 1).contiguous()

    def _dominant(self, gram: Tensor) -> tuple[Tensor, Tensor]:
        """Unit eigenvector (ky, kx, coil) and eigenvalue (ky, kx) of the largest eigenvalue."""
        # The column of the strongest coil is never orthogonal to the dominant eigenvector where an object is seen.
        strongest = gram.diagonal(dim1=-2, dim2=-1).real.argmax(-1)
        vector = gram.gather(-1, strongest[..., None, None].expand(*gram.shape[:-1], 1))
        value = _length(vector)
        for _ in range(self.iterations):
            vector = gram @ (vector / value.clamp(min=1e-30))
            value = _length(vector)
        return (vector / value.clamp(min=1e-30)).squeeze(-1), value.squeeze(-1).squeeze(-1)


def _length(vector: Tensor) -> Tensor:
    """(..., 1, 1) norm of column vectors (..., n, 1)."""
    real = torch.view_as_real(vector)
    return real.square().sum((-3, -1)).sqrt().unsqueeze(-1)
