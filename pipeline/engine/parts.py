"""The parts of a reduce: maps over partitions, on threads of this process or on other machines.

A reduce over the whole corpus goes from map to map: over chunks of words, over ranges of hashes,
over blocks of documents. What the parts of one put aside (`pipeline.engine.spill`) the parts of the
next read, so a part needs paths and little else and runs wherever the run folder is seen. How a
corpus is cut into parts changes no byte of a result, nor does where they run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from pipeline.engine.spill import Spill, spilling

P = TypeVar("P")
T = TypeVar("T")


class Elsewhere(Protocol):
    """Runs parts on other machines, one thread each.

    Attributes:
        sites: parts that it runs at once.
        beside: of these, at most so many on one machine.
    """

    sites: int
    beside: int

    def in_order(self, task: Callable[[P], T], works: Iterable[P]) -> Iterator[T]:
        """Yield task(work) for each work, in order; task, works and results can be pickled."""


_ELSEWHERE: ContextVar[Elsewhere | None] = ContextVar("elsewhere", default=None)


@contextmanager
def elsewhere(other: Elsewhere | None) -> Iterator[None]:
    """Let the parts of a stage that runs in this thread run elsewhere."""
    token = _ELSEWHERE.set(other)
    try:
        yield
    finally:
        _ELSEWHERE.reset(token)


@dataclass(frozen=True)
class Parts:
    """Who runs the parts of a reduce.

    Attributes:
        spill: where they put arrays aside for one another.
        sites: places that parts of `one_by_one` run in at once: 1 for this process.
        beside: of these, at most so many that share the memory of one machine.
        cores: threads that such a part may use.
    """

    spill: Spill
    sites: int
    beside: int
    cores: int
    _threads: ThreadPoolExecutor
    _elsewhere: Elsewhere | None

    def in_order(self, task: Callable[[P], T], works: Iterable[P]) -> Iterator[T]:
        """Yield task(work) for each work, in order; a task uses one thread."""
        if self._elsewhere is None:
            return in_order(self._threads, self.cores, task, works)
        self.spill.close()  # what was put aside here is read there
        return self._elsewhere.in_order(task, works)

    def one_by_one(self, task: Callable[[P], T], works: Iterable[P]) -> Iterator[T]:
        """Yield task(work) for each work, in order; a task uses `cores` threads of its own.

        For what takes much memory: here one part runs at a time.
        """
        if self._elsewhere is None:
            return map(task, works)
        return self.in_order(task, works)


@contextmanager
def parting(folder: Path, memory: int, cores: int) -> Iterator[Parts]:
    """Give who runs the parts of a stage: threads of this process, unless it is told `elsewhere`.

    Args:
        folder: the run folder.
        memory: bytes that may be held of what is put aside; nothing is, for parts elsewhere.
        cores: threads of this process.
    """
    other = _ELSEWHERE.get()
    with spilling(folder, 0 if other else memory) as spill, ThreadPoolExecutor(cores) as threads:
        sites, beside, own = (other.sites, other.beside, 1) if other else (1, 1, cores)
        yield Parts(spill, sites, beside, own, threads, other)


def in_order(
    threads: ThreadPoolExecutor, ahead: int, task: Callable[[P], T], works: Iterable[P]
) -> Iterator[T]:
    """Yield task(work) for each work, in order, computed on threads.

    Memory follows `ahead`: so many results at most are under way or waiting.
    """
    running: deque[Future[T]] = deque()
    for work in works:
        running.append(threads.submit(task, work))
        if len(running) > ahead:
            yield running.popleft().result()
    while running:
        yield running.popleft().result()
