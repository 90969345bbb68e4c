"""What every energy counter offers, and the thread that looks at one while work goes on."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class Uncountable(Exception):
    """A counter that can't be read; its text is the reason."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a part of the machine took in one window."""

    joules: float | None
    """None where it could not be counted."""
    method: str
    reason: str | None = None
    """Why there is no number."""
    flags: tuple[str, ...] = ()
    state: tuple[tuple[str, str], ...] = ()
    """(what, how) of the device."""


class Running(Protocol):
    """A window that is open."""

    def stop(self) -> dict[str, Reading]:
        """Closes it: part → what it took. Called once; never raises what a counter fails with."""
        ...


class Counter(Protocol):
    """Something that counts the energy of parts of the machine."""

    @property
    def name(self) -> str: ...

    @property
    def parts(self) -> tuple[str, ...]:
        """`gpu`, `cpu`, `dram`, as far as it counts them."""
        ...

    def start(self) -> Running:
        """Opens a window.

        Raises:
            Uncountable: with the reason.
        """
        ...


class Watch:
    """Calls a function again and again until it is stopped; what the function raised is kept, and ends it.

    A thread does not survive a fork: in a child nothing is stopped or waited for.
    """

    def __init__(self, look: Callable[[], None], interval_s: float) -> None:
        self._look, self._interval = look, interval_s
        self._ended = threading.Event()
        self._process = os.getpid()
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="halfscan energy", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._ended.is_set():
            try:
                self._look()
            except Exception as error:
                self.error = error
                return
            # Due times instead of pauses: a slow look must not make the looks fewer.
            due = max(due + self._interval, time.monotonic())
            self._ended.wait(due - time.monotonic())

    @property
    def here(self) -> bool:
        """Whether this process started it."""
        return os.getpid() == self._process

    def stop(self) -> None:
        """Waits for the last look to end."""
        self._ended.set()
        if self.here:
            self._thread.join()
