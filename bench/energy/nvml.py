"""Energy of a GPU by NVIDIA's management library: its counter, and its power added up beside it.

Both are kept, and a gap between them is said: power is a running mean that may be sampled a quarter of the time (Yang et al.,
arXiv:2312.02741), and counters were seen to stand still. Nothing on the device is changed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from .counter import Reading, Uncountable, Watch

_GAP = 0.1
"""Share by which counter and added power may differ before it is said."""


@dataclass(frozen=True)
class Gpu:
    """One GPU.

    Args:
        uuid: as NVML names it, `GPU-...`; None: the first one.
        clock: seconds that never go back.
        interval_s: between looks at its power.

    Raises:
        Uncountable: when a window is opened: no driver, no such GPU, an instance of a shared one (MIG), or no permission.
    """

    uuid: str | None = None
    clock: Callable[[], float] = time.monotonic
    interval_s: float = 0.05
    name = "NVML"
    parts = ("gpu",)

    def check(self) -> None:
        """Raises `Uncountable` where no window can be opened."""
        self.start().stop()

    def start(self) -> GpuWindow:
        return GpuWindow(self.uuid, self.clock, self.interval_s)


class GpuWindow:
    """An open window; NVML is opened and closed with it."""

    def __init__(self, uuid: str | None, clock: Callable[[], float], interval_s: float) -> None:
        try:
            import pynvml
        except ImportError as error:
            raise Uncountable("nvidia-ml-py is not installed: pip install nvidia-ml-py") from error
        self._nvml: Any = pynvml
        self._clock = clock
        self._power: list[tuple[float, float]] = []
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            missing = isinstance(error, pynvml.NVMLError_LibraryNotFound)
            raise Uncountable("no NVIDIA driver on this machine" if missing else f"NVML: {error}") from error
        try:
            self._handle = pynvml.nvmlDeviceGetHandleByUUID(uuid) if uuid else pynvml.nvmlDeviceGetHandleByIndex(0)
            if self._ask(pynvml.nvmlDeviceGetMigMode, [0])[0]:
                raise Uncountable("the GPU is divided (MIG), and no counter tells its parts from each other")
            self._state = self._describe()
            self._first = self._count()
            self._look()
        except pynvml.NVMLError as error:
            pynvml.nvmlShutdown()
            raise Uncountable(f"NVML: {error}") from error
        except Uncountable:
            pynvml.nvmlShutdown()
            raise
        self._watch = Watch(self._look, interval_s)

    def stop(self) -> dict[str, Reading]:
        self._watch.stop()
        if not self._watch.here:
            return {"gpu": _lost("a process forked off inside the window can't close it")}
        try:
            if self._watch.error is not None:
                raise self._watch.error
            self._look()
            reading = self._read(self._count())
        except self._nvml.NVMLError as error:
            reading = _lost(f"NVML: {error}")
        finally:
            self._close()
        return {"gpu": reading}

    def _close(self) -> None:
        with suppress(self._nvml.NVMLError):  # a GPU that was lost takes the library with it
            self._nvml.nvmlShutdown()

    def _read(self, last: int | None) -> Reading:
        added = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in zip(self._power, self._power[1:], strict=False))
        flags = []
        others = self._sharers()
        if others:
            flags.append(f"the GPU was shared with {others} other processes: their energy is in the figure")
        counted = None if self._first is None or last is None else (last - self._first) / 1000
        if counted is not None and counted <= 0:
            flags.append("the energy counter stood still or started anew: power was added up instead")
            counted = None
        elif counted is None:
            flags.append("this GPU has no energy counter: power was added up instead")
        elif not self._power_known:
            flags.append("power can't be read on this GPU: nothing stands beside the counter")
        elif abs(counted - added) > _GAP * counted:
            flags.append(f"counter ({counted:.3g} J) and added power ({added:.3g} J) are {abs(added / counted - 1):.0%} apart")
        if counted is None and not self._power_known:
            return _lost("NVML: neither an energy counter nor power can be read")
        state = (*self._state, ("added power [J]", f"{added:.4g}"), ("temperature at the end [°C]", self._temperature()))
        return Reading(
            joules=added if counted is None else counted,
            method="integrated_power" if counted is None else "measured_counter",
            flags=tuple(flags),
            state=state,
        )

    @property
    def _power_known(self) -> bool:
        return any(watts > 0 for _, watts in self._power)

    def _count(self) -> int | None:
        """Millijoules since the driver was loaded; None for a GPU without a counter."""
        try:
            return int(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle))
        except self._nvml.NVMLError_NotSupported:
            return None

    def _look(self) -> None:
        try:
            watts = self._nvml.nvmlDeviceGetPowerUsage(self._handle) / 1000
        except self._nvml.NVMLError_NotSupported:
            watts = 0.0
        self._power.append((self._clock(), watts))

    def _sharers(self) -> int:
        """Other processes on the GPU; inside a container they have numbers that mean nothing here, so that one of them is us."""
        processes = self._ask(self._nvml.nvmlDeviceGetComputeRunningProcesses, [])
        return max(0, len(processes) - 1)

    def _describe(self) -> tuple[tuple[str, str], ...]:
        nvml = self._nvml
        limit = self._ask(nvml.nvmlDeviceGetEnforcedPowerLimit, None)
        processor, memory = (self._clock_of(kind) for kind in (nvml.NVML_CLOCK_SM, nvml.NVML_CLOCK_MEM))
        try:
            driver = str(nvml.nvmlSystemGetDriverVersion())
        except nvml.NVMLError:
            driver = "unknown"
        return (
            ("GPU", str(self._ask(nvml.nvmlDeviceGetName, "unknown"))),
            ("driver", driver),
            ("power limit [W]", "unknown" if limit is None else f"{limit / 1000:g}"),
            ("SM clock [MHz]", processor),
            ("memory clock [MHz]", memory),
            ("temperature at the start [°C]", self._temperature()),
        )

    def _clock_of(self, kind: int) -> str:
        found = self._ask(lambda handle: self._nvml.nvmlDeviceGetClockInfo(handle, kind), None)
        return "unknown" if found is None else str(found)

    def _temperature(self) -> str:
        nvml = self._nvml
        found = self._ask(lambda handle: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU), None)
        return "unknown" if found is None else str(found)

    def _ask(self, question: Callable[[Any], Any], otherwise: Any) -> Any:
        """What older GPUs, drivers or permissions don't answer."""
        try:
            return question(self._handle)
        except (self._nvml.NVMLError_NotSupported, self._nvml.NVMLError_FunctionNotFound, self._nvml.NVMLError_NoPermission):
            return otherwise


def _lost(reason: str) -> Reading:
    return Reading(joules=None, method="unavailable", reason=reason)
