"""Tails against SciPy's exact binomial, crossed seeds against an analysis of variance by hand, Holm by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from halfscan.bench.claims.seeds import SEEDS_NEEDED, crossed_error
from halfscan.bench.claims.several import climb, holm, union
from halfscan.bench.claims.tail import allowed_failures, lower_share, tail

# Tails -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("patients", [1, 20, 36, 72, 200])
@pytest.mark.parametrize("alpha", [0.025, 0.05])
def test_the_bound_is_clopper_and_pearson_s(patients: int, alpha: float) -> None:
    for successes in {0, 1, patients // 2, patients - 1, patients}:
        exact = stats.binomtest(successes, patients, alternative="greater").proportion_ci(1 - alpha, "exact").low
        assert lower_share(successes, patients, alpha) == pytest.approx(exact, abs=1e-12)


def test_without_failures_the_bound_is_a_root_of_alpha() -> None:
    assert lower_share(36, 36) == pytest.approx(0.025 ** (1 / 36))


@pytest.mark.parametrize(("required", "needed"), [(0.90, 36), (0.95, 72)])
def test_the_fewest_patients_without_failures(required: float, needed: int) -> None:
    assert allowed_failures(needed, required) == 0
    assert allowed_failures(needed - 1, required) == -1


@pytest.mark.parametrize("patients", [1, 35, 36, 53, 60, 120, 500])
def test_one_failure_more_than_allowed_is_too_many(patients: int) -> None:
    allowed = allowed_failures(patients, 0.9)
    if allowed >= 0:
        assert lower_share(patients - allowed, patients) >= 0.9
    assert lower_share(patients - allowed - 1, patients) < 0.9


def test_patients_beyond_the_margin_fail_and_those_on_it_do_not() -> None:
    found = tail("ssim@mvue", np.array([0.5, 0.0, -0.25, -0.2500001, -3.0]), 0.25, 0.9)
    assert (found.failed, found.patients, found.passed) == (2, 5, False)
    assert found.lower_bound == pytest.approx(lower_share(3, 5))
    assert tail("ssim@mvue", np.array([-3.0]), 0.25).passed is None


def test_a_bound_covers_the_true_share() -> None:
    """In at most α of all trials does the bound lie above the truth."""
    share, patients = 0.93, 60
    above = [k for k in range(patients + 1) if lower_share(k, patients) > share]
    assert stats.binom.pmf(above, patients, share).sum() <= 0.025


# Seeds -----------------------------------------------------------------------------------------------------------------


def test_crossed_seeds_by_hand() -> None:
    """MS of patients 12.5 (2 degrees of freedom), of seeds 6 (1), left 0.5 (2)."""
    error, freedom = crossed_error(np.array([[1.0, 2.0], [3.0, 5.0], [5.0, 8.0]]))
    assert error == pytest.approx(math.sqrt((12.5 + 6 - 0.5) / 6))
    assert freedom == pytest.approx(18**2 / (12.5**2 / 2 + 6**2 / 1 + 0.5**2 / 2))


def test_seeds_that_scatter_less_than_chance_are_left_out_by_hand() -> None:
    """MS of patients 8 (2 degrees of freedom), of seeds 1/6, left 2/3."""
    error, freedom = crossed_error(np.array([[1.0, 2.0], [4.0, 3.0], [5.0, 6.0]]))
    assert error == pytest.approx(math.sqrt(8 / 6))
    assert freedom == 2


@pytest.mark.parametrize("seeds", [2, 5])
def test_seeds_that_do_not_vary_leave_the_plain_standard_error(seeds: int) -> None:
    patients = np.random.default_rng(0).standard_normal(30)
    error, freedom = crossed_error(np.repeat(patients[:, None], seeds, axis=1))
    assert error == pytest.approx(stats.sem(patients))
    assert freedom == pytest.approx(29)


def test_a_shift_of_whole_seeds_widens_the_error() -> None:
    rng = np.random.default_rng(0)
    values = rng.standard_normal((30, 5))
    plain, _ = crossed_error(values)
    shifted, freedom = crossed_error(values + np.array([-2.0, -1.0, 0.0, 1.0, 2.0]))
    assert shifted > 3 * plain
    assert freedom < 6, "the seeds decide, and there are five"


@given(st.integers(2, 12), st.integers(2, 6), st.integers(0, 10**6), st.floats(0.01, 100), st.floats(-100, 100))
def test_the_error_is_one_of_a_unit(patients: int, seeds: int, draw: int, unit: float, shift: float) -> None:
    values = np.random.default_rng(draw).standard_normal((patients, seeds))
    error, freedom = crossed_error(values)
    scaled, same = crossed_error(unit * (values + shift))
    assert (scaled, same) == pytest.approx((unit * error, freedom), rel=1e-6)


def test_no_spread_at_all_is_no_error() -> None:
    assert crossed_error(np.full((20, 5), 0.25)) == (0.0, 19.0)


def test_the_error_is_unbiased() -> None:
    """The variance of the grand mean over many such trials is what the formula says on average."""
    rng = np.random.default_rng(3)
    patients, seeds, trials = 12, 6, 4000
    values = (
        rng.standard_normal((trials, patients, 1)) * 0.7
        + rng.standard_normal((trials, 1, seeds)) * 0.8
        + rng.standard_normal((trials, patients, seeds)) * 0.5
    )
    said = np.mean([crossed_error(one)[0] ** 2 for one in values])
    true = 0.7**2 / patients + 0.8**2 / seeds + 0.5**2 / (patients * seeds)
    assert said == pytest.approx(true, rel=0.05)


def test_five_seeds_are_needed() -> None:
    assert SEEDS_NEEDED == 5


# Several claims, and the ladder ----------------------------------------------------------------------------------------


def test_holm_by_hand() -> None:
    """In order .005, .01, .03, .04 times 4, 3, 2, 1: .02, .03, .06, .04, and none below the one before."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == pytest.approx([1.0, 1.0])
    assert holm([0.02]) == [0.02]
    assert holm([]) == []
    assert holm([0.01, 0.01]) == pytest.approx([0.02, 0.02])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0.001, 0.5))
def test_holm_rejects_what_stepping_down_rejects(p_values: list[float], alpha: float) -> None:
    """The procedure as Holm states it: the smallest against α/m, the next against α/(m − 1), until one fails."""
    rejected = set()
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda one: p_values[one])):
        if p_values[index] * (len(p_values) - rank) > alpha:
            break
        rejected.add(index)
    adjusted = holm(p_values)
    assert {index for index, p_value in enumerate(adjusted) if p_value <= alpha} == rejected
    assert all(one <= other <= 1 for one, other in zip(p_values, adjusted, strict=True))


def test_the_weakest_endpoint_decides() -> None:
    assert union([0.001, 0.02, 0.01]) == 0.02


def test_a_ladder_is_climbed_to_the_first_failure() -> None:
    assert climb([True, True, True]) == 3
    assert climb([True, False, True]) == 1
    assert climb([False, True, True]) == 0
    assert climb([]) == 0
