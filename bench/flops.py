"""How many floating-point operations work takes: what a reconstruction asks of any machine, whatever that machine takes for it.

Convolutions, matrix products, Fourier transforms and factorisations are counted, in real additions and multiplications; what is
done element by element is not: it moves memory more than it computes. PyTorch's own counter knows no FFT, and takes a complex
product for a real one.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from .quantity import Quantity

_COMPLEX = 4
"""Real multiplications and additions in those of complex numbers: 8 instead of 2."""


def count_flops(work: Callable[[], object]) -> Quantity:
    """Of one run of `work` [1]; null where torch did nothing of what is counted.

    Source of the count of an FFT: 5 N log₂ N, as FFTW's benchmark states it; of factorisations: Golub, Van Loan, Matrix
    Computations, 4th edition.
    """
    kind = _Counting if "torch._dynamo" in sys.modules else _CountingAlone
    with kind() as counting, torch.no_grad():
        work()
    if not counting.found:
        return Quantity.unmeasured("1", "none of its operations is torch's, whose are counted")
    return Quantity(value=float(counting.found), unit="1", method="modelled")


class _Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up what operations take, by our formulas and PyTorch's.

    PyTorch's own `FlopCounterMode` tries to decompose every call of every other operation, which takes longer than the operations
    of a small image; here each operation is asked once.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found = 0
        self._whole: set[Any] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self._do(func, args, kwargs or {})

    def _do(self, func: Any, args: Any, kwargs: Any) -> Any:
        formula = _known().get(getattr(func, "_overloadpacket", func))
        if formula is None and func not in self._whole and hasattr(func, "decompose"):
            with self:
                found = func.decompose(*args, **kwargs)
            if found is not NotImplemented:
                return found
            self._whole.add(func)
        found = func(*args, **kwargs)
        if formula is not None:
            self.found += int(formula(*args, **kwargs, out_val=found))
        return found


class _CountingAlone(_Counting):  # type: ignore[no-untyped-call]
    """Where nobody asked for PyTorch's compiler: every mode keeps it out of its dispatch, which takes importing it, for 1.5 s."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self._do(func, args, kwargs or {})


@lru_cache
def _known() -> dict[Any, Callable[..., int]]:
    """Operation → what a call of it takes."""
    from torch.utils.flop_counter import flop_registry

    return {**flop_registry, **_FORMULAS}


def _factor(*tensors: Any) -> int:
    return _COMPLEX if any(isinstance(one, Tensor) and one.is_complex() for one in tensors) else 1


def _product(a: Tensor, b: Tensor, *_: Any, **__: Any) -> int:
    """(..., m, k) times (..., k, n)."""
    return 2 * a.numel() * b.shape[-1] * _factor(a, b)


def _added_product(_: Tensor, a: Tensor, b: Tensor, *__: Any, **___: Any) -> int:
    return _product(a, b)


def _fourier(picture: Tensor, dim: Sequence[int], *_: Any, out_val: Tensor, **__: Any) -> int:
    # Of real numbers half: their spectrum is Hermitian.
    whole = picture if picture.numel() >= out_val.numel() else out_val
    length = math.prod(whole.shape[axis] for axis in dim)
    both = picture.is_complex() and out_val.is_complex()
    return round(5 * whole.numel() * math.log2(length) / (1 if both else 2))


def _cubic(share: float) -> Callable[..., int]:
    """Of a factorisation of (..., n, n)."""

    def count(matrices: Tensor, *_: Any, **__: Any) -> int:
        return round(share * matrices.numel() * matrices.shape[-1] * _factor(matrices))

    return count


def _inner(a: Tensor, b: Tensor, *_: Any, **__: Any) -> int:
    """(m, k) or (k,) times (k,)."""
    return 2 * a.numel() * _factor(a, b)


def _added_inner(_: Tensor, a: Tensor, b: Tensor, *__: Any, **___: Any) -> int:
    return _inner(a, b)


def _solve(matrices: Tensor, right: Tensor, *_: Any, **__: Any) -> int:
    factor = _factor(matrices, right)
    return (2 * matrices.numel() * matrices.shape[-1] // 3 + 2 * right.numel() * matrices.shape[-1]) * factor


def _cholesky_solve(right: Tensor, matrices: Tensor, *_: Any, **__: Any) -> int:
    return 2 * right.numel() * matrices.shape[-1] * _factor(right, matrices)


_ATEN = torch.ops.aten
_FORMULAS: dict[Any, Callable[..., int]] = {
    operation: formula
    for formula, operations in (
        (_product, (_ATEN.mm, _ATEN.bmm)),
        (_added_product, (_ATEN.addmm, _ATEN.baddbmm)),
        (_fourier, (_ATEN._fft_c2c, _ATEN._fft_r2c, _ATEN._fft_c2r)),
        (_cubic(1 / 3), (_ATEN.linalg_cholesky_ex,)),
        (_cubic(2 / 3), (_ATEN.cholesky_inverse,)),
        (_cubic(2), (_ATEN.linalg_inv_ex,)),
        (_inner, (_ATEN.mv, _ATEN.dot, _ATEN.vdot)),
        (_added_inner, (_ATEN.addmv,)),
        (_solve, (_ATEN._linalg_solve_ex,)),
        (_cubic(9), (_ATEN._linalg_eigh,)),
        (_cholesky_solve, (_ATEN.cholesky_solve,)),
    )
    for operation in operations
}
