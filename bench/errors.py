"""Errors a user can act on: one line that says what failed, on which input, and what to do."""

from __future__ import annotations


class HalfscanError(Exception):
    """Bad input or an impossible request. Its message is one clear line, shown without a traceback."""


class NotApplicable(HalfscanError):
    """A method was asked for something that it declares it can't do."""


def one_line(error: BaseException) -> str:
    """The error's message folded into one line; the class name stands in where there is no message."""
    return " ".join(str(error).split()) or type(error).__name__


class StoreError(HalfscanError):
    """The tracking store could not be reached or written: that says nothing of what was asked of it."""
