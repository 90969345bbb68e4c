"""The statistics themselves, on trials whose truth is known. A few trials always; `pytest -m trials` runs the full suite, whose
results stand in docs/claims.md."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from halfscan.bench.claims.paired import effects
from halfscan.bench.claims.power import power_t
from halfscan.bench.claims.seeds import crossed_error
from halfscan.bench.claims.several import holm

from .trials import Draw, Judge, at_margin, heavy_tails, moderate_left_skew, noninferior, normal, one_effect, rejections

FULL = pytest.mark.trials
QUICK_TRIALS, QUICK_RESAMPLES = 400, 400
FULL_TRIALS, FULL_RESAMPLES = 10_000, 1000


def _limit(nominal: float, trials: int) -> float:
    """What a share of `nominal` stays below in all but one of a thousand such simulations."""
    return nominal + 3.1 * math.sqrt(nominal * (1 - nominal) / trials)


ERRORS: list[tuple[Draw, int, float]] = [
    *((draw, patients, 0.030) for draw in (normal, heavy_tails) for patients in (20, 50, 100)),
    *((moderate_left_skew, patients, 0.05) for patients in (30, 50)),
]


@pytest.mark.parametrize(("draw", "patients", "bar"), ERRORS)
def test_quick_errors_at_the_margin(draw: Draw, patients: int, bar: float) -> None:
    share = rejections(QUICK_TRIALS, at_margin(draw, patients, QUICK_RESAMPLES))
    assert share <= _limit(bar, QUICK_TRIALS)


@FULL
@pytest.mark.parametrize(("draw", "patients", "bar"), ERRORS)
def test_errors_at_the_margin(draw: Draw, patients: int, bar: float) -> None:
    share = rejections(FULL_TRIALS, at_margin(draw, patients, FULL_RESAMPLES))
    print(f"share: {share}")
    assert share <= bar


def _coverage(trials: int, patients: int, resamples: int) -> tuple[float, float]:
    """Of Student's interval and of the bootstrap's, for a true mean of 0."""
    rng = np.random.default_rng(1)
    found = [one_effect(normal(rng, patients), 1.0, resamples, index) for index in range(trials)]
    return tuple(
        float(np.mean([low <= 0 <= high for low, high in intervals]))
        for intervals in ([one.t_interval for one in found], [one.bootstrap_interval for one in found])
    )


def test_quick_coverage() -> None:
    for share in _coverage(QUICK_TRIALS, 50, QUICK_RESAMPLES):
        assert abs(share - 0.95) <= 0.01 + 3.1 * math.sqrt(0.05 * 0.95 / QUICK_TRIALS)


@FULL
def test_coverage() -> None:
    shares = _coverage(FULL_TRIALS, 50, FULL_RESAMPLES)
    print(f"shares: {shares}")
    for share in shares:
        assert 0.94 <= share <= 0.96


def _power_gap(effect_size: float, patients: int, trials: int, resamples: int) -> float:
    margin = effect_size

    def judge(rng: np.random.Generator, index: int) -> bool:
        return noninferior(one_effect(normal(rng, patients), margin, resamples, index))

    return rejections(trials, judge, seed=2) - power_t(margin, 1.0, patients)


POWER = [(0.3, 90), (0.5, 34), (0.8, 20)]


@pytest.mark.parametrize(("effect_size", "patients"), POWER)
def test_quick_power(effect_size: float, patients: int) -> None:
    assert abs(_power_gap(effect_size, patients, QUICK_TRIALS, QUICK_RESAMPLES)) <= 0.03 + 3.1 * math.sqrt(0.16 / QUICK_TRIALS)


@FULL
@pytest.mark.parametrize(("effect_size", "patients"), POWER)
def test_power(effect_size: float, patients: int) -> None:
    gap = _power_gap(effect_size, patients, FULL_TRIALS, FULL_RESAMPLES)
    print(f"gap: {gap}")
    assert abs(gap) <= 0.03


def _all_required(rng: np.random.Generator, index: int) -> bool:
    """Worst corner of the intersection–union test: one endpoint on its margin, the others far above theirs."""
    values = np.stack([normal(rng, 40) - 0.5, normal(rng, 40) + 2, normal(rng, 40) + 2], axis=1)
    return all(map(noninferior, effects(values, [0.5] * 3, resamples=QUICK_RESAMPLES, seed=index)))


def _any_after_holm(rng: np.random.Generator, index: int) -> bool:
    """Three claims, all on their margins: a family-wise error is any that holds."""
    p_values = [one_effect(normal(rng, 40) - 0.5, 0.5, 1000, 3 * index + claim).p_noninferior for claim in range(3)]
    return any(p_value <= 0.025 for p_value in holm(p_values))


def _best_of_three(rng: np.random.Generator, index: int) -> bool:
    """The negative control: the best of three metrics is reported."""
    values = np.stack([normal(rng, 40) - 0.5 for _ in range(3)], axis=1)
    return any(map(noninferior, effects(values, [0.5] * 3, resamples=QUICK_RESAMPLES, seed=index)))


def _slices_as_samples(rng: np.random.Generator, index: int) -> bool:
    """The negative control: 16 slices a patient, ICC 0.5, are tested as if they were patients."""
    patients = rng.standard_normal(20)[:, None] * math.sqrt(0.5)
    slices = (patients + rng.standard_normal((20, 16)) * math.sqrt(0.5) - 0.5).ravel()
    return bool(stats.ttest_1samp(slices, -0.5, alternative="greater").pvalue <= 0.025)


def _crossed(rng: np.random.Generator, patients: int = 30, seeds: int = 5) -> np.ndarray:
    """(patients, seeds) differences on the margin; training seeds matter."""
    return (
        rng.standard_normal((patients, 1)) * 0.7
        + rng.standard_normal((1, seeds)) * 0.25
        + rng.standard_normal((patients, seeds)) * 0.5
        - 0.5
    )


def _crossed_seeds(rng: np.random.Generator, index: int) -> bool:
    values = _crossed(rng)
    error = crossed_error(values)
    means = values.mean(axis=1)[:, None]
    return noninferior(effects(means, [0.5], resamples=QUICK_RESAMPLES, seed=index, standard_errors=[error])[0])


def _ignored_seeds(rng: np.random.Generator, index: int) -> bool:
    """The negative control: the mean over seeds is tested as if the seeds were the method."""
    return noninferior(one_effect(_crossed(rng).mean(axis=1), 0.5, QUICK_RESAMPLES, index))


BELOW: list[tuple[Judge, float]] = [(_all_required, 0.025), (_any_after_holm, 0.025), (_crossed_seeds, 0.04)]
ABOVE: list[tuple[Judge, float]] = [(_slices_as_samples, 0.15), (_ignored_seeds, 0.05), (_best_of_three, 0.04)]


@pytest.mark.parametrize(("judge", "bar"), BELOW)
def test_quick_errors_of_designs(judge: Judge, bar: float) -> None:
    assert rejections(QUICK_TRIALS, judge, seed=3) <= _limit(bar, QUICK_TRIALS)


@pytest.mark.parametrize(("judge", "bar"), ABOVE)
def test_quick_negative_controls_fail(judge: Judge, bar: float) -> None:
    assert rejections(QUICK_TRIALS, judge, seed=4) > bar


@FULL
@pytest.mark.parametrize(("judge", "bar"), BELOW)
def test_errors_of_designs(judge: Judge, bar: float) -> None:
    share = rejections(FULL_TRIALS, judge, seed=3)
    print(f"share: {share}")
    assert share <= (_limit(bar, FULL_TRIALS) if bar == 0.025 else bar)


@FULL
@pytest.mark.parametrize(("judge", "bar"), ABOVE)
def test_negative_controls_fail(judge: Judge, bar: float) -> None:
    share = rejections(FULL_TRIALS, judge, seed=4)
    print(f"share: {share}")
    assert share > bar
