"""QA against known truths: analytic SENSE noise, Gaussians of known width, erased lesions, blurs that only look better."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import ndimage

from halfscan.bench.errors import HalfscanError
from halfscan.bench.operators import combine, sample, to_image
from halfscan.bench.qa.quality import NO_NOISE, Quality, Volume
from halfscan.bench.qa.replicas import noise_map
from halfscan.bench.qa.response import width
from halfscan.bench.qa.sites import object_mask, place_sites
from halfscan.bench.reconstruction import ReconInput
from halfscan.models.sense import Sense

from ...conftest import phantom

SIGMA = 1e-3


def _volume(reconstruct: Callable[[torch.Tensor], torch.Tensor] | None = None, noise: float | None = 0.02) -> Volume:
    """A fully sampled phantom; the reconstruction combines coils, and may do something to the image."""
    image, maps, kspace = phantom(slices=2, coils=4, height=64, width=64)
    mask = torch.ones(64, 1, dtype=torch.bool)
    cov = None if noise is None else torch.eye(4) * noise**2

    def plain(data: torch.Tensor) -> torch.Tensor:
        return combine(to_image(data), maps.repeat(data.shape[0] // 2, 1, 1, 1))

    data = ReconInput(kspace=kspace, mask=mask, acs=None, maps=maps, noise_cov=cov, field_of_view=(64, 64))
    after = reconstruct or (lambda found: found)
    return Volume(
        data=data, reconstruct=lambda found: after(plain(found)), object_image=image, object_maps=maps, digest="phantom"
    )


def _blur(sigma: float) -> Callable[[torch.Tensor], torch.Tensor]:
    def apply(image: torch.Tensor) -> torch.Tensor:
        found = image.numpy()
        parts = [ndimage.gaussian_filter(part, (0, sigma, sigma), mode="wrap") for part in (found.real, found.imag)]
        return torch.from_numpy(parts[0] + 1j * parts[1])

    return apply


QUALITY = Quality(replicas=40, sites=3)


def test_replicas_give_the_analytic_noise_of_sense() -> None:
    """R = 2, no ACS: unfolding two pixels has the noise sqrt((S^H S)^-1); the ratio to it is that of the g-factors."""
    _, maps, kspace = phantom(slices=1, coils=6, height=48, width=40)
    image = combine(to_image(kspace), maps)
    mask = torch.zeros(48, 1, dtype=torch.bool)
    mask[::2] = True
    model = Sense(regularisation=0.0, iterations=60, tolerance=1e-7)

    def reconstruct(data: torch.Tensor) -> torch.Tensor:
        copies = maps.repeat(data.shape[0], 1, 1, 1)
        return model(ReconInput(kspace=data, mask=mask, acs=None, maps=copies, noise_cov=None, field_of_view=(48, 40))).image

    cov = torch.eye(6) * SIGMA**2
    found = noise_map(reconstruct, sample(kspace, mask), mask, cov, replicas=200, seed=0).standard_deviation[0]
    folded = maps[0].reshape(6, 2, 24, 40)
    inverse = torch.linalg.inv(torch.einsum("ciyx,cjyx->yxij", folded.conj(), folded))
    # Half the complex variance falls into the magnitude, and twice the sampling density is missing.
    analytic = inverse.diagonal(dim1=-2, dim2=-1).real.sqrt().permute(2, 0, 1).reshape(48, 40) * SIGMA
    inside = torch.from_numpy(object_mask(image.abs().numpy())[0])
    assert float((found / analytic)[inside].median()) == pytest.approx(1.0, abs=0.05)


def test_replicas_see_correlated_noise() -> None:
    cov = torch.tensor([[1.0, 0.9j], [-0.9j, 1.0]], dtype=torch.complex64)
    kspace = torch.full((1, 2, 32, 32), 100.0, dtype=torch.complex64)
    mask = torch.ones(32, 1, dtype=torch.bool)

    def along(weights: list[complex]) -> float:
        vector = torch.tensor(weights)[None, :, None, None]
        found = noise_map(lambda data: (data * vector.conj()).sum(1), kspace, mask, cov, replicas=60, seed=1)
        return float(found.standard_deviation.median())

    # Weights along the covariance's eigenvectors: variances 1.9 and 0.1, half of them in the magnitude.
    assert along([1, -1j]) == pytest.approx(math.sqrt(2 * 1.9 / 2), rel=0.1)
    assert along([1, 1j]) == pytest.approx(math.sqrt(2 * 0.1 / 2), rel=0.1)


def test_unsampled_lines_get_no_noise() -> None:
    mask = torch.zeros(16, 1, dtype=torch.bool)
    mask[8] = True
    seen = []

    def reconstruct(data: torch.Tensor) -> torch.Tensor:
        seen.append(data)
        return data.sum(1)

    noise_map(reconstruct, torch.zeros(1, 2, 16, 16, dtype=torch.complex64), mask, torch.eye(2), replicas=3, seed=0)
    assert all(not data[:, :, mask[:, 0].logical_not()].any() for data in seen)


@pytest.mark.parametrize("sigma", [1.0, 1.5, 2.2, 3.0])
@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_the_width_of_a_gaussian(sigma: float, shift: float) -> None:
    line = np.exp(-((np.arange(64) - 30 - shift) ** 2) / (2 * sigma**2))
    assert width(line, 30, 15) == pytest.approx(2 * math.sqrt(2 * math.log(2)) * sigma, rel=0.03)


def test_a_width_that_is_none() -> None:
    assert width(np.zeros(64), 30, 7) is None
    assert width(np.ones(64), 30, 7) is None, "it does not fall to half within reach"


def test_a_perfect_reconstruction() -> None:
    found = QUALITY.measure(_volume())
    assert found["point_contrast@qa"].value == pytest.approx(1.0, abs=0.02)
    assert found["lesion_contrast@qa"].value == pytest.approx(1.0, abs=0.02)
    assert found["fwhm@qa"].value == pytest.approx(1.207, abs=0.01), "of a band-limited point, a sinc's"
    assert found["snr@qa"].value > 5
    assert found["lesion_dprime@qa"].value > 1


@pytest.mark.parametrize("sigma", [1.0, 2.0])
def test_the_point_response_of_a_known_blur(sigma: float) -> None:
    found = QUALITY.measure(_volume(_blur(sigma)))
    assert found["fwhm@qa"].value == pytest.approx(2.355 * sigma, rel=0.03)
    assert found["fwhm@qa"].unit == "px"


def test_a_blur_doubles_snr_and_is_found_out_by_its_width() -> None:
    """σ = 0.6 pixels doubles white noise's SNR; the width, not the SNR, tells it from a better reconstruction."""
    sharp, soft = QUALITY.measure(_volume()), QUALITY.measure(_volume(_blur(0.6)))
    assert soft["snr@qa"].value / sharp["snr@qa"].value > 1.9
    assert soft["fwhm@qa"].value / sharp["fwhm@qa"].value > 1.05


