"""Simulated trials with a known truth: how often a test says what it must not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from halfscan.bench.claims.paired import Effect, effects

Draw = Callable[[np.random.Generator, int], npt.NDArray[np.float64]]
"""(generator, patients) → differences with mean 0 and variance 1."""
Judge = Callable[[np.random.Generator, int], bool]
"""(generator, trial) → what a test says of one trial."""


def normal(rng: np.random.Generator, patients: int) -> npt.NDArray[np.float64]:
    return rng.standard_normal(patients)


def heavy_tails(rng: np.random.Generator, patients: int) -> npt.NDArray[np.float64]:
    """Student's t with 3 degrees of freedom."""
    return rng.standard_t(3, patients) / np.sqrt(3.0)


def moderate_left_skew(rng: np.random.Generator, patients: int) -> npt.NDArray[np.float64]:
    """A negated gamma with shape 4: skewness −1."""
    return -(rng.gamma(4.0, 1.0, patients) - 4.0) / 2.0


def rejections(trials: int, judge: Judge, seed: int = 0) -> float:
    """Share of trials in which `judge` says yes."""
    rng = np.random.default_rng(seed)
    return sum(judge(rng, index) for index in range(trials)) / trials


def at_margin(draw: Draw, patients: int, resamples: int) -> Judge:
    """Whether a candidate whose true mean lies exactly on the margin is called non-inferior: an error each time."""
    margin = 0.5

    def judge(rng: np.random.Generator, index: int) -> bool:
        return noninferior(one_effect(draw(rng, patients) - margin, margin, resamples, index))

    return judge


def one_effect(values: npt.NDArray[np.float64], margin: float, resamples: int, seed: int) -> Effect:
    return effects(values[:, None], [margin], resamples=resamples, seed=seed)[0]


def noninferior(effect: Effect, alpha: float = 0.025) -> bool:
    return effect.p_noninferior <= alpha
