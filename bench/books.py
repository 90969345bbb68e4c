"""Whose power, whose grids and whose patients the ledger is kept for: `configs/ledger.yaml`, and what a site says instead."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from .configuration import build, compose_run, to_plain
from .errors import HalfscanError
from .ledger.exam import exam_of
from .ledger.ledger import Entry, ledger
from .ledger.site import Grid, Scanner, Service
from .rows import CellRows

_OVERRIDE = re.compile(r"~|\+{0,2}[\w@./-]+=")
_PARTS = ("scanner", "grid", "computer", "service", "against")


@dataclass(frozen=True, kw_only=True)
class Books:
    """What a ledger is kept with."""

    scanner: Scanner
    """Whose power is saved."""
    grid: Grid
    """Where the scanner stands."""
    computer: Grid
    """Where it is reconstructed and trained."""
    service: Service
    against: str
    """Which scan the seconds are compared with: `clinical` or `full`."""

    @classmethod
    def composed(cls, overrides: Sequence[str] = ()) -> Books:
        """Those of the configuration.

        Raises:
            HalfscanError: an override of nothing, or a setting out of range.
        """
        for word in overrides:
            if re.split(r"[=.@]", word.lstrip("+~"))[0] not in _PARTS:
                raise HalfscanError(f"{word}: the ledger has no such setting; it has {', '.join(_PARTS)}")
        plain = to_plain(compose_run(list(overrides), _PARTS, primary="ledger"))
        if missing := [name for name in _PARTS if plain.get(name) is None]:
            raise HalfscanError(f"{missing[0]} is missing: the ledger can't be kept without it")
        if plain["against"] not in ("clinical", "full"):
            raise HalfscanError(f"against={plain['against']} is unknown: use clinical or full")
        parts = {name: build(plain[name], name) for name in _PARTS if name != "against"}
        return cls(against=plain["against"], **parts)

    def entries(self, rows: CellRows) -> list[Entry]:
        """The ledger of an exam with a cell's scans, every scenario."""
        return ledger(exam_of(rows, self.against), self.scanner, self.grid, self.computer, self.service)

    def basis(self) -> list[str]:
        """What every figure rests on, in words."""
        scanner, grid, computer = self.scanner, self.grid, self.computer
        return [
            "prepared: the scanner waits ready in the freed minutes; idle: it is switched back; refilled: it scans another "
            "patient, and the site saves nothing.",
            f"Scanner: {scanner.name} ({scanner.method}; {scanner.source}); cooling {scanner.cooling[0]:g} to "
            f"{scanner.cooling[1]:g} ({scanner.cooling_source}). Minutes against the {self.against} scan.",
            f"Grids: {grid.in_words} for the scanner, {computer.in_words} for the computer. Training shared by "
            f"{self.service.exams:g} exams.",
            "Intervals: 95 % of 10,000 draws over the ranges.",
            "Reconstruction: that of the scan that is replaced is not known and counts as nothing, which flatters no network.",
        ]


def sweep_and_overrides(words: Sequence[str]) -> tuple[str | None, list[str]]:
    """A command's words apart: the sweep that they name, if any, and the overrides of the books.

    Raises:
        HalfscanError: more than one sweep, or an empty name.
    """
    if not all(words):
        raise HalfscanError("a sweep's name is empty: leave it out for the latest")
    overrides = [word for word in words if _OVERRIDE.match(word)]
    sweeps = [word for word in words if word not in overrides]
    if len(sweeps) > 1:
        raise HalfscanError(f"one sweep at a time, and not {', '.join(sweeps)}")
    return (sweeps[0] if sweeps else None), overrides
