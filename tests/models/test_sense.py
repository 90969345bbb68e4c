"""SENSE solves the problem that it states."""

import numpy as np
import pytest
import torch

from halfscan.bench.errors import HalfscanError
from halfscan.bench.operators import adjoint, forward
from halfscan.bench.reconstruction import ReconInput
from halfscan.models.sense import Sense

from ..conftest import phantom


def _data(acceleration: int) -> tuple[torch.Tensor, ReconInput]:
    image, maps, kspace = phantom(slices=2, coils=6)
    mask = torch.from_numpy(np.arange(48) % acceleration == 0)[:, None]
    data = ReconInput(kspace=torch.where(mask, kspace, 0), mask=mask, acs=None, maps=maps, noise_cov=None, field_of_view=(48, 40))
    return image, data


def test_unfolds_noise_free_data_with_true_maps() -> None:
    image, data = _data(2)
    found = Sense(regularisation=0.0, iterations=200, tolerance=1e-6)(data).image
    assert torch.linalg.vector_norm(found - image) < 1e-3 * torch.linalg.vector_norm(image)


def test_satisfies_the_normal_equations() -> None:
    _, data = _data(3)
    assert data.maps is not None
    found = Sense(regularisation=0.05, iterations=200, tolerance=1e-6)(data).image
    right = adjoint(data.kspace, data.maps, data.mask)
    left = adjoint(forward(found, data.maps, data.mask), data.maps, data.mask) + 0.05 * found
    assert torch.linalg.vector_norm(left - right) < 1e-4 * torch.linalg.vector_norm(right)


def test_more_regularisation_shrinks() -> None:
    _, data = _data(3)
    norms = [torch.linalg.vector_norm(Sense(regularisation=weight)(data).image).item() for weight in (0.0, 0.01, 0.1, 1.0)]
    assert norms == sorted(norms, reverse=True)


@pytest.mark.parametrize("setting", [{"regularisation": -1.0}, {"iterations": 0}, {"tolerance": 1.0}])
def test_settings_out_of_range_are_refused(setting: dict[str, float]) -> None:
    with pytest.raises(HalfscanError, match=f"model.{next(iter(setting))}"):
        Sense(**setting)
