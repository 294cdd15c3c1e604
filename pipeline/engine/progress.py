"""How a stage says how far it is: to one listener per process, which is silent unless set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

OnProgress: TypeAlias = Callable[[int, int], None]  # hears (done, total) of one job


class Progress(Protocol):
    """A listener that is told of stages and of units done; safe to call from any thread."""

    def stage(self, name: str, units: int) -> None:
        """Say that a stage begins, of so many units of work."""

    def skipped(self, name: str) -> None:
        """Say that a stage is already done."""

    def advance(self, done: float, total: float, note: str = "") -> None:
        """Say how much of the present unit is done, in any unit of measure."""

    def unit_done(self, name: str) -> None:
        """Say that one unit of the stage is done."""

    def message(self, text: str) -> None:
        """Say something worth a line: an assumption, a guess, an alarm."""


class Silent:
    """A listener that says nothing."""

    def stage(self, name: str, units: int) -> None:
        """Do nothing."""

    def skipped(self, name: str) -> None:
        """Do nothing."""

    def advance(self, done: float, total: float, note: str = "") -> None:
        """Do nothing."""

    def unit_done(self, name: str) -> None:
        """Do nothing."""

    def message(self, text: str) -> None:
        """Do nothing."""


_current: Progress = Silent()


def current() -> Progress:
    """Return the process's listener."""
    return _current


def listen(progress: Progress) -> None:
    """Set the process's listener; done once, by whoever starts work."""
    global _current
    _current = progress
