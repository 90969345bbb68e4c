"""Operations are counted as the textbooks count them, complex ones, too; work that is not torch's has no count."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch

from halfscan.bench.flops import count_flops

REAL, COMPLEX = torch.rand(8, 8) + 8 * torch.eye(8), torch.rand(8, 8, dtype=torch.complex64) + 8 * torch.eye(8)


@pytest.mark.parametrize(
    ("work", "flops"),
    [
        (lambda: torch.ones(3, 4) @ torch.ones(4, 5), 2 * 3 * 4 * 5),
        (lambda: torch.ones(3, 4, dtype=torch.complex64) @ torch.ones(4, 5, dtype=torch.complex64), 8 * 3 * 4 * 5),
        (lambda: torch.einsum("bij,bjk->bik", torch.ones(7, 3, 4), torch.ones(7, 4, 5)), 7 * 2 * 3 * 4 * 5),
        (lambda: torch.fft.fft2(torch.ones(3, 8, 16, dtype=torch.complex64)), 5 * 3 * 8 * 16 * math.log2(8 * 16)),
        (lambda: torch.fft.ifft(torch.ones(3, 8, 16, dtype=torch.complex64), dim=1), 5 * 3 * 8 * 16 * math.log2(8)),
        (lambda: torch.fft.rfft(torch.ones(3, 16)), 5 / 2 * 3 * 16 * math.log2(16)),
        (lambda: torch.fft.irfft(torch.ones(3, 9, dtype=torch.complex64)), 5 / 2 * 3 * 16 * math.log2(16)),
        (lambda: torch.nn.functional.conv2d(torch.ones(1, 2, 8, 8), torch.ones(3, 2, 3, 3)), 2 * 3 * 2 * 9 * 36),
        (lambda: torch.linalg.cholesky(REAL @ REAL.T), 2 * 8**3 + round(8**3 / 3)),
        (lambda: torch.linalg.cholesky(COMPLEX @ COMPLEX.mH), 8 * 8**3 + round(4 * 8**3 / 3)),
        (lambda: torch.linalg.eigh(REAL + REAL.T), 9 * 8**3),
        (lambda: torch.linalg.inv(REAL), 2 * 8**3),
        (lambda: torch.linalg.solve(REAL, torch.ones(8, 100)), 2 / 3 * 8**3 + 2 * 8 * 8 * 100),
        (lambda: COMPLEX @ torch.ones(8, dtype=torch.complex64), 8 * 8 * 8),
        (lambda: torch.ones(8) @ torch.ones(8), 2 * 8),
    ],
)
@pytest.mark.parametrize("inference", [False, True])
def test_textbook_counts(work: Callable[[], object], flops: float, inference: bool) -> None:
    def run() -> None:
        with torch.inference_mode(inference):
            work()

    found = count_flops(run)
    assert found.value == pytest.approx(flops, abs=1)
    assert found.unit == "1"


def test_work_that_is_not_torchs_has_no_count() -> None:
    found = count_flops(lambda: np.fft.fft(np.ones(8)))
    assert found.value is None
    assert "torch" in (found.reason or "")


def test_counting_does_not_wait_for_the_compiler_and_counts_beside_it() -> None:
    program = """
import sys, torch
from halfscan.bench.flops import count_flops
net, x = torch.nn.Conv2d(1, 4, 3), torch.ones(1, 1, 16, 16)
plain = count_flops(lambda: net(x)).value
print("torch._dynamo" in sys.modules, plain, count_flops(lambda: torch.compile(net, backend="eager")(x)).value)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "14112.0", "14112.0"], done.stderr
