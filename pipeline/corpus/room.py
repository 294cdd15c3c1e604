"""How long a line of a corpus may be: what memory has room for, which only the plan knows.

A line is read whole. How long it is shows at its end, and of a packed file nothing tells before; so
the reader stops to hold a line that is too long, counts it to its end, and says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.errors import InputError

MOST = 2**31  # bytes of a text at most, in any case


@dataclass
class _Room:
    """What is known of the budget; one for the process, as the budget is.

    Attributes:
        bytes: of a line at most.
        needed: the budget that a line of a length needs, as a user would write it.
    """

    bytes: int = MOST
    needed: Callable[[int], str] | None = None


_ROOM = _Room()


def give_room(size: int, needed: Callable[[int], str] | None = None) -> None:
    """Set how long a line may be from now on, and how to tell what budget a longer one needs."""
    _ROOM.bytes, _ROOM.needed = min(size, MOST), needed


def room() -> int:
    """Return how many bytes a line may have."""
    return _ROOM.bytes


def too_long(path: str, row: int, length: int) -> InputError:
    """Return the error for a line that is too long; it names the budget that would do."""
    if length > MOST or _ROOM.needed is None:
        fix = "remove the line, or leave the file out: --skip-bad-files"
    else:
        fix = f"--set limits.memory={_ROOM.needed(length)}"
    return InputError(
        "A line is longer than there is memory for.",
        where=f"{path}, line {row + 1:,} of those that are not blank",
        found=f"{-(-length // 10**6):,} MB",
        expected=f"at most {_ROOM.bytes // 10**6:,} MB",
        fix=fix,
    )
