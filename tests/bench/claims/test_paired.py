"""Student's interval and the studentized bootstrap's, against SciPy and against a bootstrap written out as a loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from halfscan.bench.claims import paired
from halfscan.bench.claims.paired import Effect, bootstrap_t, effects

from .trials import moderate_left_skew, normal, one_effect

RNG = np.random.default_rng(11)
NORMAL = normal(RNG, 40) * 0.01 + 0.002
SKEWED = moderate_left_skew(RNG, 30)


def _looped(values: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """The oracle: one resample at a time, no algebra."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(resamples):
        drawn = values[rng.integers(0, len(values), len(values))]
        found.append((drawn.mean() - values.mean()) / (drawn.std(ddof=1) / math.sqrt(len(values))))
    return np.array(found)


@pytest.mark.parametrize("values", [NORMAL, SKEWED, SKEWED[:5]])
def test_the_t_interval_is_scipy_s(values: np.ndarray) -> None:
    found = effects(values[:, None], [0.01])[0]
    expected = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert found.t_interval == pytest.approx((expected.low, expected.high))
    assert (found.mean, found.standard_error) == pytest.approx((values.mean(), stats.sem(values)))
    assert found.patients == len(values)


@pytest.mark.parametrize("margin", [0.001, 0.3, 0.6])
def test_p_is_the_larger_of_both_tests(margin: float) -> None:
    resamples = 5000
    found = one_effect(SKEWED, margin, resamples, 3)
    drawn = bootstrap_t(SKEWED[:, None], resamples, 3)[:, 0]
    for bound, p_value in ((-margin, found.p_noninferior), (0.0, found.p_superior)):
        student = stats.ttest_1samp(SKEWED, bound, alternative="greater")
        resampled = (1 + (drawn >= student.statistic).sum()) / (1 + resamples)
        assert p_value == pytest.approx(max(student.pvalue, resampled))


def test_the_bootstrap_is_that_of_a_loop() -> None:
    """A sample so skewed that a mirrored interval would show."""
    values = -np.random.default_rng(2).exponential(size=30)
    found = one_effect(values, 0.5, 40_000, 0)
    low, high = np.quantile(_looped(values, 40_000, 1), [0.025, 0.975])
    error = found.standard_error
    assert abs(high + low) > 0.3
    assert found.bootstrap_interval == pytest.approx((found.mean - high * error, found.mean - low * error), abs=0.06 * error)


def test_the_interval_is_what_both_agree_on() -> None:
    found = one_effect(SKEWED, 0.5, 2000, 0)
    lows, highs = zip(found.t_interval, found.bootstrap_interval, strict=True)
    assert found.interval == (min(lows), max(highs))


@pytest.mark.parametrize("threads", [1, 3, 8])
def test_the_bootstrap_hangs_on_no_number_of_threads(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paired, "_CHUNK_CELLS", 40 * 300)
    expected = bootstrap_t(NORMAL[:, None], 2000, 5)
    monkeypatch.setattr(paired, "_THREADS", threads)
    np.testing.assert_array_equal(bootstrap_t(NORMAL[:, None], 2000, 5), expected)


def test_the_bootstrap_is_its_seed_s() -> None:
    first, again, other = (bootstrap_t(NORMAL[:, None], 500, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.shape == (500, 1)


@pytest.mark.parametrize("cells", [40, 1000, 2_000_000])
def test_every_resample_is_drawn_whatever_the_chunks(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks are streams of their own: none repeats another, and none is lost."""
    monkeypatch.setattr(paired, "_CHUNK_CELLS", cells)
    drawn = bootstrap_t(NORMAL[:, None], 300, 0)[:, 0]
    assert drawn.shape == (300,)
    assert len(np.unique(drawn)) == 300


def test_endpoints_share_their_resampled_patients() -> None:
    """An endpoint in another unit gives the same studentized means, one that is negated gives them negated."""
    values = np.stack([NORMAL, 1000 * NORMAL + 7, -NORMAL, np.random.default_rng(1).standard_normal(40)], axis=1)
    drawn = bootstrap_t(values, 1000, 4)
    np.testing.assert_allclose(drawn[:, 1], drawn[:, 0], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(drawn[:, 2], -drawn[:, 0], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(drawn[:, 3], bootstrap_t(values[:, 3:], 1000, 4)[:, 0], rtol=1e-9, atol=1e-12)


def test_an_endpoint_is_judged_alike_alone_and_beside_others() -> None:
    values = np.stack([NORMAL, np.random.default_rng(1).standard_normal(40)], axis=1)
    together, alone = effects(values, [0.01, 0.5])[0], effects(values[:, :1], [0.01])[0]
    assert together.bootstrap_interval == pytest.approx(alone.bootstrap_interval)
    assert together.p_noninferior == pytest.approx(alone.p_noninferior)


def test_patients_without_spread_have_an_interval_of_no_width() -> None:
    found = effects(np.array([[0.0, 0.25]] * 20), [0.01, -0.5])
    assert [one.interval for one in found] == [(0.0, 0.0), (0.25, 0.25)]
    assert [one.p_noninferior for one in found] == [0.0, 1.0]
    assert np.isnan(bootstrap_t(np.full((20, 1), 0.1), 50)).all()


def test_a_stated_standard_error_is_used_by_both() -> None:
    plain, wide = (
        effects(NORMAL[:, None], [0.01], standard_errors=errors)[0] for errors in (None, [(2 * float(stats.sem(NORMAL)), 39.0)])
    )
    assert wide.mean == plain.mean
    for one, other in ((plain.t_interval, wide.t_interval), (plain.bootstrap_interval, wide.bootstrap_interval)):
        assert other[1] - other[0] == pytest.approx(2 * (one[1] - one[0]))


def test_two_patients_are_enough_for_an_interval() -> None:
    found = effects(np.array([[0.1], [0.2]]), [0.01])[0]
    assert found.t_interval[0] < 0.15 < found.t_interval[1]
    assert math.isfinite(found.bootstrap_interval[0])


def _numbers(effect: Effect) -> list[float]:
    return [effect.mean, *effect.t_interval, *effect.bootstrap_interval]


@given(st.floats(-50, 50), st.floats(0.01, 100), st.integers(0, 1000))
def test_shift_and_unit_move_the_interval_and_nothing_else(shift: float, unit: float, seed: int) -> None:
    before = one_effect(NORMAL, 0.01, 300, seed)
    after = one_effect((NORMAL + shift) * unit, (0.01 - shift) * unit, 300, seed)
    assert _numbers(after) == pytest.approx([(one + shift) * unit for one in _numbers(before)], rel=1e-6, abs=1e-8 * unit)
    assert after.p_noninferior == pytest.approx(before.p_noninferior, rel=1e-4, abs=2 / 300)
