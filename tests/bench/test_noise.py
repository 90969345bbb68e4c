"""The noise of k-space against simulated noise of a known level."""

from __future__ import annotations

import pytest
import torch

from halfscan.bench.noise import noise_level
from halfscan.bench.operators import expand, to_kspace

from ..conftest import phantom

HEIGHT, READOUT = 64, 96


def _noise(sigma: float, slices: int = 2, coils: int = 4, seed: int = 0) -> torch.Tensor:
    """Of a standard deviation in real and imaginary part."""
    generator = torch.Generator().manual_seed(seed)
    return sigma * 2**0.5 * torch.randn(slices, coils, HEIGHT, READOUT, dtype=torch.complex64, generator=generator)


def _blob() -> torch.Tensor:
    """K-space of a smooth object: nothing is left of it at the ends of the readout."""
    y, x = torch.meshgrid(torch.arange(HEIGHT) - HEIGHT / 2, torch.arange(READOUT) - READOUT / 2, indexing="ij")
    image = torch.exp(-(y**2) / 200 - x**2 / 150).to(torch.complex64).expand(2, -1, -1)
    return to_kspace(expand(100 * image, phantom(2, 4, HEIGHT, READOUT)[1]))


@pytest.mark.parametrize("sigma", [1e-6, 0.3, 1e4])
def test_noise_alone(sigma: float) -> None:
    assert noise_level(_noise(sigma), None).tolist() == pytest.approx([sigma, sigma], rel=0.05)


def test_an_object_that_the_ends_of_the_readout_do_not_see() -> None:
    found = noise_level(_blob() + _noise(0.3), None)
    assert found.tolist() == pytest.approx([0.3, 0.3], rel=0.05)


def test_edges_of_an_object_make_it_somewhat_high() -> None:
    kspace = phantom(2, 4, HEIGHT, READOUT)[2]
    found = noise_level(kspace + _noise(0.02), None)
    assert torch.all(found > 0.019)
    assert torch.all(found < 0.02 * 1.2)


def test_a_known_covariance_is_the_last_word() -> None:
    covariance = torch.diag(torch.tensor([1.0, 2.0, 3.0, 10.0])).to(torch.complex64)
    covariance[0, 1] = covariance[1, 0] = 0.4
    assert noise_level(_noise(77.0), covariance).tolist() == pytest.approx([2**0.5] * 2)


def test_the_louder_coil_counts_by_its_variance() -> None:
    noise = _noise(1.0)
    noise[:, 0] *= 5
    assert noise_level(noise, None).tolist() == pytest.approx([((25 + 3) / 4) ** 0.5] * 2, rel=0.06)


def test_zero_filled_ends_of_the_readout_are_no_samples() -> None:
    noise = _noise(0.3) + _blob()
    noise[..., :13] = 0
    noise[..., -7:] = 0
    assert noise_level(noise, None).tolist() == pytest.approx([0.3, 0.3], rel=0.06)


def test_lines_that_are_not_sampled_are_no_samples() -> None:
    noise = _noise(0.3) + _blob()
    noise[:, :, torch.arange(HEIGHT) % 4 != 0] = 0
    assert noise_level(noise, None).tolist() == pytest.approx([0.3, 0.3], rel=0.1)


def test_single_samples_that_are_missing_are_no_samples() -> None:
    missing = torch.rand(HEIGHT, READOUT, generator=torch.Generator().manual_seed(1)) < 0.7
    noise = (_noise(0.3) + _blob()) * ~missing
    assert noise_level(noise, None).tolist() == pytest.approx([0.3, 0.3], rel=0.1)


def test_a_slice_without_samples_has_no_noise_and_harms_no_other() -> None:
    noise = _noise(0.3)
    noise[1] = 0
    found = noise_level(noise, None)
    assert found[1] == 0
    assert found[0] == noise_level(noise[:1], None)[0]


def test_a_readout_of_one_sample() -> None:
    assert noise_level(_noise(0.3)[..., :1], None).tolist() == pytest.approx([0.3, 0.3], rel=0.2)


@pytest.mark.parametrize("factor", [1e-5, 1e5])
def test_follows_the_scale_of_the_data(factor: float) -> None:
    kspace = phantom(2, 4, HEIGHT, READOUT)[2] + _noise(0.02)
    torch.testing.assert_close(noise_level(factor * kspace, None), factor * noise_level(kspace, None), rtol=1e-5, atol=0)
