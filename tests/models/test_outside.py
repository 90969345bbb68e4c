"""BART and SigPy solve what Halfscan states, on its maps and masks, and say how to get them where they are missing."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from halfscan.bench.errors import HalfscanError
from halfscan.bench.noise import noise_level
from halfscan.bench.operators import forward, sample
from halfscan.bench.reconstruction import ReconInput
from halfscan.bench.sampling.poisson_disc import PoissonDisc
from halfscan.models.bart import Bart, read_cfl, run_bart, write_cfl
from halfscan.models.outside import Outside
from halfscan.models.sense import Sense
from halfscan.models.sigpy import SigPy

from ..conftest import phantom

PROGRAMS = {"bart": Bart, "sigpy": SigPy}
# BART 0.8 centres axes of 4 n, 4 n + 2 and odd lengths in ways of its own.
SHAPES = [(2, 6, 48, 40), (1, 6, 46, 40), (1, 5, 31, 27), (1, 5, 31, 40), (1, 1, 18, 26)]


@pytest.fixture(params=PROGRAMS)
def program(request: pytest.FixtureRequest) -> type[Outside]:
    try:
        PROGRAMS[request.param]().find()
    except HalfscanError as reason:
        pytest.skip(f"not applicable: {reason}")
    return PROGRAMS[request.param]


def _data(shape: tuple[int, int, int, int], pattern: str = "lines", zero_line: bool = False) -> ReconInput:
    slices, coils, height, width = shape
    _, maps, kspace = phantom(slices, coils, height, width)
    kspace = kspace + 0.02 * torch.randn(kspace.shape, dtype=kspace.dtype, generator=torch.Generator().manual_seed(1))
    mask = torch.from_numpy(np.arange(height) % 3 == 0)[:, None]
    if pattern == "plane":
        drawn = PoissonDisc(acceleration=2, acs_lines=6).draw(np.ones(height, dtype=bool), "test", readout=width)
        mask = torch.from_numpy(drawn.sampled.copy())
    if zero_line:
        kspace[:, :, height // 2] = 0
        mask[height // 2] = True
    return ReconInput(kspace=sample(kspace, mask), mask=mask, acs=None, maps=maps, noise_cov=None, field_of_view=(height, width))


def _distance(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(torch.linalg.vector_norm(one - other) / torch.linalg.vector_norm(other))


@pytest.mark.parametrize("pattern", ["lines", "plane"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_sense_is_ours(program: type[Outside], shape: tuple[int, int, int, int], pattern: str) -> None:
    data = _data(shape, pattern)
    ours = Sense(regularisation=0.03, iterations=200, tolerance=1e-7)(data).image
    assert _distance(program(regularisation=0.03)(data).image, ours) < 1e-3


def test_a_measured_zero_is_a_sample(program: type[Outside]) -> None:
    data = _data((1, 6, 48, 40), zero_line=True)
    ours = Sense(regularisation=0.03, iterations=200, tolerance=1e-7)(data).image
    assert _distance(program(regularisation=0.03)(data).image, ours) < 1e-3


@pytest.mark.parametrize("weight", [0.3, 3.0])
def test_wavelets_minimise_what_is_stated(program: type[Outside], weight: float) -> None:
    """Of the solutions for several weights, the one for this weight is best at it: λ is meant in units of the noise."""
    pywt = pytest.importorskip("pywt")
    data = _data((1, 6, 48, 48), "plane")
    assert data.maps is not None
    # BART's random shifts make it the penalty of all shifts on average: less exact at the one that is looked at.
    wavelet, levels, ratio = ("db2", 2, 4) if program is Bart else ("db4", None, 2)
    noise = float(noise_level(data.kspace, None))

    def objective(image: torch.Tensor) -> float:
        assert data.maps is not None
        misfit = (forward(image, data.maps, data.mask) - data.kspace).abs().square().sum() / 2
        coefficients = pywt.wavedecn(image[0].numpy(), wavelet, mode="zero", level=levels)
        return float(misfit) + weight * noise * float(np.abs(pywt.coeffs_to_array(coefficients)[0]).sum())

    def at(factor: float) -> float:
        return objective(program(method="wavelet", regularisation=factor * weight, iterations=100)(data).image)

    assert at(1) < min(at(1 / ratio), at(ratio))


@pytest.mark.parametrize("setting", ["method", "regularisation", "iterations"])
def test_every_setting_matters(program: type[Outside], setting: str) -> None:
    data = _data((1, 6, 48, 40))
    base: dict[str, Any] = {"method": "sense", "regularisation": 0.01, "iterations": 5}
    other = {"method": "wavelet", "regularisation": 0.1, "iterations": 1}[setting]
    assert _distance(program(**{**base, setting: other})(data).image, program(**base)(data).image) > 1e-3


@pytest.mark.parametrize(
    "setting", [{"method": "grappa"}, {"regularisation": -1.0}, {"regularisation": float("nan")}, {"iterations": 0}]
)
@pytest.mark.parametrize("kind", PROGRAMS.values())
def test_settings_out_of_range_are_refused(kind: Callable[..., Outside], setting: dict[str, Any]) -> None:
    with pytest.raises(HalfscanError, match=f"model.{next(iter(setting))}"):
        kind(**setting)


def test_without_bart_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HalfscanError, match="apt install bart"):
        Bart().check(None, 6)  # type: ignore[arg-type]
    with pytest.raises(HalfscanError, match="apt install bart"):
        Bart()(_data((1, 6, 48, 40)))


def test_without_sigpy_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, package=None: None)
    with pytest.raises(HalfscanError, match=r'pip install "halfscan\[sigpy\]"'):
        SigPy().check(None, 6)  # type: ignore[arg-type]
    with pytest.raises(HalfscanError, match=r'pip install "halfscan\[sigpy\]"'):
        SigPy()(_data((1, 6, 48, 40)))


def test_what_bart_says_stands_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "bart"
    program.write_text("#!/bin/sh\nprintf 'ERROR: no such file\\n  really\\n' >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(HalfscanError, match=r"^bart pics kspace failed: ERROR: no such file really$"):
        run_bart("pics", "kspace", folder=tmp_path)


def test_bart_gets_as_many_threads_as_torch_has(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "bart"
    program.write_text('#!/bin/sh\necho "$OMP_NUM_THREADS" > threads\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    run_bart("version", folder=tmp_path)
    assert (tmp_path / "threads").read_text().strip() == "7"


def test_files_of_bart_are_read_as_written(tmp_path: Path) -> None:
    array = (np.arange(2 * 3 * 4) * (1 + 2j)).astype(np.complex64).reshape(2, 1, 3, 4)
    write_cfl(tmp_path / "one", array)
    assert (tmp_path / "one.hdr").read_text() == "# Dimensions\n4 3 1 2\n"
    assert np.array_equal(read_cfl(tmp_path / "one"), array)
