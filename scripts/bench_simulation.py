"""Seconds a slice that digital brains take to simulate, cache aside: python scripts/bench_simulation.py"""

from __future__ import annotations

import statistics
import time

import torch

from halfscan.datasets.atlas import load_atlas
from halfscan.datasets.digital_brains import DigitalBrains, simulate

if __name__ == "__main__":
    torch.set_num_threads(2)
    start = time.perf_counter()
    load_atlas()
    print(f"atlas, once a process: {time.perf_counter() - start:.2f} s")
    cohort = DigitalBrains()
    simulate(cohort, 0, "t2")
    seconds = []
    for patient in range(1, 16):
        start = time.perf_counter()
        simulate(cohort, patient, "t2")
        seconds.append((time.perf_counter() - start) / cohort.slices)
    print(f"{cohort.coils} coils, {cohort.matrix} x {cohort.matrix}, 2 threads, {len(seconds)} patients, seconds a slice:")
    print(f"median {statistics.median(seconds):.3f}, min {min(seconds):.3f}, max {max(seconds):.3f}")
