"""Energy of processors and memory by their running average power limit counters (RAPL), from sysfs.

Packages at the top level are added up, and the memory below them is a part of its own; cores and the like are in the packages
already, and a platform's counter (`psys`) holds all of them once more. Source: Linux, Documentation/power/powercap.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from .counter import Reading, Uncountable, Watch

POWERCAP = Path("/sys/class/powercap")
_INTERVAL_S = 0.5
"""The smallest counters start anew after a minute at full power."""


@dataclass(frozen=True)
class Rapl:
    """All packages of the machine.

    Raises:
        Uncountable: when a window is opened, and there are none, or only root may read them.
    """

    root: Path = POWERCAP
    name = "RAPL"

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(part for part, _ in self.zones())) or ("cpu",)

    def zones(self) -> list[tuple[str, Path]]:
        """(part, folder) of every counter that is added up."""
        found = []
        for zone in sorted(self.root.glob("intel-rapl:*")):
            label = _text(zone / "name")
            # intel-rapl:0 is a package, intel-rapl:0:1 something inside it.
            if zone.name.count(":") == 1 and label.startswith("package"):
                found.append(("cpu", zone))
            elif zone.name.count(":") == 2 and label == "dram":
                found.append(("dram", zone))
        return found

    def check(self) -> None:
        """Raises `Uncountable` where no window can be opened."""
        zones = self.zones()
        if not any(part == "cpu" for part, _ in zones):
            raise Uncountable("no RAPL counter on this machine")
        for _, zone in zones:
            if not os.access(zone / "energy_uj", os.R_OK):
                raise Uncountable(f"RAPL counters are readable by root only: chmod a+r {self.root}/intel-rapl:*/energy_uj")

    def start(self) -> RaplWindow:
        self.check()
        return RaplWindow(self.zones())


class RaplWindow:
    """An open window: every counter is looked at so often that it can't start anew twice in between."""

    def __init__(self, zones: list[tuple[str, Path]]) -> None:
        self._zones = zones
        try:
            self._range = [int(_text(zone / "max_energy_range_uj")) for _, zone in zones]
            self._last = [_microjoules(zone) for _, zone in zones]
        except (OSError, ValueError) as error:
            raise Uncountable(f"RAPL: {error}") from error
        self._sum = [0] * len(zones)
        self._watch = Watch(self._look, _INTERVAL_S)

    def _look(self) -> None:
        for index, (_, zone) in enumerate(self._zones):
            now = _microjoules(zone)
            step = now - self._last[index]
            # The counter holds 0 to its range, both included.
            self._sum[index] += step if step >= 0 else step + self._range[index] + 1
            self._last[index] = now

    def stop(self) -> dict[str, Reading]:
        self._watch.stop()
        parts = dict.fromkeys(part for part, _ in self._zones)
        if not self._watch.here:
            return {part: _lost("a process forked off inside the window can't close it") for part in parts}
        try:
            if self._watch.error is not None:
                raise self._watch.error
            self._look()
        except (OSError, ValueError) as error:
            return {part: _lost(f"RAPL: {error}") for part in parts}
        flags = () if "dram" in parts else ("memory is not counted by this processor",)
        sums = {part: sum(sum_ for sum_, (own, _) in zip(self._sum, self._zones, strict=True) if own == part) for part in parts}
        return {part: Reading(joules=value / 1e6, method="measured_counter", flags=flags) for part, value in sums.items()}


def _lost(reason: str) -> Reading:
    return Reading(joules=None, method="unavailable", reason=reason)


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii").strip()
    except OSError:
        return ""


def _microjoules(zone: Path) -> int:
    return int((zone / "energy_uj").read_text("ascii"))
