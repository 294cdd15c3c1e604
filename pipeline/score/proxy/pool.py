"""A pool of threads that train and score proxies side by side, and report their progress.

Models are small, so cores are used by training several at once, each on `proxy.threads` threads: on
two cores that is as fast as two threads each, does not collapse when another process wants a core,
and the number of cores changes no bit. Torch releases the interpreter lock in every operation.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import torch

from pipeline.score.proxy.checkpoint import Checkpoint
from pipeline.score.proxy.precision import deterministic

M_MMAP_THRESHOLD = -3  # glibc, malloc.h
LARGE_BLOCK = 4 << 20
Advance = Callable[[float, float, str], None]
JobT = TypeVar("JobT")
ResultT = TypeVar("ResultT")


class _Stopped(Exception):
    """Another job failed, or the user stopped the run."""


class WorkerPool:
    """Threads that run jobs, each of which Torch may use `threads` more of.

    Attributes:
        workers: jobs at a time.
        unfinished: folder for what a killed run goes on from; None for none.
        short: rows at a time, by job, where the device was out of memory for a whole batch.
        relabelled: rows that were scored again in fp32, by proxy.
    """

    def __init__(
        self, cores: int, threads: int, advance: Advance, unfinished: Path | None = None
    ) -> None:
        self.workers = max(1, cores // threads)
        self.unfinished = unfinished
        self.short: dict[str, int] = {}
        self.relabelled: dict[str, int] = {}
        self._advance = advance
        self._stop = threading.Event()
        self._done: dict[str, float] = {}

    def map(
        self,
        note: str,
        work: Callable[[JobT], ResultT],
        jobs: Iterable[JobT],
        cost: Callable[[JobT], float],
    ) -> list[ResultT]:
        """Return the results in the order of `jobs`; the most expensive ones begin first.

        An error in one stops all of them.

        Args:
            note: what the progress is shown as.
            work: what is done with a job.
            jobs: what there is to do.
            cost: how much of the whole a job is, in any unit.
        """
        listed = list(jobs)
        self._note, self._total = note, sum(cost(job) for job in listed)
        self._done = {}
        order = sorted(range(len(listed)), key=lambda place: -cost(listed[place]))
        with ThreadPoolExecutor(self.workers) as pool:
            futures = {place: pool.submit(work, listed[place]) for place in order}
            try:
                return [futures[place].result() for place in range(len(listed))]
            except BaseException:
                self._stop.set()
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def checkpoint(self, name: str, key: str) -> Checkpoint | None:
        """Return the checkpoint of a job; None where nothing is kept."""
        return Checkpoint(self.unfinished / name, key) if self.unfinished and key else None

    def progress_of(self, name: str, cost: float) -> Callable[[int, int], None]:
        """Return the function that a job calls with (done, total) as it goes on.

        It ends the job with an exception of this module when another job failed.

        Args:
            name: of the job, different from all others of the same `map`.
            cost: how much of the whole the job is.
        """

        def on_progress(done: int, total: int) -> None:
            if self._stop.is_set():
                raise _Stopped
            self._done[name] = cost * done / total
            self._advance(sum(self._done.values()), self._total, self._note)

        return on_progress


@contextmanager
def torch_threads(count: int, *, exact: bool = False) -> Iterator[None]:
    """Hold Torch at `count` threads, here and in threads that are started inside.

    The order of its sums depends on their number.

    Args:
        count: threads of one operation.
        exact: whether a GPU may use deterministic kernels only.
    """
    _return_freed_memory()
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with deterministic(wanted=exact):
            yield
    finally:
        torch.set_num_threads(before)


def _return_freed_memory() -> None:
    """Have glibc return large freed blocks to the system at once.

    By default its threshold grows with what is freed, and the logits of each step then split the
    heap: measured, 7 MB more of the process a step, gigabytes in all; with a fixed one, none.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK)
