"""What `halfscan compare` does: two sweeps, models or vendors, side by side, from the tracking store alone."""

from __future__ import annotations

import argparse
import json

from .compare import Comparison, MetricDifference, as_dict, compare, find_side
from .quantity import Quantity
from .table import UNITS, digits
from .tracking import Store, tracking_uri


def run_compare(options: argparse.Namespace) -> int:
    """Compares two sides.

    Returns:
        0: they were compared, whatever came out.
    """
    store = Store(tracking_uri(options.store), options.experiment)
    a, b = (find_side(store, name, word) for name, word in (("A", options.a), ("B", options.b)))
    found, left_out = compare(a, b, options.metric)
    if options.json:
        print(
            json.dumps(
                {"a": a.sweep, "b": b.sweep, "comparisons": [as_dict(one) for one in found], "left_out": left_out}, indent=2
            )
        )
        return 0
    print(f"A: sweep {a.sweep} ({a.word}). B: sweep {b.sweep} ({b.word}).")
    for one in found:
        print("\n".join(["", *_in_words(one)]))
    print("\n".join(["", *(f"{line}." for line in left_out)]) if left_out else "")
    print(
        "Paired by patient; 95 % intervals, each for itself: nothing is adjusted for how many are looked at, and no claim was "
        "registered for it, so nothing is supported by it (`halfscan run claim=...` does that)."
    )
    return 0


def _in_words(one: Comparison) -> list[str]:
    change = 100 * (1 - one.seconds_b / one.seconds_a) if one.seconds_a else 0.0
    lines = [f"A: {one.a}", f"B: {one.b}; {one.patients} patient{'' if one.patients == 1 else 's'}"]
    said = "as long" if abs(change) < 0.05 else f"{abs(change):.1f} % {'less' if change > 0 else 'more'}"
    lines.append(f"  scan time       {one.seconds_a:.1f} s and {one.seconds_b:.1f} s: {said}")
    return lines + [f"  {metric.metric:<15} {_metric(metric)}" for metric in one.metrics]


def _metric(one: MetricDifference) -> str:
    places, unit = digits(one.metric), UNITS.get(one.metric.partition("@")[0], "")
    means = f"{_number(one.a, places)} and {_number(one.b, places)}{f' {unit}' if unit else ''}"
    effect = one.effect
    if effect.value is None:
        return f"{means}: not compared ({effect.reason})"
    kind = f"ratio ×{effect.value:.3f}" if one.ratio else f"difference {effect.value:+.{places}f}"
    if effect.low is None or effect.high is None:
        return f"{means}: {kind} ({effect.reason})"
    ends = f"×{effect.low:.3f} to ×{effect.high:.3f}" if one.ratio else f"{effect.low:+.{places}f} to {effect.high:+.{places}f}"
    word = {True: "B is better", False: "B is worse", None: "not told apart"}[one.better]
    return f"{means}: {kind} ({ends}): {word}"


def _number(mean: Quantity, places: int) -> str:
    return "null" if mean.value is None else f"{mean.value:.{places}f}"
