"""POCS: partial Fourier by turns of the measured lines and of a phase that is known."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..bench.errors import HalfscanError
from ..bench.operators import sample, to_image
from ..bench.reconstruction import Combination, ReconInput, ReconResult, check_combination, from_coils
from ..bench.sampling.mask import Mask
from .partial_fourier import OneSided, check_one_sided


@dataclass(frozen=True, kw_only=True)
class Pocs:
    """Projections onto two sets in turn, coil by coil: images of the phase φ, and images with the measured lines.

    Source: Haacke, Lindskog & Lin, J Magn Reson 92:126 (1991). φ is the phase of the symmetric part; the last projection
    is onto the measured lines, which stay as they were measured. Deviations: the first projection is the
    orthogonal one, Re(φ̄ x) φ, where the source takes |x| φ, which keeps what the phase forbids; lines without a measured
    mirror image stay zero, as they are zero padding. A mask that leaves out nothing, or a single line, is an inverse FFT.

    Raises:
        HalfscanError: a setting out of range.
    """

    iterations: int = 10
    """At most this many turns."""
    tolerance: float = 1e-4
    """Stop where a turn changes a slice by less than this share of it."""
    combination: Combination = "mvue"

    def __post_init__(self) -> None:
        if self.iterations < 1:
            raise HalfscanError(f"model.iterations={self.iterations} must be at least 1")
        if not 0 <= self.tolerance < 1:
            raise HalfscanError(f"model.tolerance={self.tolerance} must lie between 0 and 1")
        check_combination(self.combination, "model.combination")

    @property
    def needs_maps(self) -> bool:
        return self.combination == "mvue"

    def check(self, mask: Mask, coils: int) -> None:
        """Refuses all masks but one side of k-space without a gap, and full ones.

        Raises:
            NotApplicable: named, with what to do instead.
        """
        check_one_sided(mask, "POCS")

    def __call__(self, data: ReconInput) -> ReconResult:
        columns = to_image(sample(data.kspace, data.mask), (-1,))
        side = OneSided.of(data.mask)
        images = self._solve(columns, side, data.mask) if side.partial else to_image(columns, (-2,))
        return from_coils(images, data, self.combination)

    def _solve(self, columns: Tensor, side: OneSided, mask: Tensor) -> Tensor:
        """(slice, coil, ky, kx) coil images of columns (slice, coil, ky, kx), k-space along ky, all slices side by side."""
        lost = torch.fft.ifftshift(side.filled(mask) & ~mask).flatten().nonzero()[:, 0]
        phase, spectrum = _fft_order(side.phase(columns, mask)), _fft_order(columns)
        image = torch.fft.ifft(spectrum, norm="ortho")
        active = torch.ones(len(columns), 1, 1, 1, dtype=torch.bool, device=columns.device)
        for _ in range(self.iterations):
            allowed = torch.fft.fft((phase.conj() * image).real * phase, norm="ortho")
            # A slice that has converged stays as it is, whatever the others beside it still do.
            change = torch.where(active, allowed[..., lost] - spectrum[..., lost], 0)
            spectrum[..., lost] += change
            image = torch.fft.ifft(spectrum, norm="ortho")
            active = active & (_norm(change) > self.tolerance * _norm(spectrum))
            if not active.any():
                break
        return torch.fft.fftshift(image.mT, (-2,))


def _fft_order(columns: Tensor) -> Tensor:
    """(slice, coil, ky, kx) → (slice, coil, kx, ky), its centre at index 0: FFTs along ky that need no shifts."""
    return torch.fft.ifftshift(columns, (-2,)).mT.contiguous()


def _norm(samples: Tensor) -> Tensor:
    """(slice, 1, 1, 1) norm of each slice's samples in all coils."""
    return torch.linalg.vector_norm(samples, dim=(1, 2, 3), keepdim=True)
