"""Run in a process of its own, so that no other test finds a GPU: every case under the fake library, as JSON."""

from __future__ import annotations

import ctypes
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

# pynvml asks for the library by this name, and gets the one of that name that is loaded already.
FAKE = ctypes.CDLL(sys.argv[1])
FAKE.fake_now.restype = ctypes.c_double
FAKE.fake_advance.argtypes = [ctypes.c_double, ctypes.c_double]

from halfscan.bench.energy.counter import Uncountable  # noqa: E402
from halfscan.bench.energy.meter import Counters  # noqa: E402
from halfscan.bench.energy.nvml import Gpu  # noqa: E402
from halfscan.bench.energy.rapl import Rapl  # noqa: E402

FROZEN, NO_COUNTER, LOST, FORBIDDEN, MIG, NO_POWER, LYING_POWER = (1 << bit for bit in range(7))
IDLE_W, BUSY_W = 70.0, 400.0


def gpu() -> Gpu:
    return Gpu("GPU-1", FAKE.fake_now, 0.001)


def pause(seconds: float) -> None:
    for _ in range(round(seconds / 0.05)):
        FAKE.fake_advance(0.05, IDLE_W)
        time.sleep(0.002)


def work() -> None:
    """A run of 0.3 s whose power rises and falls."""
    for share in (0.5, 1.0, 1.5):
        FAKE.fake_advance(0.1, share * BUSY_W)
        time.sleep(0.002)


def traced(seconds: float, during: Callable[[], None] = lambda: None) -> Any:
    window = gpu().start()
    planted = 0.0
    for step in range(round(seconds / 0.1)):
        watts = 100 + 50 * (step % 7)
        FAKE.fake_advance(0.1, watts)
        planted += 0.1 * watts
        time.sleep(0.003)
    during()
    return {"planted": planted, **asdict(window.stop()["gpu"])}


def refused() -> str:
    try:
        gpu().start()
    except Uncountable as reason:
        return str(reason)
    return "not refused"


def meter() -> Counters:
    return Counters(rapl=Rapl(Path("/nowhere")), find_gpu=lambda device: gpu(), clock=FAKE.fake_now, pause=pause)


def ailing(which: int, action: Callable[[], Any]) -> Any:
    FAKE.fake_ail(which)
    try:
        return action()
    finally:
        FAKE.fake_ail(0)


def shared() -> Any:
    FAKE.fake_share(3)
    try:
        return traced(10)
    finally:
        FAKE.fake_share(1)


def short_window() -> Any:
    with meter().window("cuda") as window:
        FAKE.fake_advance(9.0, BUSY_W)
    return window.record.as_dict()


def long_window() -> Any:
    with meter().window("cuda") as window:
        FAKE.fake_advance(20.0, BUSY_W)
    return window.record.as_dict()


def two_at_once() -> Any:
    outer = gpu().start()
    FAKE.fake_advance(10.0, 100)
    inner = gpu().start()
    FAKE.fake_advance(10.0, 300)
    one = inner.stop()["gpu"].joules
    FAKE.fake_advance(10.0, 100)
    return [one, outer.stop()["gpu"].joules]


def crash() -> Any:
    try:
        with meter().window("cuda"):
            FAKE.fake_advance(20.0, BUSY_W)
            raise RuntimeError("inside")
    except RuntimeError:
        pass
    return {"opened": FAKE.fake_opened(), "threads": [one.name for one in threading.enumerate()]}


def fork() -> Any:
    FAKE.fake_advance(1.0, 100)  # what the counter has not shown yet would come in now
    window = gpu().start()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, (window.stop()["gpu"].reason or "a number").encode())
        os._exit(0)
    os.waitpid(child, 0)
    FAKE.fake_advance(10.0, 100)
    return {"child": os.read(read, 200).decode(), "joules": window.stop()["gpu"].joules, "opened": FAKE.fake_opened()}


def asleep() -> Any:
    """Half a watt for ten seconds, and before."""
    FAKE.fake_advance(0.1, 0.5)
    window = gpu().start()
    for _ in range(100):
        FAKE.fake_advance(0.1, 0.5)
        time.sleep(0.003)
    return asdict(window.stop()["gpu"])


def reset() -> Any:
    return traced(10, during=FAKE.fake_reset)


CASES: dict[str, Callable[[], Any]] = {
    "trace": lambda: traced(12),
    "measure": lambda: meter().measure(work, "cuda").as_dict(),
    "frozen": lambda: ailing(FROZEN, lambda: traced(10)),
    "reset": reset,
    "no_counter": lambda: ailing(NO_COUNTER, lambda: traced(10)),
    "nothing": lambda: ailing(NO_COUNTER | NO_POWER, lambda: traced(10)),
    "no_power": lambda: ailing(NO_POWER, lambda: traced(10)),
    "frozen_asleep": lambda: ailing(FROZEN, asleep),
    "lying": lambda: ailing(LYING_POWER, lambda: traced(10)),
    "lost": lambda: ailing(0, lambda: traced(10, during=lambda: FAKE.fake_ail(LOST))),
    "forbidden": lambda: ailing(FORBIDDEN, refused),
    "mig": lambda: ailing(MIG, refused),
    "shared": shared,
    "unknown": lambda: [str(_why(Gpu("GPU-2", FAKE.fake_now))), FAKE.fake_opened()],
    "short_window": short_window,
    "long_window": long_window,
    "two_at_once": two_at_once,
    "crash": crash,
    "fork": fork,
    "left_open": lambda: FAKE.fake_opened(),
}


def _why(counter: Gpu) -> Uncountable | None:
    try:
        counter.check()
    except Uncountable as reason:
        return reason
    return None


if __name__ == "__main__":
    FAKE.fake_advance(5.0, IDLE_W)
    print(json.dumps({name: case() for name, case in CASES.items()}))
