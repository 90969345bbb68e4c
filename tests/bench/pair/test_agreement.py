"""Kappa is Cohen's, its interval is over patients, and where chance can't be told apart there is none."""

from __future__ import annotations

import numpy as np
import pytest

from halfscan.bench.pair.agreement import agreements, quadratic_kappa
from halfscan.bench.pair.tables import Reading


def test_kappa_is_that_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    for cases in (10, 40, 200):
        one = rng.integers(1, 6, cases)
        two = np.clip(one + rng.integers(-1, 2, cases), 1, 5)
        golden = metrics.cohen_kappa_score(one, two, weights="quadratic", labels=range(1, 6))
        assert quadratic_kappa(np.array([one, two], float)) == pytest.approx(golden, abs=1e-12)


def test_kappa_keeps_its_laws() -> None:
    rng = np.random.default_rng(1)
    scores = rng.integers(1, 6, (2, 4000)).astype(float)
    assert abs(quadratic_kappa(scores) or 1) < 0.05
    assert quadratic_kappa(np.array([scores[0], scores[0]])) == 1
    assert quadratic_kappa(scores[::-1]) == pytest.approx(quadratic_kappa(scores))
    assert quadratic_kappa(2 * scores + 3) == pytest.approx(quadratic_kappa(scores))
    assert quadratic_kappa(np.full((2, 5), 4.0)) is None


def _readings(scores: dict[str, dict[int, tuple[float, float]]], item: str = "score") -> dict[str, tuple[Reading, ...]]:
    return {
        pair: tuple(
            Reading(arm=arm, reader=reader, item=item, score=score)
            for reader, both in readers.items()
            for arm, score in zip(("reference", "candidate"), both, strict=True)
        )
        for pair, readers in scores.items()
    }


def test_all_two_readers_on_what_both_scored() -> None:
    rng = np.random.default_rng(2)
    scores = {f"c{n}": {reader: tuple(rng.integers(1, 6, 2)) for reader in (1, 2, 3) if reader < 3 or n < 5} for n in range(12)}
    found = agreements(_readings(scores), {name: name for name in scores})
    assert [(one.readers, one.cases) for one in found] == [((1, 2), 24), ((1, 3), 10), ((2, 3), 10)]
    for one in found:
        assert one.kappa.low is not None
        assert one.kappa.low <= one.kappa.value <= one.kappa.high


def test_items_are_kept_apart() -> None:
    one, two = (_readings({"a": {reader: (1, 2)}}, item) for reader, item in ((1, "noise"), (2, "score")))
    assert agreements({"a": one["a"] + two["a"]}, {"a": "p"}) == []


def test_cases_of_one_patient_are_drawn_together() -> None:
    """Twelve pairs of one patient are one patient, and give no interval."""
    rng = np.random.default_rng(3)
    scores = {f"c{n}": {reader: tuple(rng.integers(1, 6, 2)) for reader in (1, 2)} for n in range(12)}
    (alone,) = agreements(_readings(scores), dict.fromkeys(scores, "p"))
    assert alone.kappa.reason == "one patient: no confidence interval"
    (few,) = agreements(_readings(scores), {name: f"p{n // 6}" for n, name in enumerate(scores)})
    (many,) = agreements(_readings(scores), {name: name for name in scores})
    assert few.kappa.value == many.kappa.value
    assert (few.kappa.low, few.kappa.high) != (many.kappa.low, many.kappa.high)


@pytest.mark.parametrize("scores", [[(4, 5)] + [(4, 4)] * 19, [(1, 1), (2, 2), (3, 3), (4, 4)]])
def test_too_few_differences_give_no_interval(scores: list[tuple[float, float]]) -> None:
    """One score of twenty that differs; or none at all, where every resample says 1."""
    held = {f"c{n}": {1: (one, one), 2: (two, two)} for n, (one, two) in enumerate(scores)}
    (found,) = agreements(_readings(held), {name: name for name in held})
    assert found.kappa.value is not None
    assert (found.kappa.low, found.kappa.high) == (None, None)
    assert found.kappa.reason == "too few differing scores for a confidence interval"


def test_one_score_throughout_is_no_agreement() -> None:
    found = agreements(_readings({n: {1: (4, 4), 2: (4, 4)} for n in "abc"}), {n: n for n in "abc"})
    assert found[0].kappa.value is None
    assert "by chance can't be told apart" in found[0].kappa.reason
