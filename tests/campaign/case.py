"""A case of the campaign, and the words for how it ended."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.e2e.command import Ended

GOOD = ("ok", "same", "rebuilt", "refused")
BAD = ("lost", "wrong", "traceback", "slow")
OUTCOMES = (*GOOD, *BAD)
FAULT = "This is a fault in rote itself"
SECONDS = 60.0


class Found(Exception):
    """Ends a case with an outcome that must not be, and what was seen."""

    def __init__(self, outcome: str, seen: str) -> None:
        super().__init__(outcome, seen)
        self.outcome = outcome
        self.seen = seen


@dataclass(frozen=True)
class Case:
    """One thing to try.

    Attributes:
        part: the part of the campaign, as `kills`.
        row: the row of the table that counts it.
        name: unlike any other of its part; the same for the same seed.
        act: tries it in an empty folder; returns the outcome, or raises `Found`.
    """

    part: str
    row: str
    name: str
    act: Callable[[Path], str]


@dataclass(frozen=True)
class Result:
    """How a case ended.

    Attributes:
        part: as the case's.
        row: as the case's.
        name: as the case's.
        outcome: one of `OUTCOMES`.
        seen: what was seen of a bad one.
        weight: the things tried in it, as the kills that landed.
    """

    part: str
    row: str
    name: str
    outcome: str
    seen: str = ""
    weight: int = 1


class Counted(str):
    """An outcome of several things that were tried in one case.

    Attributes:
        weight: how many.
    """

    __slots__ = ("weight",)
    weight: int

    def __new__(cls, outcome: str, weight: int) -> Self:
        """Return the outcome of so many things."""
        made = super().__new__(cls, outcome)
        made.weight = weight
        return made


def told(ended: Ended, codes: tuple[int, ...] = (1, 2)) -> str:
    """Return "ok" or "refused" for a command that ended as a user may see it.

    Raises:
        Found: it crashed, or ended with another code, or refused without one message of four parts.
    """
    said = ended.out + ended.err
    if "Traceback (most recent call last)" in said or FAULT in said:
        raise Found("traceback", last_lines(said))
    if ended.code == 0:
        return "ok"
    if ended.code not in codes:
        raise Found("wrong", f"exit {ended.code}: {last_lines(said)}")
    messages = [line for line in ended.err.splitlines() if line.startswith("rote: ")]
    if len(messages) != 1 or "  where: " not in ended.err:
        raise Found("wrong", f"{len(messages)} messages: {last_lines(said)}")
    return "refused"


def last_lines(said: str) -> str:
    """Return the end of what was said, on one line."""
    return " | ".join(line for line in said.splitlines() if line.strip())[-400:]


def same_bytes(found: dict[str, str], expected: dict[str, str], outcome: str = "wrong") -> None:
    """Require two folders, as `files` gives them, to be the same.

    Raises:
        Found: with that outcome and the names that differ.
    """
    differing = [name for name in found.keys() & expected.keys() if found[name] != expected[name]]
    differing += found.keys() ^ expected.keys()
    if differing:
        raise Found(outcome, f"differ: {', '.join(sorted(differing)[:8])}")


def worker_environment() -> None:
    """Give Prefect a folder of the campaign's own, and no server of the user's."""
    for name in [name for name in os.environ if name.startswith("PREFECT_")]:
        del os.environ[name]
