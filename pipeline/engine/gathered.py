"""Finished outputs that wait to be recorded together.

To record one writes the manifest anew, whose size follows the corpus: with a hundred thousand
shards that takes seconds, for each of some thousand units. So the next ones wait while recording
would take more than a small share of the time. A kill loses what waits: it is made again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeAlias

SHARE = 20  # of the time, one part in so many at most is spent on recording
AT_ONCE_S = 0.05  # what takes no longer is done for every output

Entries: TypeAlias = dict[str, dict[str, Any]]


class Gathered:
    """Entries of finished outputs, recorded as often as that takes little of the time.

    Args:
        commit: records some entries, by output.
    """

    def __init__(self, commit: Callable[[Entries], None]) -> None:
        self._commit = commit
        self._held: Entries = {}
        self._took = 0.0
        self._ended = time.perf_counter()

    def add(self, output: str, entry: dict[str, Any]) -> None:
        """Take an entry; record it and those that wait, if it is time."""
        self._held[output] = entry
        waited = time.perf_counter() - self._ended
        if self._took <= AT_ONCE_S or waited >= SHARE * self._took:
            self.flush()

    def flush(self) -> None:
        """Record what waits."""
        held, self._held = self._held, {}  # an attempt that fails is not made twice
        if held:
            begun = time.perf_counter()
            self._commit(held)
            self._ended = time.perf_counter()
            self._took = self._ended - begun
