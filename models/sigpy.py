"""SigPy's own solvers on our maps and mask, as a check of our reconstructions from outside.

https://sigpy.readthedocs.io; pip install "halfscan[sigpy]".
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from ..bench.acquisition import ComplexArray
from ..bench.errors import HalfscanError
from .outside import Outside


@dataclass(frozen=True, kw_only=True)
class SigPy(Outside):
    """`sigpy.mri.app`: conjugate gradients for SENSE; FISTA with Daubechies-4 wavelets.

    Source: Ong & Lustig, Proc ISMRM 27:4819 (2019). Deviation: the step is 1, which maps of unit norm allow; SigPy would
    estimate it from random numbers, and no two runs would be the same.
    """

    def find(self) -> None:
        if importlib.util.find_spec("sigpy") is None:
            raise HalfscanError('sigpy is not installed: pip install "halfscan[sigpy]"')

    def solve(self, kspace: ComplexArray, maps: ComplexArray, mask: ComplexArray, weight: float) -> ComplexArray:
        from sigpy.mri.app import L1WaveletRecon, SenseRecon

        settings = {"weights": mask.real, "max_iter": self.iterations, "show_pbar": False}
        if self.method == "sense":
            return SenseRecon(kspace, maps, lamda=weight, **settings).run()
        return L1WaveletRecon(kspace, maps, weight, alpha=1, **settings).run()
