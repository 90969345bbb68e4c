"""The data's own timing before the protocol's: which value came from where, and what the header overruled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..acquisition import Timing
from ..errors import HalfscanError, one_line
from ..quantity import Quantity
from .protocol import Protocol
from .seconds import ScanTime

# What a header and a protocol both may state.
_SAME = {"mprage": ("mprage", "gre")}
"""What else a header may call a protocol's sequence."""
SHARED = ("tr_s", "echo_train_length", "echo_spacing_s", "averages", "concatenations", "dummies")


@dataclass(frozen=True, kw_only=True)
class Timed:
    """A protocol that the data's header has completed or overruled."""

    protocol: Protocol
    origins: Mapping[str, str]
    """Field → `header`, or `header instead of VALUE` where the protocol stated another; all others are the protocol's."""
    recorded: Quantity
    """Duration of the full scan that the scanner itself recorded [s]."""

    def blame(self, message: str) -> str:
        """A refusal's message, with what the header stated before it: overriding the protocol would not mend that."""
        if not self.origins:
            return message
        stated = ", ".join(f"{name}={getattr(self.protocol, name):g}" for name in self.origins)
        return f"with {stated} of the data's own header, {message}; protocol.timing=protocol leaves the header aside"

    def residual(self, full: ScanTime) -> Quantity:
        """Modelled less recorded duration of the full scan [s]: how far the model is from this very scanner."""
        if self.recorded.value is None:
            return Quantity.unmeasured("s", self.recorded.reason or "the data record no duration")
        return Quantity(value=(full.seconds.value or 0.0) - self.recorded.value, unit="s", method="measured")


def with_header(protocol: Protocol, timing: Timing) -> Timed:
    """Puts what the data's header says of timing into a protocol, unless it asks for `timing=protocol`.

    Raises:
        HalfscanError: the header's values contradict the protocol's.
    """
    recorded = (
        Quantity.unmeasured("s", "the data record no duration")
        if timing.total_s is None
        else Quantity(value=timing.total_s, unit="s", method="recorded")
    )
    stated: dict[str, Any] = {name: value for name in SHARED if (value := getattr(timing, name)) is not None}
    if protocol.sequence in ("epi", "mprage"):
        # EPI's follows from its lines and segments; of an inversion's shot headers commonly say 1.
        stated.pop("echo_train_length", None)
    if protocol.timing == "header" and timing.sequence not in (None, *_SAME.get(protocol.sequence, (protocol.sequence,))):
        raise HalfscanError(
            f"the data's header says that they are {timing.sequence}, and protocol {protocol.name} is {protocol.sequence}: "
            "choose another protocol; protocol.timing=protocol leaves the header aside"
        )
    if protocol.timing == "protocol" or not stated:
        return Timed(protocol=protocol, origins={}, recorded=recorded)
    origins = {}
    for name, value in stated.items():
        own = getattr(protocol, name)
        origins[name] = "header" if own in (None, value) else f"header instead of {own:g}"
    if "dummies" in stated:
        stated["assumed"] = replace(protocol.assumed, dummies=None)
    try:
        return Timed(protocol=replace(protocol, **stated), origins=origins, recorded=recorded)
    except HalfscanError as error:
        values = ", ".join(f"{name}={value:g}" for name, value in stated.items() if name != "assumed")
        raise HalfscanError(
            f"the data's header says {values}, and with protocol {protocol.name} {one_line(error)}; "
            "protocol.timing=protocol leaves the header aside"
        ) from error
