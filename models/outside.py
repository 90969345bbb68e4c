"""What the adapters of outside programs share: settings, scale, and one slice at a time on our maps and mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from ..bench.acquisition import ComplexArray
from ..bench.errors import HalfscanError
from ..bench.noise import noise_level
from ..bench.operators import adjoint, centre_crop
from ..bench.reconstruction import ReconInput, ReconResult
from ..bench.sampling.mask import Mask

METHODS = ("sense", "wavelet")


@dataclass(frozen=True, kw_only=True)
class Outside:
    """An outside solver of a problem that Halfscan solves too, so that only the solver differs.

    `sense` minimises ½ ‖M F S x − y‖² + ½ λ ‖x‖², as `halfscan.models.sense` does; `wavelet` minimises
    ½ ‖M F S x − y‖² + λ σ ‖Ψ x‖₁, with σ the noise as for `halfscan.models.wavelet`, Ψ all coefficients of the program's
    own wavelets. Data are divided by the largest magnitude of the slice's Aᴴy, the image is multiplied by it: what a
    program does depends on no unit. Coils are not whitened: compare with ours at model.prewhiten=false.

    Raises:
        HalfscanError: a setting out of range; when called, the program is missing or failed.
    """

    method: Literal["sense", "wavelet"] = "sense"
    regularisation: float = 0.01
    """λ [1], for wavelets in standard deviations of the noise."""
    iterations: int = 30
    """Conjugate gradient or proximal gradient (FISTA) steps. Conjugate gradients that go on for hundreds of steps after
    they converged may diverge in single precision; FISTA wants about 100."""

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise HalfscanError(f"model.method={self.method} is unknown: use {' or '.join(METHODS)}")
        if not 0 <= self.regularisation < float("inf"):
            raise HalfscanError(f"model.regularisation={self.regularisation} must be finite and not negative")
        if self.iterations < 1:
            raise HalfscanError(f"model.iterations={self.iterations} must be at least 1")

    @property
    def needs_maps(self) -> bool:
        return True

    def check(self, mask: Mask, coils: int) -> None:
        """Refuses to start without the program; every mask and any number of coils will do."""
        self.find()

    def find(self) -> None:
        """Looks for the program.

        Raises:
            HalfscanError: it is not there, with the command that installs it.
        """
        raise NotImplementedError(f"{type(self).__name__} must define find()")

    def solve(self, kspace: ComplexArray, maps: ComplexArray, mask: ComplexArray, weight: float) -> ComplexArray:
        """One slice.

        Args:
            kspace: (coil, ky, kx), zero where not sampled, on a scale where |Aᴴy| is 1 at most.
            maps: (coil, ky, kx).
            mask: (ky, kx), 1 where sampled, else 0.
            weight: of the penalty, on this scale.

        Returns:
            (ky, kx) image on the scale of `kspace`.
        """
        raise NotImplementedError(f"{type(self).__name__} must define solve()")

    def __call__(self, data: ReconInput) -> ReconResult:
        assert data.maps is not None
        self.find()
        zero_filled = adjoint(data.kspace, data.maps, data.mask)
        mask = data.mask.expand(zero_filled.shape[-2:]).cpu().numpy().astype(np.complex64)
        image = torch.zeros_like(zero_filled)
        noise = noise_level(data.kspace, data.noise_cov).tolist()
        for index, peak in enumerate(zero_filled.abs().amax((-2, -1)).tolist()):
            if peak > 0:
                kspace, maps = (data.kspace[index] / peak).cpu().numpy(), data.maps[index].cpu().numpy()
                weight = self.regularisation * (1 if self.method == "sense" else noise[index] / peak)
                image[index] = torch.from_numpy(self.solve(kspace, maps, mask, weight)).to(image) * peak
        return ReconResult(image=centre_crop(image, data.field_of_view), kind="complex", combination="mvue")
