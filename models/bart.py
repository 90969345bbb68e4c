"""BART's own solvers on our maps and mask, as a check of our reconstructions from outside.

https://mrirecon.github.io/bart; Debian and Ubuntu: apt install bart. It is called once a slice, through files.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from ..bench.acquisition import ComplexArray
from ..bench.errors import HalfscanError
from .outside import Outside


@dataclass(frozen=True, kw_only=True)
class Bart(Outside):
    """`bart pics`: conjugate gradients for SENSE; FISTA with Daubechies-2 wavelets.

    Source: Uecker et al., Proc ISMRM 23:2486 (2015). BART shifts the grid of the wavelets at random from step to step
    (cycle spinning), by the same numbers in every call. With SENSE it stops by itself where a step changes nothing.
    """

    def find(self) -> None:
        find_bart()

    def solve(self, kspace: ComplexArray, maps: ComplexArray, mask: ComplexArray, weight: float) -> ComplexArray:
        with tempfile.TemporaryDirectory(prefix="halfscan-bart-") as name:
            folder = Path(name)
            write_slice(folder, kspace, maps, mask)
            run_bart(*self.command(weight), folder=folder)
            return read_cfl(folder / "image").reshape(mask.shape)

    def command(self, weight: float) -> tuple[str, ...]:
        """BART's arguments for files of `write_slice`; the image goes to `image`."""
        penalty = ("-l2", f"-r{weight:.9g}") if self.method == "sense" else (f"-RW:3:0:{weight:.9g}",)
        # -w1 leaves the scale of the data alone; -p names the samples, for a measured zero is one too.
        return ("pics", "-w1", *penalty, f"-i{self.iterations}", "-pmask", "kspace", "maps", "image")


def find_bart() -> str:
    """The path of BART's program.

    Raises:
        HalfscanError: no `bart` on PATH, with the command that installs it.
    """
    found = shutil.which("bart")
    if found is None:
        raise HalfscanError(
            "there is no program called bart on PATH: apt install bart (Debian, Ubuntu), or see https://mrirecon.github.io/bart"
        )
    return found


def run_bart(*arguments: str, folder: Path) -> None:
    """Runs one command of BART in a folder, with as many threads as torch has.

    They sleep while they wait for one another (unless OMP_WAIT_POLICY says otherwise): on a machine that does something
    else too, threads that spin make BART ten times slower.

    Raises:
        HalfscanError: BART is missing, or failed, with what it said.
    """
    threads = str(torch.get_num_threads())
    done = subprocess.run(
        [find_bart(), *arguments],
        cwd=folder,
        env={"OMP_WAIT_POLICY": "passive", **os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads},
        capture_output=True,
        text=True,
        errors="replace",
    )
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split()) or f"exit status {done.returncode}"
        raise HalfscanError(f"bart {' '.join(arguments)} failed: {said}")


def write_slice(folder: Path, kspace: ComplexArray, maps: ComplexArray, mask: ComplexArray) -> None:
    """Writes `kspace` and `maps` (coil, ky, kx) and `mask` (ky, kx), so that `pics` means by them what we do."""
    if _shifts_wrongly(find_bart()):
        kspace = kspace * _shift(kspace.shape[-2])[:, None] * _shift(kspace.shape[-1])
    write_cfl(folder / "kspace", kspace[:, None])
    write_cfl(folder / "maps", maps[:, None])
    write_cfl(folder / "mask", mask)


@lru_cache(maxsize=1)
def _shifts_wrongly(program: str) -> bool:
    """Whether `pics` applies the centring phase to k-space where its inverse belongs, as BART 0.8 does.

    The image's sign is then wrong where an axis has 4 n + 2 samples, and where one is odd, maps and image do not meet.
    Two samples tell: their sum and difference are an image of (1, 1), or of (-1, -1).
    """
    with tempfile.TemporaryDirectory(prefix="halfscan-bart-") as name:
        folder = Path(name)
        ones = np.ones((2, 1), dtype=np.complex64)
        write_cfl(folder / "kspace", np.array([0, 2**0.5], dtype=np.complex64).reshape(1, 1, 2, 1))
        write_cfl(folder / "maps", ones[None, None])
        write_cfl(folder / "mask", ones)
        run_bart("pics", "-w1", "-l2", "-r0", "-i2", "-pmask", "kspace", "maps", "image", folder=folder)
        return bool(read_cfl(folder / "image").ravel()[0].real < 0)


def _shift(n: int) -> ComplexArray:
    """(n,) the inverse of the centring phase of an axis, twice."""
    centre = n // 2
    return np.exp(-4j * np.pi * centre / n * (np.arange(n) - centre / 2)).astype(np.complex64)


def write_cfl(stem: Path, array: ComplexArray) -> None:
    """Writes `stem`.hdr and `stem`.cfl. BART counts axes from the fastest: ours in C order, backwards.

    Args:
        stem: path without the ending.
        array: (..., coil, kz, ky, kx), or without the first axes.
    """
    stem.with_suffix(".hdr").write_text(f"# Dimensions\n{' '.join(map(str, array.shape[::-1]))}\n", "ascii")
    np.ascontiguousarray(array, dtype="<c8").tofile(stem.with_suffix(".cfl"))


def read_cfl(stem: Path) -> ComplexArray:
    """Reads what `write_cfl` or BART wrote; axes of length 1 at the front are dropped, as BART writes 16 of them."""
    shape = [int(size) for size in stem.with_suffix(".hdr").read_text("ascii").splitlines()[1].split()]
    while len(shape) > 1 and shape[-1] == 1:
        shape.pop()
    return np.fromfile(stem.with_suffix(".cfl"), dtype="<c8").reshape(shape[::-1])
