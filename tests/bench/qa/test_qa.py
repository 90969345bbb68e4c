"""QA against known truths: analytic SENSE noise, Gaussians of known width, erased lesions, blurs that only look better."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from halfscan.bench.errors import HalfscanError
from halfscan.bench.operators import combine, sample, to_image
from halfscan.bench.qa.quality import DEAF, FAINT, NO_NOISE, Quality, Volume
from halfscan.bench.qa.replicas import noise_map
from halfscan.bench.qa.response import lesion_templates, point_widths, width
from halfscan.bench.qa.sites import Site, object_mask, place_sites
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


def _blur(sigma: float, along_x: float | None = None) -> Callable[[torch.Tensor], torch.Tensor]:
    widths = (0, sigma, sigma if along_x is None else along_x)

    def apply(image: torch.Tensor) -> torch.Tensor:
        found = image.numpy()
        parts = [ndimage.gaussian_filter(part, widths, mode="wrap") for part in (found.real, found.imag)]
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


def test_a_singular_covariance_is_no_obstacle() -> None:
    """Two coils that carry the same noise: their difference has none."""
    mask = torch.ones(32, 1, dtype=torch.bool)
    kspace = torch.ones(1, 2, 32, 32, dtype=torch.complex64) * torch.tensor([3.0, 1.0])[:, None, None]
    found = noise_map(lambda data: data[:, 0] - data[:, 1], kspace, mask, torch.ones(2, 2), replicas=20, seed=1)
    assert float(found.standard_deviation.max()) < 1e-6
    found = noise_map(lambda data: data[:, 0] + data[:, 1], kspace, mask, torch.ones(2, 2), replicas=100, seed=1)
    assert float(found.standard_deviation.median()) == pytest.approx(math.sqrt(2), rel=0.1)


def test_faint_noise_on_a_bright_image_is_no_rounding() -> None:
    mask = torch.ones(32, 1, dtype=torch.bool)
    kspace = torch.full((1, 1, 32, 32), 1e4, dtype=torch.complex128)
    found = noise_map(lambda data: data[:, 0], kspace, mask, torch.eye(1) * 2e-12, replicas=100, seed=1)
    assert float(found.standard_deviation.median()) == pytest.approx(1e-6, rel=0.1)
    still = noise_map(lambda data: data[:, 0].abs() * 0 + 1e4, kspace, mask, torch.eye(1), replicas=10, seed=1)
    assert not still.standard_deviation.any()
    assert bool((still.mean == 1e4).all())


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


def test_a_point_without_a_width_counts_as_infinitely_wide() -> None:
    response = np.zeros((1, 64, 64))
    response[0, 16, 16] = 1.0
    response[0, 48, 48] = 0.001
    widths = point_widths(response, [Site(0, 16, 16), Site(0, 48, 48), Site(0, 16, 48)], np.ones(3), 7)
    assert widths[0] == pytest.approx(1.207, abs=0.01)
    assert np.isinf(widths[1:]).all()


def test_a_perfect_reconstruction() -> None:
    found = QUALITY.measure(_volume())
    assert found["bias@qa"].value < 0.001
    assert found["off_target@qa"].value < 0.001
    assert found["lesion_missed@qa"].value == 0
    assert found["point_contrast@qa"].value == pytest.approx(1.0, abs=0.02)
    assert found["lesion_contrast@qa"].value == pytest.approx(1.0, abs=0.02)
    assert found["fwhm@qa"].value == pytest.approx(1.207, abs=0.01), "of a band-limited point, a sinc's"
    assert found["snr@qa"].value > 5
    assert found["lesion_dprime@qa"].value > 1


@pytest.mark.parametrize("sigma", [1.0, 2.0, 3.0])
def test_the_point_response_of_a_known_blur(sigma: float) -> None:
    found = QUALITY.measure(_volume(_blur(sigma)))
    assert found["fwhm@qa"].value == pytest.approx(2.355 * sigma, rel=0.03)
    assert found["fwhm@qa"].unit == "px"


def test_a_blur_along_one_axis_is_not_halved_by_the_other() -> None:
    for blur in (_blur(2.0, 0.0), _blur(0.0, 2.0)):
        assert QUALITY.measure(_volume(blur))["fwhm@qa"].value == pytest.approx(4.71, rel=0.03)


def test_where_most_points_are_lost_there_is_no_width_and_it_says_how_many() -> None:
    soft = _blur(7.0)

    def mostly(image: torch.Tensor) -> torch.Tensor:
        return torch.where(torch.arange(64) < 42, soft(image), image)

    found = QUALITY.measure(_volume(mostly))
    assert found["fwhm@qa"].value is None
    assert "of 6 points have no width" in (found["fwhm@qa"].reason or "")
    assert found["lesion_missed@qa"].value > 0.5


@pytest.mark.parametrize("gain", [0.5, 1.2])
def test_brightness_is_bias_and_neither_signal_nor_contrast(gain: float) -> None:
    plain, found = QUALITY.measure(_volume()), QUALITY.measure(_volume(lambda image: image * gain))
    assert found["bias@qa"].value == pytest.approx(abs(gain - 1), abs=0.001)
    for name in ("point_contrast@qa", "lesion_contrast@qa", "lesion_dprime@qa"):
        assert found[name].value == pytest.approx(plain[name].value, rel=0.01)


def test_an_added_brightness_raises_no_snr_and_lowers_the_contrast() -> None:
    plain, found = QUALITY.measure(_volume()), QUALITY.measure(_volume(lambda image: image + torch.sgn(image)))
    assert found["snr@qa"].value == pytest.approx(plain["snr@qa"].value, rel=0.01)
    assert found["bias@qa"].value > 0.5
    assert found["lesion_contrast@qa"].value < 0.7


def test_too_much_contrast_is_as_wrong_as_too_little() -> None:
    image = _volume().object_image
    found = QUALITY.measure(_volume(lambda shown: image + 1.3 * (shown - image) if len(shown) == 2 else shown))
    assert found["lesion_contrast@qa"].value == pytest.approx(0.7, abs=0.01)
    assert found["point_contrast@qa"].value == pytest.approx(0.7, abs=0.01)


def test_lesions_that_are_lost_are_counted_though_the_median_keeps_its_contrast() -> None:
    image = _volume().object_image

    def remember(found: torch.Tensor) -> torch.Tensor:
        return torch.where(torch.arange(64) < 20, image.repeat(found.shape[0] // 2, 1, 1), found)

    found = QUALITY.measure(_volume(remember))
    assert found["lesion_contrast@qa"].value == pytest.approx(1.0, abs=0.02)
    assert found["lesion_missed@qa"].value in (1 / 6, 2 / 6)


@pytest.mark.parametrize("strength", [0.1, 1.0])
def test_a_ghost_is_energy_off_target(strength: float) -> None:
    found = QUALITY.measure(_volume(lambda image: image + strength * torch.roll(image, 32, 1)))
    assert found["off_target@qa"].value == pytest.approx(strength, rel=0.02)


def test_an_image_that_does_not_follow_its_noise_has_no_snr() -> None:
    image = _volume().object_image
    found = QUALITY.measure(_volume(lambda shown: image.repeat(shown.shape[0] // 2, 1, 1)))
    assert found["snr@qa"].reason == DEAF
    assert found["off_target@qa"].value is None
    assert (found["lesion_dprime@qa"].value, found["lesion_missed@qa"].value) == (0.0, 1.0)


def test_detectability_is_the_analytic_one_of_white_noise() -> None:
    """d' of a known shape in white noise: the norm of what the observer sees over σ of one channel."""
    one = replace(_volume(), digest="d'")
    truth = one.object_image.abs().double().numpy()
    found = Quality(replicas=400, sites=3).measure(one)["lesion_dprime@qa"].value
    seed = int.from_bytes(hashlib.sha256(b"d'").digest()[:7], "big")
    sites = place_sites(object_mask(truth), 3, 16, 4, seed)
    norms = [np.linalg.norm(template.observer) for template in lesion_templates(truth.shape, sites, 3.0)]
    heights = [0.2 * truth[site.slice, site.y, site.x] for site in sites]
    assert found == pytest.approx(np.median(np.multiply(heights, norms)) / (0.02 / math.sqrt(2)), rel=0.05)


