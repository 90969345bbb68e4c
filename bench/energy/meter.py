"""Windows around work, and what the machine's counters say of them.

A reconstruction is shorter than a counter's own steps, so that it is repeated until a window is long enough, after a warm-up and
beside a look at the idle machine; several windows give an interval. A training is one window as it is.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from ..errors import HalfscanError
from ..quantity import Quantity, is_number
from .counter import Counter, Reading, Running, Uncountable
from .nvml import Gpu
from .rapl import Rapl
from .record import EnergyRecord, unmeasured_energy, worst

SHORTEST_S = 10.0
"""Counters move in steps of up to 100 ms: two of them are 2 % of this window, and more of a shorter one."""


class Meter(Protocol):
    """Tells what work costs."""

    def measure(self, work: Callable[[], None], device: str) -> EnergyRecord:
        """Of one run of `work`, which is repeated as often as that takes; it must have ended when it returns."""
        ...

    def window(self, device: str) -> Window:
        """A context manager around work that is done once; its record is there afterwards."""
        ...


class Window:
    """One stretch of work under the counters.

    Args:
        counters: part → counter, or why there is none.
        shortest_s: a shorter window gives no figure.
        clock: seconds that never go back.
    """

    def __init__(self, counters: Mapping[str, Counter | str], shortest_s: float, clock: Callable[[], float]) -> None:
        self._counters, self._shortest, self._clock = counters, shortest_s, clock
        self._open: list[tuple[tuple[str, ...], Running]] = []
        self._readings: dict[str, Reading] = {}
        self.seconds = math.nan
        """Its length [s]."""

    def __enter__(self) -> Window:
        for part, counter in self._counters.items():
            if isinstance(counter, str):
                self._readings[part] = _none(counter)
                continue
            try:
                self._open.append((counter.parts, counter.start()))
            except Uncountable as reason:
                self._readings |= {each: _none(str(reason)) for each in counter.parts}
            except BaseException:
                self._stop()
                raise
        self._begin = self._clock()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = self._clock() - self._begin
        self._stop()

    def _stop(self) -> None:
        while self._open:
            self._readings |= self._open.pop()[1].stop()

    @property
    def readings(self) -> Mapping[str, Reading]:
        """Part → what it took, once the window is closed."""
        if self.seconds < self._shortest:
            short = f"the window of {self.seconds:.3g} s is shorter than {self._shortest:g} s, too short for a counter's steps"
            return {part: one if one.joules is None else _none(short) for part, one in self._readings.items()}
        return self._readings

    @property
    def record(self) -> EnergyRecord:
        """Of all that was done inside it."""
        no_range = "one window: no interval"
        return EnergyRecord(
            parts={part: _quantity(one, None, None, no_range) for part, one in self.readings.items()},
            flags=_flags([self.readings]),
            state=_state(self.readings),
        )


@dataclass(frozen=True)
class Unmetered:
    """The null meter: whatever was done, nobody counted it."""

    reason: str = "energy=none: it was not to be measured"

    def measure(self, work: Callable[[], None], device: str) -> EnergyRecord:
        return unmeasured_energy(self.reason)

    def window(self, device: str) -> Window:
        return Window({"machine": self.reason}, 0.0, time.monotonic)


@dataclass(frozen=True, kw_only=True)
class Counters:
    """The counters of this machine: processors and memory by RAPL, GPUs by NVML.

    Raises:
        HalfscanError: a setting out of range.
    """

    window_s: float = SHORTEST_S
    """Least length of a window [s]."""
    windows: int = 5
    """Windows of repeated work."""
    idle_s: float = SHORTEST_S
    """How long the machine is watched idle before them [s]."""
    warm_up: int = 10
    """Runs before the first window."""
    rapl: Rapl = field(default_factory=Rapl)
    find_gpu: Callable[[str], Gpu] = field(default=lambda device: Gpu(uuid_of(device)), repr=False)
    """Device, as torch names it, → its GPU."""
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    pause: Callable[[float], None] = field(default=time.sleep, repr=False)

    def __post_init__(self) -> None:
        limits = {"window_s": SHORTEST_S, "idle_s": SHORTEST_S, "windows": 5, "warm_up": 0}
        for name, low in limits.items():
            whole = name in ("windows", "warm_up")
            value = getattr(self, name)
            if not is_number(value, whole=whole) or not value >= low:
                raise HalfscanError(f"energy.{name}={value} must be {'a whole number, ' if whole else ''}at least {low:g}")

    def measure(self, work: Callable[[], None], device: str) -> EnergyRecord:
        counters = self._counters(device)
        reasons = {part: why for part, counter in counters.items() if (why := _why_not(counter)) is not None}
        if len(reasons) == len(counters):
            # Nothing would be counted: a minute of repetitions would be thrown away.
            return EnergyRecord(parts={part: Quantity.unmeasured("J", why) for part, why in reasons.items()})
        for _ in range(self.warm_up):
            work()
        with self._window(counters) as idle:
            self.pause(self.idle_s)
        windows, runs = [], []
        for _ in range(self.windows):
            with self._window(counters) as window:
                count, end = 0, self.clock() + self.window_s
                while self.clock() < end:
                    work()
                    count += 1
            windows.append(window)
            runs.append(count)
        return _repeated(idle, windows, runs)

    @contextmanager
    def _window(self, counters: Mapping[str, Counter | str]) -> Iterator[Window]:
        with Window(counters, SHORTEST_S, self.clock) as window:
            yield window

    def window(self, device: str) -> Window:
        return Window(self._counters(device), SHORTEST_S, self.clock)

    def _counters(self, device: str) -> dict[str, Counter | str]:
        """Of the parts that work on a device needs."""
        found: dict[str, Counter | str] = {"cpu": self.rapl}
        if device.startswith("cuda"):
            try:
                found["gpu"] = self.find_gpu(device)
            except Uncountable as reason:
                found["gpu"] = str(reason)
        return found


def uuid_of(device: str) -> str:
    """The name that NVML has for one of torch's GPUs, whose numbers follow CUDA_VISIBLE_DEVICES."""
    import torch

    return f"GPU-{torch.cuda.get_device_properties(torch.device(device)).uuid}"


