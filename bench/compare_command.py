"""What `halfscan compare` does: two sweeps, models or vendors, side by side, from the tracking store alone."""

from __future__ import annotations

import argparse
import json

from .claims.types import PATIENTS_NEEDED
from .compare import NOTHING_SUPPORTED, Comparison, MetricDifference, as_dict, compare, find_side
from .quantity import Quantity
from .scores import score_of
from .tracking import Store, tracking_uri


def run_compare(options: argparse.Namespace) -> int:
    """Compares two sides.

    Returns:
        0: they were compared, whatever came out.
    """
    store = Store(tracking_uri(options.store), options.experiment)
    a, b = (find_side(store, name, word) for name, word in (("A", options.a), ("B", options.b)))
    found, said = compare(a, b, options.metric)
    if options.json:
        content = {
            "a": a.sweep,
            "b": b.sweep,
            "comparisons": [as_dict(one) for one in found],
            "notes": [*said, NOTHING_SUPPORTED],
        }
        print(json.dumps(content, indent=2))
        return 0
    print(f"A: sweep {a.sweep} ({a.word}). B: sweep {b.sweep} ({b.word}).")
    for one in found:
        print("\n".join(["", *_in_words(one)]))
    print("\n".join(["", *(f"Note: {line}." for line in said), NOTHING_SUPPORTED]))
    return 0


def _in_words(one: Comparison) -> list[str]:
    few = f", below {PATIENTS_NEEDED} nothing is concluded" if one.patients < PATIENTS_NEEDED else ""
    return [
        f"A: {one.a}",
        f"B: {one.b}",
        f"  {one.patients} patient{'' if one.patients == 1 else 's'}{few}; {one.evidence}",
        *(f"  data: {caveat}" for caveat in one.caveats),
        f"  scan time       {_seconds(one.seconds_a, one.seconds_b)}",
        *(f"  {metric.metric:<15} {_metric(metric, one.patients)}" for metric in one.metrics),
    ]


def _seconds(a: float | None, b: float | None) -> str:
    if a is None or b is None:
        return "not known of all volumes"
    change = 100 * (1 - b / a)
    said = "as long" if abs(change) < 0.05 else f"{abs(change):.1f} % {'less' if change > 0 else 'more'}"
    return f"{a:.1f} s and {b:.1f} s: {said}"


def _metric(one: MetricDifference, patients: int) -> str:
    kind = score_of(one.metric)
    unit = "" if kind.unit == "1" else f" {kind.unit}"
    means = f"{_number(one.a, kind.digits)} and {_number(one.b, kind.digits)}{unit}"
    effect = one.effect
    if effect.value is None:
        return f"{means}: not compared ({effect.reason})"
    said = f"ratio ×{effect.value:.3f}" if one.ratio else f"difference {effect.value:+.{kind.digits}f}"
    if effect.low is None or effect.high is None:
        return f"{means}: {said} ({effect.reason})"
    ends = (f"×{end:.3f}" if one.ratio else f"{end:+.{kind.digits}f}" for end in (effect.low, effect.high))
    interval = f"{means}: {said} ({' to '.join(ends)})"
    if patients < PATIENTS_NEEDED or kind.lower_is_better is None:
        return interval
    return f"{interval}: { {True: 'B is better', False: 'B is worse', None: 'not told apart'}[one.better] }"


def _number(mean: Quantity, places: int) -> str:
    return "null" if mean.value is None else f"{mean.value:.{places}f}"
