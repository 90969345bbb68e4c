"""What an audit can find, how it is said in one line, and which finding stands for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

Crime: TypeAlias = Literal[
    "magnitude_derived",
    "hermitian",
    "parallel_imaging_filled",
    "partial_fourier",
    "noise_removed",
    "zero_padded",
    "interference_removed",
]
State: TypeAlias = Literal["found", "not_found", "unknown"]

CRIMES: tuple[Crime, ...] = get_args(Crime)
"""All that is looked for; what changes a score most stands first."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What k-space shows of one way to process it."""

    name: Crime
    state: State
    """`unknown` wherever the samples can't tell: it is no acquittal, and neither is `not_found`."""
    evidence: str
    """One line with the numbers that the state rests on, or why there are none."""
    value: float | None = None
    """The number that decided, as the evidence names it; None where nothing was measured."""
    accounted: bool = False
    """Whether the benchmark reckons with it already: empty lines that count as not acquired are in no mask and no count."""


def strongest(findings: Sequence[Finding]) -> str | None:
    """One line on the finding that changes scores most, for tables and claims; None where none does.

    What is accounted for changes none.
    """
    loud = [one for one in findings if one.state == "found" and not one.accounted]
    found = sorted(loud, key=lambda one: CRIMES.index(one.name))
    if not found:
        return None
    others = [one.name.replace("_", " ") for one in found[1:]]
    return found[0].evidence + (f"; also {', '.join(others)}" if others else "")