def _noisy(snr: float) -> Volume:
    """Data with noise of their own, and the same without."""
    clean = _volume(noise=math.sqrt(2) / snr)
    generator = torch.Generator().manual_seed(3)
    noise = torch.view_as_complex(torch.randn(*clean.data.kspace.shape, 2, generator=generator)) / snr
    return replace(clean, data=replace(clean.data, kspace=clean.data.kspace + noise), noise_free=clean.data.kspace)


@pytest.mark.parametrize("snr", [1.0, 2.0, 8.0])
def test_snr_is_true_down_to_the_noise_itself(snr: float) -> None:
    truth = _noisy(snr).object_image.abs().numpy()
    found = QUALITY.measure(_noisy(snr))["snr@qa"].value
    assert found == pytest.approx(float(np.median(truth[object_mask(truth)])) * snr, rel=0.05)


def test_a_magnitude_tells_no_snr_below_4() -> None:
    faint = _noisy(2.0)
    magnitude = replace(faint, reconstruct=lambda data: faint.reconstruct(data).abs())
    for one in (magnitude, replace(faint, noise_free=None)):
        assert QUALITY.measure(one)["snr@qa"].reason == FAINT
    assert QUALITY.measure(replace(_volume(), reconstruct=lambda data: _volume().reconstruct(data).abs()))["snr@qa"].value > 5


def test_replicas_are_drawn_about_data_without_noise_where_they_exist() -> None:
    """A network's answer to noise on noisy data is not its answer to noise: of a threshold, the former may be nothing."""

    def threshold(image: torch.Tensor) -> torch.Tensor:
        coarse = _blur(2.0)(image)
        detail = image - coarse
        return coarse + torch.where(detail.abs() > 0.3, detail, 0)

    noisy = _noisy(8.0)
    plain = noisy.reconstruct
    noisy = replace(noisy, reconstruct=lambda data: threshold(plain(data)))
    assert noisy.noise_free is not None
    clean = replace(noisy, data=replace(noisy.data, kspace=noisy.noise_free))
    for name in ("snr@qa", "bias@qa"):
        assert QUALITY.measure(noisy)[name].value == QUALITY.measure(clean)[name].value
    assert QUALITY.measure(replace(noisy, noise_free=None))["snr@qa"].value != QUALITY.measure(clean)["snr@qa"].value


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


def test_a_pixel_more_or_less_in_the_object_moves_no_site() -> None:
    inside = np.zeros((2, 80, 80), dtype=bool)
    inside[:, 10:70, 10:70] = True
    sites = place_sites(inside, 6, 16, 4, seed=3)
    inside[:, 10, 40] = False
    assert place_sites(inside, 6, 16, 4, seed=3) == sites


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
    "setting",
    [{"replicas": 1}, {"sites": 0}, {"spacing": 11}, {"lesion_radius": 0.0}, {"lesion_radius": 8.0}, {"point_amplitude": -1.0}],
    ids=str,
)
def test_impossible_settings_are_refused_by_name(setting: dict[str, float]) -> None:
    with pytest.raises(HalfscanError, match=f"qa.{next(iter(setting))}"):
        Quality(**setting)
