"""The candidate lies where it was put: by its header, by a movement of the patient, or by both."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import affine_transform, zoom
from scipy.ndimage import shift as moved_by

from halfscan.bench.errors import HalfscanError
from halfscan.bench.pair.registration import register

from .images import AFFINE, images, moved
from .writing import anatomy, noisy


@pytest.fixture
def stack() -> np.ndarray:
    return anatomy(0)


def _noisy(stack: np.ndarray, seed: int, deviation: float = 4.0) -> np.ndarray:
    return noisy(stack, deviation, seed)


def test_series_at_one_place_need_no_shift(stack: np.ndarray) -> None:
    found = register(images(_noisy(stack, 0)), images(_noisy(stack, 1)))
    assert np.hypot(*found.shift_mm) < 0.06
    assert (found.slices, found.reason) == (((0, 0), (1, 1), (2, 2)), None)
    np.testing.assert_allclose(found.to_reference, np.eye(3, 4), atol=0.1)


@pytest.mark.parametrize(("rows", "columns"), [(3.0, -2.0), (0.5, 0.0), (-1.25, 2.5)])
def test_a_patient_who_moved_is_found(stack: np.ndarray, rows: float, columns: float) -> None:
    """The headers agree and the anatomy does not."""
    candidate = moved_by(stack, (0, rows, columns), order=1)
    found = register(images(_noisy(stack, 0)), images(_noisy(candidate, 1)))
    assert found.shift_mm == pytest.approx((-rows * 0.8, -columns * 0.5), abs=0.1)
    assert found.correlation > found.correlation_before
    assert found.correlation > 0.97
    np.testing.assert_allclose(found.to_reference @ [1, 20, 20, 1], [1, 20 - rows, 20 - columns], atol=0.15)


@pytest.mark.parametrize("degrees", [-6.0, 4.0])
def test_a_head_that_turned_is_found(stack: np.ndarray, degrees: float) -> None:
    """In millimetres, on pixels that are no squares: known points land where they were."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    spacing, middle = np.array([0.8, 0.5]), (np.array(stack.shape[1:]) - 1) / 2
    matrix = np.array([[cosine, -sine], [sine, cosine]]) * spacing / spacing[:, None]
    # An output pixel shows what lay at matrix @ (pixel − middle) + middle.
    turned = np.stack([affine_transform(one, matrix, middle - matrix @ middle, order=1) for one in stack])
    found = register(images(_noisy(stack, 0, 1.0)), images(_noisy(turned, 1, 1.0)))
    assert found.rotation_deg == pytest.approx(degrees, abs=0.7)
    for point in ((10, 12), (35, 30)):
        where = matrix @ (np.array(point) - middle) + middle
        np.testing.assert_allclose(found.to_reference @ [1, *point, 1], [1, *where], atol=0.4)


def test_a_rotation_beyond_what_is_sought_is_not_believed(stack: np.ndarray) -> None:
    from scipy.ndimage import rotate

    isotropic = AFFINE.copy()
    isotropic[0, 2] = 0.8
    turned = np.stack([rotate(one, 14, reshape=False, order=1) for one in stack])
    found = register(images(stack, isotropic), images(turned, isotropic))
    assert found.reason == "one of both series is turned by 10° or more"


def test_large_pictures_are_sought_in_coarsely_and_found_finely(stack: np.ndarray) -> None:
    fine = AFFINE.copy()
    fine[:, 1:3] /= 8
    large = zoom(stack[:1], (1, 8, 8), order=1)
    found = register(images(large, fine), images(moved_by(large, (0, 13.0, -5.0), order=1), fine))
    assert found.shift_mm == pytest.approx((-13 * 0.1, 5 * 0.0625), abs=0.02)


def test_slices_that_lie_apart_are_named(stack: np.ndarray) -> None:
    found = register(images(stack), images(stack, moved(AFFINE, slices=0.2)))
    assert found.apart_mm == pytest.approx(0.2 * 4.4)
    with pytest.raises(HalfscanError, match="more than a quarter of a step apart"):
        register(images(stack), images(stack, moved(AFFINE, slices=0.4)))


@pytest.mark.parametrize("deviation", [4, 24])
def test_noise_moves_nobody(stack: np.ndarray, deviation: float) -> None:
    """A quarter of the object's brightness, too: what is compared is filtered."""
    for seed in range(6):
        found = register(images(_noisy(stack, seed, deviation)), images(_noisy(stack, 100 + seed, deviation)))
        assert (found.shift_mm, found.rotation_deg, found.reason) == ((0.0, 0.0), 0.0, None)
        assert found.correlation > 0.95


def test_a_header_that_says_it_needs_no_shift(stack: np.ndarray) -> None:
    """Another field of view of the same anatomy."""
    candidate = stack[:, 4:, 6:]
    found = register(images(_noisy(stack, 0)), images(_noisy(candidate, 1), moved(AFFINE, rows=4, columns=6)))
    assert np.hypot(*found.shift_mm) < 0.06
    np.testing.assert_allclose(found.to_reference @ [2, 0, 0, 1], [2, 4, 6], atol=0.1)


def test_other_pixels_of_the_same_anatomy(stack: np.ndarray) -> None:
    """Twice as many, and no shift: the first pixel's centre lies a quarter of a large pixel before."""
    fine = AFFINE.copy()
    fine[:, 1:3] /= 2
    fine = moved(fine, rows=-0.5, columns=-0.5)
    found = register(images(stack), images(zoom(stack, (1, 2, 2), order=0), fine))
    assert np.hypot(*found.shift_mm) < 0.06
    np.testing.assert_allclose(found.to_reference @ [0, 1, 1, 1], [0, 0.25, 0.25], atol=0.1)


def test_slices_are_matched_by_their_places(stack: np.ndarray) -> None:
    found = register(images(_noisy(stack, 0)), images(_noisy(stack[1:], 1), moved(AFFINE, slices=1)))
    assert found.slices == ((1, 0), (2, 1))
    np.testing.assert_allclose(found.to_reference @ [0, 5, 5, 1], [1, 5, 5], atol=0.1)


def test_another_thing_does_not_agree(stack: np.ndarray) -> None:
    rng = np.random.default_rng(3)
    found = register(images(_noisy(stack, 0)), images(rng.rayleigh(4.0, stack.shape)))
    assert "both series agree by a correlation of" in (found.reason or "")
    assert register(images(stack), images(np.zeros_like(stack))).reason == "one of both series is empty"


def test_it_is_the_same_both_ways(stack: np.ndarray) -> None:
    one, two = images(_noisy(stack, 0)), images(_noisy(moved_by(stack, (0, 2, 1), order=1), 1))
    there, back = register(one, two), register(two, one)
    np.testing.assert_allclose(there.shift_mm, [-value for value in back.shift_mm], atol=0.1)


def test_what_can_not_be_brought_together_is_refused(stack: np.ndarray) -> None:
    turned = AFFINE.copy()
    turned[:, 1:3] = turned[:, 1:3] @ [[0.95, -0.31], [0.31, 0.95]]
    for affine, message in (
        (None, "does not say where its slices lie"),
        (turned, "lie in other directions"),
        (np.full((3, 4), np.nan), "lie in other directions"),
        (-AFFINE, "lie in other directions"),
        (moved(AFFINE, slices=7), "share no slice"),
    ):
        with pytest.raises(HalfscanError, match=message):
            register(images(stack), images(stack, affine))
        with pytest.raises(HalfscanError, match=message):
            register(images(stack, affine), images(stack))
