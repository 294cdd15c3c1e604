"""Who runs the units of a stage: threads of this process, or Prefect tasks.

Importing this module imports nothing of Prefect.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.config.sections import Config
    from pipeline.engine.stage import Mapper, Receipt, StageFunction, Work

AHEAD = 2
"""Units handed out per worker, so that none waits while the main thread writes the manifest."""

POLL_SECONDS = 0.2
"""Polars takes over SIGINT so that a wait goes on after it; one that ends by itself sees Ctrl-C."""

QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
    # what Prefect says of runs is for its server; the terminal is rote's
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_INTERNAL_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
}
FIXED = "ROTE_SCHEDULE_FIXED"
"""Variable by which `rote schedule` tells its runs what they may not change, as JSON."""
FIXED_PARAMETERS = ("corpus", "out")
LOUD = ("PREFECT_LOGGING_LEVEL", "PREFECT_DEBUG_MODE", "PREFECT_TEST_MODE")


class Submitted(Protocol):
    """What Prefect gives for a task: the pool's own future, and the result behind it."""

    @property
    def wrapped_future(self) -> Future[Any]:
        """The pool's own future; its result is a state."""

    def result(self) -> Receipt:
        """Return what the task returned, or raise what it raised."""


class LocalMapper:
    """Runs units in at most `workers` threads, without Prefect.

    The first error is raised as it is, once the units already begun have ended; no more are begun.
    Ctrl-C is raised at once; units in the middle are left to `leave`, and to the rule that a
    half-written file never counts.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def __call__(
        self, stage: str, function: StageFunction, works: Iterable[Work]
    ) -> Iterator[tuple[int, Receipt]]:
        """Yield each receipt with the place of its work, as they are done."""
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix=stage)
        futures = as_done(
            lambda work: pool.submit(function, work), works, limit=self.workers * AHEAD
        )
        try:
            for index, future in futures:
                yield index, future.result()
        except Exception:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


class PrefectMapper:
    """Runs units as Prefect tasks: `submit(stage, function, work)` hands one to a bounded pool.

    Errors and Ctrl-C are as with LocalMapper; ending the pool is the part of the flow.
    """

    def __init__(
        self, submit: Callable[[str, StageFunction, Work], Submitted], workers: int
    ) -> None:
        self.submit = submit
        self.workers = workers

    def __call__(
        self, stage: str, function: StageFunction, works: Iterable[Work]
    ) -> Iterator[tuple[int, Receipt]]:
        """Yield each receipt with the place of its work, as they are done."""
        tasks: dict[Future[Any], Submitted] = {}

        def hand_out(work: Work) -> Future[Any]:
            submitted = self.submit(stage, function, work)
            tasks[submitted.wrapped_future] = submitted
            return submitted.wrapped_future

        for index, future in as_done(hand_out, works, limit=self.workers * AHEAD):
            yield index, tasks.pop(future).result()


@contextmanager
def units_on(
    runner: str | None, out: Path, config: Config
) -> Iterator[tuple[Config, Callable[[Mapper], Mapper]]]:
    """Give how units are mapped: as they come, or on the nodes of a cluster.

    Args:
        runner: as on the command line; nothing for this machine.
        out: the run folder.
        config: the settings; a cluster sets the number of units at once unless they name it.

    Raises:
        ConfigError: the cluster cannot do the work.
    """
    if not runner:
        yield config, lambda mapper: mapper
        return
    from flows.cluster import cluster, require_whole

    require_whole(config, runner)
    with cluster(runner, out) as nodes:
        workers = config.limits.workers or nodes.workers
        limits = config.limits.model_copy(update={"workers": workers})
        yield config.model_copy(update={"limits": limits}), nodes.mapper


def as_done(
    submit: Callable[[Work], Future[Any]], works: Iterable[Work], *, limit: int
) -> Iterator[tuple[int, Future[Any]]]:
    """Yield futures as they are done, each with the place of its work; `limit` are out at a time.

    However this ends, what was handed out and has not begun is cancelled.
    """
    queue = enumerate(works)
    places: dict[Future[Any], int] = {}
    try:
        while True:
            for index, work in islice(queue, limit - len(places)):
                places[submit(work)] = index
            if not places:
                return
            done = wait(places, POLL_SECONDS, FIRST_COMPLETED).done
            for future in sorted(done, key=places.__getitem__):
                yield places.pop(future), future
    finally:
        for future in places:
            future.cancel()


def quiet_prefect() -> None:
    """Set, before Prefect is imported, what keeps it silent and offline; what is set stays.

    A user who sets PREFECT_LOGGING_LEVEL or PREFECT_DEBUG_MODE wants to see its log, and does.
    """
    loud = any(name in os.environ for name in LOUD)
    for name, value in QUIET.items():
        if not (loud and "LOGGING" in name):
            os.environ.setdefault(name, value)


def leave(code: int) -> NoReturn:
    """End the process now, without waiting for threads in the middle of a unit.

    An ordinary exit waits for every thread of a pool, which may be minutes inside a kernel. Outputs
    are written under a temporary name first, so nothing is lost; a temporary server ends by itself
    when its pipe closes.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
