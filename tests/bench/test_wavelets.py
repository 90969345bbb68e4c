"""Wavelets keep the laws of an orthonormal basis with four vanishing moments, and are PyWavelets' own."""

from __future__ import annotations

import pytest
import torch

from halfscan.bench.wavelets import Wavelets

SIZES = [((16, 32), 1), ((48, 32), 3), ((32, 64), 4), ((16, 16), 4), ((2, 4), 1)]
CPU = torch.device("cpu")


def _random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("size", "levels"), SIZES)
def test_the_basis_is_orthonormal(size: tuple[int, int], levels: int) -> None:
    """Every picture of one coefficient, against every other."""
    pixels = size[0] * size[1]
    chosen = torch.arange(0, pixels, max(1, pixels // 256))
    units = torch.zeros(len(chosen), pixels).scatter_(1, chosen[:, None], 1).reshape(-1, *size)
    basis = Wavelets(size, levels, CPU).synthesise(units).flatten(1)
    torch.testing.assert_close(basis @ basis.mT, torch.eye(len(chosen)), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("size", "levels"), SIZES)
def test_synthesis_is_inverse_and_adjoint(size: tuple[int, int], levels: int) -> None:
    wavelets, pictures, coefficients = Wavelets(size, levels, CPU), _random(2, 3, *size), _random(2, 3, *size, seed=1)
    before = pictures.clone()
    torch.testing.assert_close(wavelets.synthesise(wavelets.analyse(pictures)), pictures, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(wavelets.analyse(wavelets.synthesise(coefficients)), coefficients, rtol=1e-5, atol=1e-5)
    left, right = (wavelets.analyse(pictures) * coefficients).sum(), (pictures * wavelets.synthesise(coefficients)).sum()
    assert (left - right).abs() < 1e-5 * pictures.norm() * coefficients.norm()
    assert torch.equal(pictures, before)


@pytest.mark.parametrize(("size", "levels"), SIZES)
def test_a_constant_picture_is_its_coarse_scale(size: tuple[int, int], levels: int) -> None:
    coefficients = Wavelets(size, levels, CPU).analyse(torch.full((1, *size), 3.0))
    coarse = (slice(None), slice(size[0] >> levels), slice(size[1] >> levels))
    torch.testing.assert_close(coefficients[coarse], torch.full_like(coefficients[coarse], 3.0 * 2**levels), rtol=1e-5, atol=0)
    coefficients[coarse] = 0
    assert coefficients.abs().max() < 1e-4


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_polynomials_up_to_the_third_degree_have_no_details(degree: int) -> None:
    """Four vanishing moments; a detail that reaches over the edge sees the jump there."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, 64), torch.linspace(-1, 1, 48), indexing="ij")
    inside = (slice(-3), slice(-3))
    for picture in (y**degree, x**degree, (y + 0.5 * x) ** degree):
        coefficients = Wavelets((64, 48), 1, CPU).analyse(picture)
        for details in (coefficients[32:, :24], coefficients[:32, 24:], coefficients[32:, 24:]):
            assert details[inside].abs().max() < 1e-5
    assert Wavelets((64, 48), 1, CPU).analyse(y**4)[32:, :24][inside].abs().max() > 1e-5


def test_a_level_is_the_transform_of_the_coarse_scale() -> None:
    pictures = _random(2, 48, 32)
    two, one = Wavelets((48, 32), 2, CPU).analyse(pictures), Wavelets((48, 32), 1, CPU).analyse(pictures)
    torch.testing.assert_close(two[:, :24, :16], Wavelets((24, 16), 1, CPU).analyse(one[:, :24, :16]))
    assert torch.equal(two[:, 24:], one[:, 24:])
    assert torch.equal(two[:, :24, 16:], one[:, :24, 16:])


def test_axes_are_treated_alike() -> None:
    picture = _random(48, 32)
    along = Wavelets((48, 32), 3, CPU).analyse(picture)
    torch.testing.assert_close(Wavelets((32, 48), 3, CPU).analyse(picture.mT), along.mT, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [(32, 48), (16, 64)])
def test_are_those_of_pywavelets(size: tuple[int, int]) -> None:
    """A level of db4 of PyWavelets, whose grid starts one pixel before and whose coefficients are numbered from two later."""
    pywt = pytest.importorskip("pywt")
    picture = _random(*size)
    ours = Wavelets(size, 1, CPU).analyse(picture)
    averages, (along_a, along_b, both) = pywt.dwt2(picture.roll((1, 1), (0, 1)).numpy(), "db4", mode="periodization")
    a, b = size[0] // 2, size[1] // 2
    parts = {"averages": (ours[:a, :b], averages), "a": (ours[a:, :b], along_a), "b": (ours[:a, b:], along_b)}
    for part, theirs in (*parts.values(), (ours[a:, b:], both)):
        # Details have the other sign there.
        torch.testing.assert_close(part.roll((2, 2), (0, 1)).abs(), torch.from_numpy(theirs).abs(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("size", "levels", "padded"), [((48, 32), 4, (48, 32)), ((49, 31), 4, (64, 32)), ((1, 17), 1, (2, 18)), ((3, 5), 3, (8, 8))]
)
@pytest.mark.parametrize("shift", [(0, 0), (3, 0), (0, 7), (15, 1), (-2, 40)])
def test_pictures_of_any_size_are_padded_and_shifted(
    size: tuple[int, int], levels: int, padded: tuple[int, int], shift: tuple[int, int]
) -> None:
    pictures, coefficients = _random(2, *size), _random(2, *padded, seed=1)
    wavelets, plain = Wavelets(size, levels, CPU, shift), Wavelets(padded, levels, CPU)
    assert wavelets.size == padded
    larger = torch.zeros(2, *padded)
    larger[:, : size[0], : size[1]] = pictures
    torch.testing.assert_close(wavelets.analyse(pictures), plain.analyse(larger.roll(shift, (1, 2))), rtol=1e-5, atol=1e-5)
    back = plain.synthesise(coefficients).roll((-shift[0], -shift[1]), (1, 2))[:, : size[0], : size[1]]
    torch.testing.assert_close(wavelets.synthesise(coefficients), back, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(wavelets.synthesise(wavelets.analyse(pictures)), pictures, rtol=1e-5, atol=1e-5)
