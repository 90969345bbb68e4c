"""Whitening and compression against their definitions."""

from __future__ import annotations

import pytest
import torch

from halfscan.bench.coils import compression, mix, whitening
from halfscan.bench.errors import HalfscanError

from ..conftest import phantom


def _random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed))


def _covariance(coils: int = 5, seed: int = 0) -> torch.Tensor:
    root = _random(coils, coils, seed=seed)
    return root @ root.mH + torch.eye(coils)


@pytest.mark.parametrize("level", [1e-9, 1.0, 1e6])
def test_whitened_noise_is_white_and_as_loud_as_it_was(level: float) -> None:
    covariance = level * _covariance()
    mixing = whitening(covariance)
    assert mixing.shape == (1, 5, 5)
    variance = covariance.diagonal().real.mean()
    white = mixing[0] @ covariance @ mixing[0].mH
    torch.testing.assert_close(white / variance, torch.eye(5, dtype=torch.complex64), rtol=0, atol=1e-4)


def test_each_slice_has_a_covariance_of_its_own() -> None:
    both = torch.stack([_covariance(seed=1), 9 * _covariance(seed=2)])
    torch.testing.assert_close(whitening(both), torch.cat([whitening(one) for one in both]))


def test_white_noise_of_equal_coils_stays_as_it_is() -> None:
    torch.testing.assert_close(whitening(3.7 * torch.eye(4, dtype=torch.complex64))[0], torch.eye(4, dtype=torch.complex64))


@pytest.mark.parametrize(
    "covariance",
    [torch.zeros(3, 3), torch.diag(torch.tensor([1.0, -1.0, 1.0])), torch.ones(3, 3), torch.full((3, 3), torch.nan)],
    ids=["zero", "negative", "singular", "nan"],
)
def test_a_covariance_that_is_none_is_refused(covariance: torch.Tensor) -> None:
    with pytest.raises(HalfscanError, match=r"not positive definite.*model\.prewhiten=false"):
        whitening(covariance.to(torch.complex64))


def test_virtual_coils_are_orthonormal() -> None:
    rows = compression(_random(3, 6, 20, 16), 4)
    assert rows.shape == (3, 4, 6)
    torch.testing.assert_close(rows @ rows.mH, torch.eye(4, dtype=torch.complex64).expand(3, -1, -1), rtol=0, atol=1e-5)


@pytest.mark.parametrize("number", [1, 3, 5])
def test_virtual_coils_hold_as_much_energy_as_any_can(number: int) -> None:
    """The sum of the largest squared singular values: Eckart and Young."""
    kspace = phantom(slices=2, coils=6)[2]
    kept = mix(compression(kspace, number), kspace).abs().square().sum((1, 2, 3))
    singular = torch.linalg.svdvals(kspace.flatten(2))
    torch.testing.assert_close(kept, singular[:, :number].square().sum(1), rtol=1e-4, atol=0)


def test_as_many_virtual_coils_as_coils_keep_everything() -> None:
    kspace = _random(2, 4, 12, 10)
    rows = compression(kspace, 4)
    torch.testing.assert_close(mix(rows.mH, mix(rows, kspace)), kspace, rtol=1e-4, atol=1e-5)


def test_a_slice_without_signal_is_compressed_all_the_same() -> None:
    kspace = _random(2, 4, 12, 10)
    kspace[1] = 0
    rows = compression(kspace, 2)
    torch.testing.assert_close(rows @ rows.mH, torch.eye(2, dtype=torch.complex64).expand(2, -1, -1), rtol=0, atol=1e-5)
    torch.testing.assert_close(rows[:1], compression(kspace[:1], 2))


def test_mixing_is_a_product_over_the_coils() -> None:
    mixing, coils = _random(2, 3, 4), _random(2, 4, 6, 5, seed=1)
    torch.testing.assert_close(mix(mixing, coils), torch.einsum("svc,scyx->svyx", mixing, coils), rtol=1e-4, atol=1e-5)
    sets = _random(2, 2, 4, 6, 5, seed=2)
    torch.testing.assert_close(mix(mixing[:, None], sets), torch.einsum("svc,smcyx->smvyx", mixing, sets), rtol=1e-4, atol=1e-5)
