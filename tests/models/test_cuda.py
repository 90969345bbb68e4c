"""On a GPU every model gives the image that it gives on the CPU; skipped by name where there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from halfscan.bench.errors import NotApplicable
from halfscan.bench.maps import Espirit
from halfscan.bench.reconstruction import ReconInput
from halfscan.bench.sampling.equispaced import Equispaced
from halfscan.bench.sampling.poisson_disc import PoissonDisc

from ..conftest import phantom
from .test_conformance import MASKS, MODELS

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU on this machine")

OUTSIDE = ("bart", "bart_wavelet", "sigpy", "sigpy_wavelet")
TOLERANCE = 2e-3
"""Solvers stop where their residual is small: rounding may take or save them a step."""


@pytest.mark.parametrize("plane", [False, True])
@pytest.mark.parametrize("name", [name for name in MODELS if name not in OUTSIDE])
def test_the_gpu_gives_the_image_of_the_cpu(name: str, plane: bool) -> None:
    model = MODELS[name]()
    _, _, kspace = phantom(2, 6, 64, 48)
    kspace = kspace + 0.01 * kspace.abs().max() * torch.randn(kspace.shape, dtype=kspace.dtype, generator=torch.manual_seed(0))
    every = np.ones(64, dtype=bool)
    if plane:
        mask = PoissonDisc(acceleration=3, acs_lines=16).draw(every, "test", readout=48)
    elif name == "denoised":
        mask = Equispaced(acceleration=1, acs_lines=16).draw(every, "test")
    else:
        mask = MASKS.get(name, lambda height: Equispaced(acceleration=2, acs_lines=16).draw(every, "test"))(64)
    try:
        model.check(mask, 6)
    except NotApplicable as reason:
        pytest.skip(f"not applicable: {reason}")
    lines = torch.from_numpy(mask.sampled.copy())
    lines = lines[:, None] if lines.ndim == 1 else lines
    sets = getattr(model, "map_sets", 1)
    images = []
    for device in ("cpu", "cuda"):
        sampled = torch.where(lines, kspace, 0).to(device)
        data = ReconInput(
            kspace=sampled,
            mask=lines.to(device),
            acs=mask.calibration,
            acs_readout=mask.acs_readout,
            maps=None,
            noise_cov=None,
            field_of_view=(64, 48),
        )
        if model.needs_maps:
            maps = Espirit(calibration=16, kernel=5).sets(sampled, data.acs, data.acs_readout, sets)
            data = replace(data, maps=maps if sets > 1 else maps[:, 0])
        result = model(data)
        images.append(result.image.cpu() * result.scale)
    error = torch.linalg.vector_norm(images[1] - images[0]) / torch.linalg.vector_norm(images[0])
    assert float(error) < TOLERANCE
