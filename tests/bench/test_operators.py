"""Laws of the operators: unitarity, adjointness, and that what is not sampled can't leak."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from halfscan.bench import operators

SIZES = st.integers(1, 17)


def _random(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.complex64, generator=generator)


def _dot(a: torch.Tensor, b: torch.Tensor) -> complex:
    return complex((a.conj().to(torch.complex128) * b.to(torch.complex128)).sum())


@given(height=SIZES, width=SIZES)
@settings(max_examples=40, deadline=None)
def test_fourier_is_unitary_and_inverts_for_even_and_odd_sizes(height: int, width: int) -> None:
    image = _random(2, height, width)
    kspace = operators.to_kspace(image)
    torch.testing.assert_close(operators.to_image(kspace), image, rtol=1e-5, atol=1e-5)
    assert kspace.abs().square().sum().item() == pytest.approx(image.abs().square().sum().item(), rel=1e-5)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (9, 8), (7, 5)])
def test_fourier_is_centred(height: int, width: int) -> None:
    constant = operators.to_kspace(torch.ones(height, width, dtype=torch.complex64))
    assert constant.abs().argmax().item() == (height // 2) * width + width // 2
    torch.testing.assert_close(constant[height // 2, width // 2].real.item(), (height * width) ** 0.5)


@given(height=SIZES, width=SIZES, coils=st.integers(1, 4), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_encoding_and_its_adjoint(height: int, width: int, coils: int, seed: int) -> None:
    image, maps = _random(2, height, width, seed=seed), _random(2, coils, height, width, seed=seed + 1)
    kspace = _random(2, coils, height, width, seed=seed + 2)
    mask = torch.rand(height, 1, generator=torch.Generator().manual_seed(seed)) < 0.5
    left = _dot(operators.forward(image, maps, mask), kspace)
    right = _dot(image, operators.adjoint(kspace, maps, mask))
    assert abs(left - right) <= 1e-5 * (abs(left) + float(kspace.abs().sum()))


def test_unsampled_nan_does_not_leak() -> None:
    kspace = torch.full((1, 2, 4, 4), complex("nan"))
    kspace[:, :, 1] = 1
    mask = torch.tensor([False, True, False, False])[:, None]
    assert torch.isfinite(operators.to_image(operators.sample(kspace, mask)).abs()).all()


@pytest.mark.parametrize(("n", "length"), [(8, 4), (9, 4), (8, 5), (9, 5), (5, 5)])
def test_crop_keeps_the_centre_pixel(n: int, length: int) -> None:
    image = torch.zeros(n, n)
    image[n // 2, n // 2] = 1
    assert operators.centre_crop(image, (length, length))[length // 2, length // 2] == 1


def test_crop_refuses_to_grow() -> None:
    with pytest.raises(ValueError, match="can't crop 4 pixels to 5"):
        operators.centre_crop(torch.zeros(4, 4), (5, 4))
