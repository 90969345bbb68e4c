"""SENSE: Tikhonov-regularised least squares over the coils, solved by conjugate gradients."""

from __future__ import annotations

from dataclasses import dataclass

from ..bench.reconstruction import ReconInput, ReconResult, from_sets
from .conjugate_gradients import conjugate_gradients
from .parallel_imaging import NEGLIGIBLE, ParallelImaging


@dataclass(frozen=True, kw_only=True)
class Sense(ParallelImaging):
    """argmin_x ‖W (M F S x − y)‖² + λ ‖x‖², W the whitening of the coils' noise.

    Source: Pruessmann et al., Magn Reson Med 46:638 (2001). With unit-norm maps and a unitary FFT the eigenvalues of
    AᴴA lie in [0, 1], so λ needs no scaling with the data. Deviation: where whole lines are sampled each column of the image
    is a system of its own, with its own step lengths.

    Raises:
        HalfscanError: a setting out of range.
    """

    regularisation: float = 0.01
    """λ, Tikhonov weight [1]."""
    iterations: int = 30
    """At most this many CG steps."""
    tolerance: float = 1e-4
    """Stop where the residual of a system is below this share of the mean ‖Aᴴy‖ of its slice's systems."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_at_least(regularisation=0, iterations=1)
        self.check_share("tolerance")

    def __call__(self, data: ReconInput) -> ReconResult:
        slices, _, height, readout = data.kspace.shape
        image = data.kspace.new_zeros(slices, self.map_sets, height, readout)
        # What λ alone holds back must stay as it is.
        for systems in self.encode(data, negligible=min(NEGLIGIBLE, self.regularisation / 30)):
            systems.put(conjugate_gradients(systems, self.regularisation, self.iterations, self.tolerance), image)
        return from_sets(image, data.field_of_view)
