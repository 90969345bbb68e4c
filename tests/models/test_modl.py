"""MoDL: its data consistency is the exact solution, and so are the gradients through it."""

from __future__ import annotations

import pytest
import torch

from halfscan.bench.operators import adjoint, forward
from halfscan.models import data_consistency
from halfscan.models.data_consistency import Consistency
from halfscan.models.modl import Modl


def problem(shape: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Samples, mask, maps and an image of two slices, each with its own mask."""
    generator = torch.Generator().manual_seed(0)

    def draw(*size: int) -> torch.Tensor:
        return torch.randn(*size, dtype=torch.complex128, generator=generator)

    maps = draw(2, 3, 12, 10)
    maps = maps / torch.linalg.vector_norm(maps, dim=1, keepdim=True)
    mask = torch.rand(shape, generator=generator) < 0.5
    return torch.where(mask.unsqueeze(1), draw(2, 3, 12, 10), 0), mask, maps, draw(2, 12, 10)


@pytest.fixture(params=[(2, 12, 1), (2, 12, 10)], ids=["lines", "plane"])
def given(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[torch.Tensor, ...]:
    monkeypatch.setattr(data_consistency, "_TOLERANCE", 1e-13)
    monkeypatch.setattr(data_consistency, "_STEPS", 400)
    return problem(request.param)


def test_the_solution_has_no_gradient_left(given: tuple[torch.Tensor, ...]) -> None:
    kspace, mask, maps, image = given
    weight = torch.tensor([0.1, 0.5], dtype=torch.float64)
    x = Consistency(kspace, mask, maps, weight)(image)
    residual = adjoint(forward(x, maps, mask.unsqueeze(1)) - kspace, maps, mask.unsqueeze(1))
    torch.testing.assert_close(residual + weight[:, None, None] * (x - image), torch.zeros_like(x), rtol=0, atol=1e-9)


def test_gradients_are_those_of_finite_differences(given: tuple[torch.Tensor, ...]) -> None:
    kspace, mask, maps, image = given
    weight = torch.tensor([0.1, 0.5], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z, w: Consistency(kspace, mask, maps, w)(z), (image.requires_grad_(), weight))


def test_lines_and_plane_are_one_problem() -> None:
    kspace, mask, maps, image = problem((2, 12, 1))
    weight = torch.tensor([0.1, 0.5], dtype=torch.float64)
    lines = Consistency(kspace, mask, maps, weight)(image)
    plane = Consistency(kspace, mask.expand(-1, -1, 10), maps, weight)(image)
    torch.testing.assert_close(lines, plane, rtol=1e-4, atol=1e-4)


def test_the_weight_follows_the_noise() -> None:
    network = Modl(features=4).build(0)
    assert float(network.log_power.detach()) == pytest.approx(2)
