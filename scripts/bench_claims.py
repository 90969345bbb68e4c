"""Seconds of a verdict's statistics: 10,000 patients, 5 endpoints, 10,000 resamples. Run: python scripts/bench_claims.py"""

from __future__ import annotations

import statistics
import time

import numpy as np

from halfscan.bench.claims.paired import effects

PATIENTS, ENDPOINTS, RESAMPLES, REPEATS = 10_000, 5, 10_000, 5


def main() -> None:
    values = np.random.default_rng(0).normal(0.001, 0.01, (PATIENTS, ENDPOINTS))
    effects(values[:100], [0.01] * ENDPOINTS)
    seconds = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        effects(values, [0.01] * ENDPOINTS, resamples=RESAMPLES)
        seconds.append(time.perf_counter() - begin)
    print(f"{PATIENTS} patients x {ENDPOINTS} endpoints x {RESAMPLES} resamples: median {statistics.median(seconds):.2f} s")
    print(f"({min(seconds):.2f} to {max(seconds):.2f} s over {REPEATS})")


if __name__ == "__main__":
    main()
