"""Seconds of a verdict on 10,000 patients, 5 endpoints and 10,000 resamples, rows to word: python scripts/bench_claims.py"""

from __future__ import annotations

import statistics
import time
from dataclasses import fields
from typing import Any

import numpy as np

from halfscan.bench.claims.judge import judge
from halfscan.bench.claims.types import ClaimSpec, Endpoint
from halfscan.bench.claims.word import Registration
from halfscan.bench.rows import Row

PATIENTS, RESAMPLES, REPEATS = 10_000, 10_000, 5
METRICS = [f"metric{number}@bench" for number in range(5)]
_FILLED: dict[str, Any] = {"str": "x", "float": 1.0, "int": 1, "bool": False}


def rows(model: str, acceleration: float, rng: np.random.Generator) -> list[Row]:
    filled: dict[str, Any] = {
        one.name: _FILLED.get(str(one.type)) for one in fields(Row) if str(one.type).split(" ")[0] in _FILLED
    }
    filled |= {"model": model, "nominal_acceleration": acceleration, "evidence": "retrospective"}
    scores = rng.normal(0.9, 0.01, (PATIENTS, len(METRICS)))
    return [
        Row(**{**filled, "patient": str(one), "volume": str(one)}, metrics=dict(zip(METRICS, map(float, found), strict=True)))
        for one, found in enumerate(scores)
    ]


def main() -> None:
    rng = np.random.default_rng(0)
    both = [*rows("reference", 2.0, rng), *rows("candidate", 4.0, rng)]
    endpoints = tuple(
        Endpoint(metric=metric, margin=0.01, margin_rationale="bench", tail_margin=0.1, tail_required=0.9) for metric in METRICS
    )
    claim = ClaimSpec(
        claim_id="bench",
        statement="bench",
        source="bench",
        reference={"model": "reference"},
        candidate={"model": "candidate"},
        time_target=None,
        endpoints=endpoints,
    )
    registration = Registration(hashes={"bench": claim.sha256}, started="")
    seconds = []
    for _ in range(REPEATS + 1):
        begin = time.perf_counter()
        judge([claim], both, registration, resamples=RESAMPLES)
        seconds.append(time.perf_counter() - begin)
    warm = seconds[1:]
    print(f"{PATIENTS} patients x {len(METRICS)} endpoints x {RESAMPLES} resamples, rows to verdict:")
    print(f"median {statistics.median(warm):.2f} s ({min(warm):.2f} to {max(warm):.2f}); first call {seconds[0]:.2f} s")


if __name__ == "__main__":
    main()
