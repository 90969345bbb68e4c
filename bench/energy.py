"""Energy of the reconstruction: what can be counted on this machine, and an honest null where nothing can.

This version finds the counters and says so; it reads none of them yet, and reports no joule.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .quantity import Quantity

POWERCAP = Path("/sys/class/powercap")


@dataclass(frozen=True, kw_only=True)
class EnergyRecord:
    """Energy spent in one window around a reconstruction."""

    gpu: Quantity
    """[J]"""
    cpu: Quantity
    """[J]"""

    @property
    def total(self) -> Quantity:
        """Sum [J]; None while any part is."""
        parts = {"gpu": self.gpu, "cpu": self.cpu}
        missing = [f"{name}: {part.reason}" for name, part in parts.items() if part.value is None]
        if missing:
            return Quantity.unmeasured("J", "; ".join(missing))
        return Quantity(value=sum(part.value or 0.0 for part in parts.values()), unit="J", method=self.gpu.method)


def unmeasured_energy(reason: str) -> EnergyRecord:
    """Of work that no meter was near."""
    return EnergyRecord(gpu=Quantity.unmeasured("J", reason), cpu=Quantity.unmeasured("J", reason))


class Meter(Protocol):
    """Opens a window around work and tells what it cost."""

    @contextmanager
    def window(self) -> Iterator[None]: ...

    def record(self) -> EnergyRecord:
        """The last closed window."""
        ...


@dataclass(frozen=True)
class Unmetered:
    """The null meter: every record is None with the reason."""

    gpu_reason: str
    cpu_reason: str

    @contextmanager
    def window(self) -> Iterator[None]:
        yield

    def record(self) -> EnergyRecord:
        return EnergyRecord(gpu=Quantity.unmeasured("J", self.gpu_reason), cpu=Quantity.unmeasured("J", self.cpu_reason))


def automatic() -> Meter:
    """The best meter for this machine; today always the null meter, whose reason says what is there."""
    unread = "found, but this version of halfscan does not read it"
    gpu, cpu = find_nvml(), find_rapl()
    return Unmetered(
        gpu_reason=f"{gpu.name} {unread}" if gpu.available else gpu.reason,
        cpu_reason=f"{cpu.name} {unread}" if cpu.available else cpu.reason,
    )


@dataclass(frozen=True)
class Counter:
    """An energy counter of the machine, and why it can't be read where it can't."""

    name: str
    available: bool
    reason: str = ""


def find_nvml() -> Counter:
    """Whether the NVIDIA management library is there."""
    try:
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return Counter("NVML", False, "no NVIDIA driver on this machine")
    return Counter("NVML", True)


def find_rapl() -> Counter:
    """Whether the CPU's running average power limit counters can be read."""
    packages = sorted(POWERCAP.glob("intel-rapl:*/energy_uj"))
    if not packages:
        return Counter("RAPL", False, "no RAPL counter on this machine")
    if not all(os.access(path, os.R_OK) for path in packages):
        return Counter("RAPL", False, "RAPL counters are readable by root only")
    return Counter("RAPL", True)
