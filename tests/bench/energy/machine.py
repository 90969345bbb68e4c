"""A machine whose time and power a test sets, with RAPL's files."""

from __future__ import annotations

from pathlib import Path

from halfscan.bench.energy.counter import Uncountable
from halfscan.bench.energy.meter import Counters
from halfscan.bench.energy.nvml import Gpu
from halfscan.bench.energy.rapl import Rapl

RANGE_UJ = 262_143_328_850


class Machine:
    """Two packages, memory below the first, and zones that must not be added up."""

    def __init__(self, root: Path, *, memory: bool = True, begin_uj: int = 0) -> None:
        self.now, self.root = 0.0, root
        zones = {
            "intel-rapl:0": "package-0",
            "intel-rapl:0:0": "core",
            "intel-rapl:1": "package-1",
            "intel-rapl:2": "psys",
            "intel-rapl-mmio:0": "package-0",
        }
        if memory:
            zones["intel-rapl:0:1"] = "dram"
        self._counts = dict.fromkeys(zones, float(begin_uj))
        for zone, name in zones.items():
            (root / zone).mkdir(parents=True)
            (root / zone / "name").write_text(f"{name}\n")
            (root / zone / "max_energy_range_uj").write_text(f"{RANGE_UJ}\n")
        self.advance(0.0, 0.0, 0.0)

    def advance(self, seconds: float, package_w: float, memory_w: float) -> None:
        """So many seconds, at so many watts in each package and in memory."""
        self.now += seconds
        for zone in self._counts:
            watts = memory_w if zone == "intel-rapl:0:1" else package_w
            self._counts[zone] = (self._counts[zone] + 1e6 * watts * seconds) % (RANGE_UJ + 1)
            path = self.root / zone / "energy_uj"
            draft = path.with_suffix(".part")
            draft.write_text(f"{int(self._counts[zone])}\n")
            draft.replace(path)

    def pause(self, seconds: float) -> None:
        self.advance(seconds, 20.0, 3.0)

    def meter(self, **settings: float) -> Counters:
        return Counters(rapl=Rapl(self.root), find_gpu=_none, clock=lambda: self.now, pause=self.pause, **settings)  # type: ignore[arg-type]


def _none(device: str) -> Gpu:
    raise Uncountable("no NVIDIA driver on this machine")