def test_snr_follows_the_noise() -> None:
    loud, quiet = (QUALITY.measure(_volume(noise=noise))["snr@qa"].value for noise in (0.02, 0.01))
    assert quiet / loud == pytest.approx(2.0, rel=0.02), "the same draws of noise, halved"


def test_an_eraser_of_lesions_is_caught() -> None:
    image = _volume().object_image

    def erase(found: torch.Tensor) -> torch.Tensor:
        truth = image.repeat(found.shape[0] // 2, 1, 1)
        return truth + 0.2 * (found - truth)

    found = QUALITY.measure(_volume(erase))
    assert found["lesion_contrast@qa"].value == pytest.approx(0.2, abs=0.02)
    assert found["point_contrast@qa"].value == pytest.approx(0.2, abs=0.02)


def test_without_a_measured_covariance_noise_is_null_and_says_why() -> None:
    found = QUALITY.measure(_volume(noise=None))
    for name in ("snr@qa", "lesion_dprime@qa"):
        assert found[name].value is None
        assert found[name].reason == NO_NOISE
    assert found["fwhm@qa"].value is not None


def test_sites_lie_apart_inside_the_object() -> None:
    inside = np.zeros((2, 80, 80), dtype=bool)
    inside[0, 10:70, 10:70] = True
    sites = place_sites(inside, 6, 16, 4, seed=3)
    assert sites == place_sites(inside, 6, 16, 4, seed=3)
    assert {site.slice for site in sites} == {0}
    assert 4 <= len(sites) <= 6
    for index, site in enumerate(sites):
        assert 14 <= site.y < 66
        assert all(max(abs(site.y - other.y), abs(site.x - other.x)) >= 16 for other in sites[:index])


def test_an_object_without_room_says_so() -> None:
    small = _volume()
    tiny = torch.zeros_like(small.object_image)
    tiny[:, 30:34, 30:34] = 1
    found = Quality(replicas=4).measure(
        Volume(data=small.data, reconstruct=small.reconstruct, object_image=tiny, object_maps=small.object_maps, digest="x")
    )
    assert found["lesion_contrast@qa"].value is None
    assert "no site fits" in (found["lesion_contrast@qa"].reason or "")


@pytest.mark.parametrize(
    "setting", [{"replicas": 1}, {"sites": 0}, {"spacing": 2}, {"lesion_radius": 0.0}, {"point_amplitude": -1.0}], ids=str
)
def test_impossible_settings_are_refused_by_name(setting: dict[str, float]) -> None:
    with pytest.raises(HalfscanError, match=f"qa.{next(iter(setting))}"):
        Quality(**setting)
