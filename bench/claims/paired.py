"""Paired differences of patients → their mean with two intervals, Student's and a studentized bootstrap's, and p-values.

A claim is supported only where both agree: with skewed differences Student's interval alone errs on the wrong side (type-I error
.107 at nominal .025 for 20 heavily skewed patients, .072 studentized), with few patients the bootstrap alone does.

Sources: Efron and Tibshirani, An Introduction to the Bootstrap (1993), 12.5 and 16.4 (studentized intervals and tests).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RESAMPLES = 10_000
_TAIL = 0.025
"""On either side of an interval, whatever α a claim is tested at."""
_CHUNK_CELLS = 2_000_000
"""Resamples times patients that are drawn at once: a few MB a thread."""
_THREADS = 2

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Effect:
    """Mean difference of the patients, higher is better, judged against a margin Δ."""

    patients: int
    mean: float
    standard_error: float
    t_interval: tuple[float, float]
    """Two-sided, 95 %."""
    bootstrap_interval: tuple[float, float]
    p_noninferior: float
    """Of mean ≤ −Δ, one-sided; the larger of both tests."""
    p_superior: float
    """Of mean ≤ 0, one-sided; the larger of both tests."""

    @property
    def interval(self) -> tuple[float, float]:
        """The outer of both: what both tests agree on."""
        lows, highs = zip(self.t_interval, self.bootstrap_interval, strict=True)
        return min(lows), max(highs)


def bootstrap_t(values: FloatArray, resamples: int = RESAMPLES, seed: int = 0) -> FloatArray:
    """Studentized means of resampled patients, (mean* − mean) / se*.

    Args:
        values: (patients, endpoints); all endpoints share the resampled patients, so that they stay correlated.
        resamples: how many.
        seed: of the draws; the same seed gives the same result, whatever the number of threads.

    Returns:
        (resamples, endpoints) float64; NaN where a resample has no spread.
    """
    patients = values.shape[0]
    centred = values - values.mean(axis=0)
    # Resampling is a matrix product: how often each patient was drawn, times values and their squares.
    moments = np.concatenate([centred, centred**2], axis=1)
    rows = max(1, _CHUNK_CELLS // patients)
    sizes = [min(rows, resamples - start) for start in range(0, resamples, rows)]
    seeds = np.random.SeedSequence(seed).spawn(len(sizes))
    with ThreadPoolExecutor(_THREADS) as pool:
        sums = np.concatenate(list(pool.map(lambda job: _resampled_sums(moments, *job), zip(sizes, seeds, strict=True))))
    mean, square = np.split(sums / patients, 2, axis=1)
    variance = np.maximum(square - mean**2, 0.0) * patients / max(patients - 1, 1)
    # What rounding leaves of a resample without spread is no spread.
    spread = np.where(variance > 1e-20 * (centred**2).mean(axis=0), variance, np.nan)
    result: FloatArray = mean / np.sqrt(spread / patients)
    return result


def _resampled_sums(moments: FloatArray, count: int, seed: np.random.SeedSequence) -> FloatArray:
    patients = moments.shape[0]
    drawn = np.random.Generator(np.random.SFC64(seed)).integers(0, patients, size=(count, patients), dtype=np.int32)
    drawn += np.arange(count, dtype=np.int32)[:, None] * np.int32(patients)
    counts = np.bincount(drawn.ravel(), minlength=count * patients).reshape(count, patients)
    result: FloatArray = counts.astype(np.float64) @ moments
    return result


def effects(
    values: FloatArray,
    margins: Sequence[float],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    standard_errors: Sequence[tuple[float, float]] | None = None,
) -> list[Effect]:
    """Judges every endpoint's differences.

    Args:
        values: (patients, endpoints) differences, higher is better; at least two patients, all finite.
        margins: Δ > 0 of each endpoint, on the values' scale.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        standard_errors: (standard error, degrees of freedom) of each endpoint where they are not those of independent patients.
    """
    from scipy import stats

    patients = values.shape[0]
    means = values.mean(axis=0)
    plain = [(float(spread) / math.sqrt(patients), float(patients - 1)) for spread in values.std(axis=0, ddof=1)]
    studentized = bootstrap_t(values, resamples, seed)
    found = []
    for index, (mean, margin, (error, freedom)) in enumerate(zip(means, margins, standard_errors or plain, strict=True)):
        drawn = np.sort(studentized[np.isfinite(studentized[:, index]), index])
        critical = float(stats.t.ppf(1 - _TAIL, freedom))
        low, high = _quantiles(drawn, _TAIL)
        found.append(
            Effect(
                patients=patients,
                mean=float(mean),
                standard_error=error,
                t_interval=(float(mean) - critical * error, float(mean) + critical * error),
                bootstrap_interval=(float(mean) - high * error, float(mean) - low * error),
                p_noninferior=_p_above(float(mean) + margin, error, freedom, drawn),
                p_superior=_p_above(float(mean), error, freedom, drawn),
            )
        )
    return found


def _quantiles(drawn: FloatArray, alpha: float) -> tuple[float, float]:
    """Lower and upper α-quantile of the studentized means; 0 where no resample had a spread."""
    if not drawn.size:
        return 0.0, 0.0
    low, high = np.quantile(drawn, [alpha, 1 - alpha])
    return float(low), float(high)


def _p_above(distance: float, error: float, freedom: float, drawn: FloatArray) -> float:
    """p of "the true mean lies at or below the bound that `distance` is measured from": the larger of both tests."""
    from scipy import stats

    if error == 0:
        return 0.0 if distance > 0 else 1.0
    statistic = distance / error
    resampled = (1 + drawn.size - np.searchsorted(drawn, statistic, side="left")) / (1 + drawn.size)
    return max(float(stats.t.sf(statistic, freedom)), float(resampled))