def _why_not(counter: Counter | str) -> str | None:
    if isinstance(counter, str):
        return counter
    try:
        counter.start().stop()
    except Uncountable as reason:
        return str(reason)
    return None


def _repeated(idle: Window, windows: Sequence[Window], runs: Sequence[int]) -> EnergyRecord:
    """The mean of one run over windows of many, with Student's interval."""
    parts: dict[str, Quantity] = {}
    idles: dict[str, Quantity] = {}
    seconds = sum(window.seconds for window in windows) / sum(runs)
    for part in windows[0].readings:
        readings = [window.readings[part] for window in windows]
        lost = next((one for one in readings if one.joules is None), None)
        if lost is not None:
            # A mean of the windows that went well would be one of those that were chosen by chance.
            parts[part] = _quantity(lost, None, None, None)
            continue
        values = [(one.joules or 0.0) / count for one, count in zip(readings, runs, strict=True)]
        mean, half = _interval(values)
        method = worst(one.method for one in readings)
        parts[part] = Quantity(value=mean, unit="J", method=method, low=mean - half, high=mean + half)
        quiet = idle.readings[part]
        if quiet.joules is None:
            idles[part] = Quantity.unmeasured("J", f"idle: {quiet.reason}")
        else:
            value = quiet.joules / idle.seconds * seconds
            idles[part] = Quantity(value=value, unit="J", method=quiet.method, reason="one idle window: no interval")
    readings_of = [window.readings for window in windows]
    return EnergyRecord(parts=parts, idle=idles, flags=_flags([idle.readings, *readings_of]), state=_state(readings_of[-1]))


def _interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean, and half the width of its 95 % interval."""
    from scipy import stats

    n = len(values)
    mean = sum(values) / n
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / (n - 1))
    return mean, float(stats.t.ppf(0.975, n - 1)) * deviation / math.sqrt(n)


def _quantity(reading: Reading, low: float | None, high: float | None, reason: str | None) -> Quantity:
    if reading.joules is None:
        return Quantity.unmeasured("J", reading.reason or "not counted")
    return Quantity(value=reading.joules, unit="J", method=reading.method, low=low, high=high, reason=reason)


def _none(reason: str) -> Reading:
    return Reading(joules=None, method="unavailable", reason=reason)


def _flags(windows: Sequence[Mapping[str, Reading]]) -> tuple[str, ...]:
    """What was said of any of them, once; figures in the words differ from window to window, and the first stands for all."""
    found: dict[str, str] = {}
    for readings in windows:
        for part, reading in readings.items():
            for flag in reading.flags:
                found.setdefault(f"{part} {''.join(one for one in flag if not one.isdigit())}", flag)
    return tuple(found.values())


def _state(readings: Mapping[str, Reading]) -> dict[str, str]:
    return {name: value for reading in readings.values() for name, value in reading.state}
