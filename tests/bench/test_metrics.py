"""Metrics against fastMRI's own evaluation, and an honest null where a score is not defined."""

import numpy as np
import pytest

from halfscan.bench.errors import HalfscanError
from halfscan.bench.metrics import METRICS, Profile, object_mask

PROFILE = Profile(name="fastmri", truth="rss")

# fastMRI 0.3.0: `evaluate.nmse`, `psnr`, `ssim` after its centre crop to (20, 20), on the arrays of `_volumes`.
FASTMRI = {"nmse": 0.0015253474943008884, "psnr": 36.917631551987974, "ssim": 0.9809423382449234}


def _volumes() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.RandomState(7)
    truth = np.abs(rng.standard_normal((3, 24, 20))).cumsum(-1).cumsum(-2)
    image = truth + rng.standard_normal(truth.shape) * 5
    # fastMRI stores (slice, readout, phase); here it is (slice, ky, kx).
    return truth.swapaxes(1, 2), image.swapaxes(1, 2)


def test_equals_fastmri() -> None:
    scores = PROFILE.score(*_volumes())
    for metric, expected in FASTMRI.items():
        assert scores[f"{metric}@fastmri"].value == pytest.approx(expected, rel=1e-6), metric


def test_psnr_and_nmse_are_one_endpoint() -> None:
    truth, image = _volumes()
    better = truth + (image - truth) / 3
    one, two = PROFILE.score(truth, image), PROFILE.score(truth, better)
    gain = two["psnr@fastmri"].value - one["psnr@fastmri"].value
    assert gain == pytest.approx(-10 * np.log10(two["nmse@fastmri"].value / one["nmse@fastmri"].value))


def test_a_perfect_image_has_no_finite_psnr() -> None:
    truth, _ = _volumes()
    scores = PROFILE.score(truth, truth)
    assert scores["nmse@fastmri"].value == 0
    assert scores["ssim@fastmri"].value == pytest.approx(1)
    assert scores["psnr@fastmri"].value is None
    assert "infinite" in (scores["psnr@fastmri"].reason or "")


def test_an_image_smaller_than_the_window_has_no_ssim() -> None:
    truth = np.ones((1, 5, 20))
    scores = PROFILE.score(truth, truth + 0.1)
    assert scores["ssim@fastmri"].value is None
    assert "7 pixel window" in (scores["ssim@fastmri"].reason or "")
    assert scores["nmse@fastmri"].value == pytest.approx(0.01)


def test_nan_and_an_empty_truth_are_null_with_the_reason() -> None:
    truth, image = _volumes()
    for bad in (PROFILE.score(truth, np.full_like(image, np.nan)), PROFILE.score(np.zeros_like(truth), image)):
        assert len(bad) == len(METRICS)
        assert all(score.value is None and score.reason for score in bad.values())


def test_shapes_must_agree() -> None:
    truth, image = _volumes()
    with pytest.raises(HalfscanError, match="must agree"):
        PROFILE.score(truth, image[:, 1:])


def test_nmse_of_the_object_ignores_the_background() -> None:
    truth = np.zeros((1, 40, 40))
    truth[0, 10:30, 10:30] = 1
    image = truth.copy()
    image[0, :4] = 0.5
    inside = object_mask(truth)
    assert inside[0, 12, 12]
    assert not inside[0, :4].any()
    scores = PROFILE.score(truth, image)
    assert scores["nmse_object@fastmri"].value == 0
    assert scores["nmse@fastmri"].value > 0


def test_units_do_not_matter() -> None:
    truth, image = _volumes()
    small = PROFILE.score(truth * 1e-6, image * 1e-6)
    for name, score in PROFILE.score(truth, image).items():
        assert small[name].value == pytest.approx(score.value, rel=1e-6)


def test_an_unknown_truth_is_refused() -> None:
    with pytest.raises(HalfscanError, match=r"metrics.x.truth=median is unknown: use rss or mvue"):
        Profile(name="x", truth="median")
