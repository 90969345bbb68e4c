"""What an open window costs the work inside it: the same work with and without a meter, in turns.

    python scripts/bench_meter.py [--device cuda] [--seconds 3] [--rounds 6] [--json OUT]

A window costs a thread that looks at the GPU's power 20 times a second, and two readings of each counter. The work is a chain of
matrix products that keeps the device busy; each turn does it as often as fits into so many seconds, and the rates are compared:
medians, and the ratio of neighbours in time. On a machine without counters there is nothing to compare, which is said.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch

from halfscan.bench.energy.meter import Counters, Window

MOST = 0.01
"""Asked: the share of the work's time that the meter may cost."""


def main() -> int:
    options = _options()
    work = chain(options.device)
    meter = Counters()
    with meter.window(options.device) as probe:
        work()
    reasons = {part: one.reason for part, one in probe._readings.items() if one.joules is None}
    if len(reasons) == len(probe._readings):
        print(f"nothing counts here: {reasons}")
        return 0
    turns: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(options.rounds):
        for metered in turns:
            turns[metered].append(seconds_each(work, options.seconds, meter.window(options.device) if metered else None))
    ratios = [a / b for a, b in zip(turns[True], turns[False], strict=True)]
    cost = statistics.median(ratios) - 1
    spread = max(abs(one - 1 - cost) for one in ratios)
    with_it, without = (statistics.median(turns[which]) * 1e3 for which in (True, False))
    print(f"{options.device}: metered {with_it:.3f} ms, without {without:.3f} ms")
    print(f"the meter costs {cost:+.2%} (neighbours differ by up to {spread:.2%}; asked: {MOST:.0%} at most)")
    if options.json:
        options.json.write_text(json.dumps({"cost": cost, "ratios": ratios, "uncounted": reasons}, indent=1), "utf-8")
    return 0


def chain(device: str) -> Callable[[], None]:
    """Matrix products that wait for each other, some 10 ms of them."""
    side = 4096 if device.startswith("cuda") else 512
    matrix = torch.randn(side, side, device=device, generator=torch.Generator(device).manual_seed(0)) / side**0.5

    def work() -> None:
        product = matrix
        for _ in range(4):
            product = product @ matrix
        if device.startswith("cuda"):
            torch.cuda.synchronize()

    work()
    return work


def seconds_each(work: Callable[[], None], seconds: float, window: Window | None) -> float:
    """Time of one piece of work, the window's opening and closing left out: they happen once, however long it is."""
    with window or nullcontext():
        count, begin = 0, time.perf_counter()
        while time.perf_counter() - begin < seconds:
            work()
            count += 1
        return (time.perf_counter() - begin) / count


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
