"""Several tests at once: several claims share α (Holm), and a ladder of accelerations spends it from the bottom up."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values of several claims, in the order given (Holm, Scand J Statist 6:65, 1979)."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def union(p_values: Sequence[float]) -> float:
    """p of an intersection–union test: all endpoints are required, so the weakest decides, each at the whole α
    (Berger, Technometrics 24:295, 1982)."""
    return max(p_values)


def climb(passed: Sequence[bool]) -> int:
    """Steps of a ladder, from the smallest acceleration up, that hold before the first that does not.

    Fixed-sequence testing: each step at the whole α, and the family-wise error along the ladder stays α, since nothing is
    tested beyond the first failure.
    """
    return next((index for index, step in enumerate(passed) if not step), len(passed))
