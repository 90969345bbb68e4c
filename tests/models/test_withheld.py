"""The noise that a network is told is the one with which it predicts withheld lines best; without such lines as it is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from halfscan.bench.network import NetworkInput, normalised
from halfscan.bench.operators import combine, to_image
from halfscan.models.withheld import FACTORS, noise_factor

from ..conftest import phantom


def given(lines: slice = slice(None, None, 2)) -> tuple[NetworkInput, Tensor]:
    """A volume sampled at some lines and its middle, and its image on the same scale."""
    _, maps, kspace = phantom(5, 4, 48, 40)
    mask = torch.zeros(5, 48, 1, dtype=torch.bool)
    mask[:, lines] = True
    acs = torch.zeros_like(mask)
    acs[:, 20:28] = True
    data = normalised(kspace, mask | acs, acs, maps, torch.full((5,), 0.01))
    return data, combine(to_image(kspace), maps) / data.scale


def best_at(factor: float, truth: Tensor, level: float, seen: list[NetworkInput]) -> Callable[[NetworkInput], Tensor]:
    """A network that gives the truth where it is told so many times the noise, and a worse image the farther from it."""

    def network(data: NetworkInput) -> Tensor:
        seen.append(data)
        told = data.noise * data.scale[:, 0, 0] / level
        return (truth[2:3] / data.scale) * (1 + (told / factor).log().abs())[:, None, None]

    return network


@pytest.mark.parametrize("factor", FACTORS)
def test_the_factor_that_predicts_best_is_found(factor: float) -> None:
    data, truth = given()
    seen: list[NetworkInput] = []
    level = float(data.noise[2])
    middle = data.part(slice(2, 3))
    assert noise_factor(best_at(factor, truth, level, seen), middle) == factor
    for one in seen:
        withheld = middle.mask & ~one.mask
        assert withheld.any()
        assert not (withheld & middle.acs).any(), "maps rest on the ACS lines"
        assert (one.kspace[:, :, withheld[0, :, 0]] == 0).all()


def test_only_the_middle_slice_is_asked() -> None:
    data, truth = given()
    seen: list[NetworkInput] = []
    noise_factor(best_at(1.0, truth, 1.0, seen), data)
    assert len(seen) == 2 * len(FACTORS)


def test_without_lines_to_withhold_the_noise_is_as_it_is() -> None:
    data, _ = given(slice(0, 0))

    def never(_: NetworkInput) -> Tensor:
        raise AssertionError("nobody asked")

    assert noise_factor(never, data) == 1.0
    plane, _ = given()
    whole = NetworkInput(
        kspace=plane.kspace,
        mask=plane.mask.expand(-1, -1, 40),
        acs=plane.acs,
        maps=plane.maps,
        noise=plane.noise,
        scale=plane.scale,
    )
    assert noise_factor(never, whole) == 1.0
