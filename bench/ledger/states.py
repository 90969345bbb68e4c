"""What a scanner did, by its power: states, exams, and a profile of its own in place of the literature's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import HalfscanError
from .power_log import PowerLog
from .site import STATES, Scanner

STATES_OF_A_LOG = ("idle", "prepared", "scan")
"""That most logs show, and the ledger needs."""
_BINS = 128
_APART = 0.15
"""Neighbouring states' mean powers must differ by so much of the larger, or they are one."""
_BREAK_S = 600.0
"""Between exams nothing is scanned for so long."""
_LEAST = 5
"""Stretches of a state that its range is drawn from."""


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """A time in one state."""

    state: str
    begin_s: float
    end_s: float
    kwh: float

    @property
    def kw(self) -> float:
        """Mean."""
        return self.kwh * 3600 / (self.end_s - self.begin_s)


def stretches(log: PowerLog, states: Sequence[str] = STATES_OF_A_LOG) -> list[Stretch]:
    """A log in its states, by the thresholds that set their powers best apart (Otsu's, for several classes).

    Args:
        log: a site's own.
        states: those that it holds, in the order of their power.

    Raises:
        HalfscanError: states that are unknown, out of order, or not to be told apart in this log.
    """
    from skimage.filters import threshold_multiotsu

    if [one for one in STATES if one in states] != list(states) or len(states) < 2:
        raise HalfscanError(f"states={','.join(states)}: name two or more of {', '.join(STATES)}, in this order")
    try:
        # Centres of the last bin of a class: half a bin more, or a state narrower than a bin is cut in two.
        thresholds = threshold_multiotsu(log.kw, classes=len(states), nbins=_BINS) + np.ptp(log.kw) / _BINS / 2
    except ValueError as error:
        raise HalfscanError(f"the log does not show {len(states)} states: {error}") from error
    kind = np.digitize(log.kw, thresholds)
    if missing := [name for index, name in enumerate(states) if not (kind == index).any()]:
        raise HalfscanError(f"the log does not show {len(states)} states: nothing is {' or '.join(missing)}; name fewer")
    means = [float(np.average(log.kw[kind == index])) for index in range(len(states))]
    for name, low, high in zip(states, means, means[1:], strict=False):
        if high - low < _APART * high:
            raise HalfscanError(
                f"the log does not show {len(states)} states: above {name} ({low:.3g} kW) comes {high:.3g} kW; name fewer"
            )
    return _joined(log, kind, states)


def _joined(log: PowerLog, kind: npt.NDArray[np.int64], states: Sequence[str]) -> list[Stretch]:
    found: list[Stretch] = []
    # A value before a gap holds for no time: the stretch ends there.
    ends = np.flatnonzero((np.diff(kind) != 0) | (log.held_s[:-1] == 0)) + 1
    for begin, end in zip([0, *ends], [*ends, len(kind)], strict=True):
        held = log.held_s[begin:end]
        if held.sum() > 0:
            found.append(
                Stretch(
                    state=states[int(kind[begin])],
                    begin_s=float(log.seconds[begin]),
                    end_s=float(log.seconds[begin] + held.sum()),
                    kwh=float((log.kw[begin:end] * held).sum() / 3600),
                )
            )
    return found


def exams(found: Sequence[Stretch]) -> list[Stretch]:
    """From the first scan to the last one of each exam: nothing is scanned for ten minutes between two."""
    groups: list[list[Stretch]] = []
    pause: list[Stretch] = []
    for one in found:
        if one.state != "scan":
            pause.append(one)
            continue
        if groups and one.begin_s - groups[-1][-1].end_s < _BREAK_S:
            groups[-1] += pause
            groups[-1].append(one)
        else:
            groups.append([one])
        pause = []
    return [
        Stretch(state="exam", begin_s=group[0].begin_s, end_s=group[-1].end_s, kwh=sum(one.kwh for one in group))
        for group in groups
    ]


def profile(found: Sequence[Stretch], name: str) -> Scanner:
    """The scanner's own powers: each state's mean, over its time, with the 95 % range of a bootstrap over its stretches.

    Raises:
        HalfscanError: a state of fewer than five stretches.
    """
    power: dict[str, tuple[float, float]] = {}
    rng = np.random.default_rng(0)
    for state in dict.fromkeys(one.state for one in found):
        own = [one for one in found if one.state == state]
        if len(own) < _LEAST:
            raise HalfscanError(f"scanner {name}: {len(own)} stretches of {state} are too few to tell its power: log for longer")
        kwh, hours = (
            np.array(values) for values in zip(*((one.kwh, (one.end_s - one.begin_s) / 3600) for one in own), strict=True)
        )
        drawn = rng.integers(0, len(own), (2000, len(own)))
        low, high = np.quantile(kwh[drawn].sum(1) / hours[drawn].sum(1), (0.025, 0.975))
        power[state] = (float(low), float(high))
    return Scanner(name=name, power_kw=power, source="power log of the site", method="measured_wall", several=False)
