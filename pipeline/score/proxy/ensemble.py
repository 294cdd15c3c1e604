"""The proxies of a run: three or more sizes trained on the whole sample.

With them comes a cross-fit pair on its halves.

Models are small, so cores are used by training several at once, each on `proxy.threads` threads: on
two cores that is as fast as two threads each, does not collapse when another process wants a core,
and the number of cores changes no bit. Torch releases the interpreter lock in every operation.
"""

from __future__ import annotations

import ctypes
import math
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.config.sections import ProxyConfig
from pipeline.score.proxy.checkpoint import Checkpoint, key_of
from pipeline.score.proxy.model import Shape
from pipeline.score.proxy.precision import deterministic, precision_of
from pipeline.score.proxy.pretrained import load_models
from pipeline.score.proxy.statistics import BATCHES, ProxyScorer, Scorable, Statistics
from pipeline.score.proxy.train import Means, Schedule, Trained, train

HALVES = ("half-a", "half-b")
TRAINING = 2  # the version of what a training computes: in the key of a checkpoint
M_MMAP_THRESHOLD = -3  # glibc, malloc.h
LARGE_BLOCK = 4 << 20
Advance = Callable[[float, float, str], None]
Job = TypeVar("Job")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Proxy:
    """A trained or loaded proxy.

    role: ladder | early (a ladder proxy after its first epoch) | half | loaded. halves: numbers of
    the halves of the families that it saw, `epochs` times each. tokens: trained on, repeats
    included; 0 for a loaded one, of which that is not known. loss: of the last epoch, NaN for
    `early` and `loaded`. identity: a key of all that its weights follow from; source: where a
    loaded one is from.
    """

    name: str
    role: str
    model: Scorable
    halves: tuple[int, ...]
    epochs: int
    tokens: int
    loss: float
    device: str
    identity: str = ""
    source: str = ""

    @property
    def parameters(self) -> int:
        """Return the non-embedding parameters."""
        return self.model.size


@dataclass(frozen=True)
class _Lesson:
    name: str
    shape: Shape
    halves: tuple[int, ...]
    rows: NDArray[np.int64]

    @property
    def cost(self) -> float:
        return self.shape.parameters * len(self.rows)


class _Stopped(Exception):
    """Another job failed, or the user stopped the run."""


class Crew:
    """Runs jobs on several threads, each of which Torch may use `threads` more of.

    It says how far they are. unfinished: a folder for what a killed run goes on from; None for
    none. short: what had to be done in smaller parts because the device was out of memory, and
    rows: that were scored again in fp32, each by proxy.
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
        work: Callable[[Job], Result],
        jobs: Iterable[Job],
        cost: Callable[[Job], float],
    ) -> list[Result]:
        """Return the results in the order of `jobs`; the costliest begin first.

        An error stops all of them.
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
        """Return where a job keeps what it has done, when it is kept."""
        return Checkpoint(self.unfinished / name, key) if self.unfinished and key else None

    def hearing(self, name: str, cost: float) -> Callable[[int, int], None]:
        """Return what a job tells its own (done, total) to."""

        def hear(done: int, total: int) -> None:
            if self._stop.is_set():
                raise _Stopped
            self._done[name] = cost * done / total
            self._advance(sum(self._done.values()), self._total, self._note)

        return hear


@contextmanager
def torch_threads(count: int, *, exact: bool = False) -> Iterator[None]:
    """Hold Torch at `count` threads, here and in threads begun inside.

    The order of its sums depends on it. exact: deterministic kernels only, on a GPU.
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
    """Have glibc hand large freed blocks back at once.

    By default its threshold grows with what is freed, and the logits of each step then split the
    heap: measured, 7 MB more of the process a step, gigabytes in all; with a fixed one, none.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK)


def train_all(
    rows: NDArray[np.int64],
    half: NDArray[np.int64],
    vocabulary: int,
    config: ProxyConfig,
    crew: Crew,
) -> list[Proxy]:
    """Return the proxies trained on `rows` [n, 65], smallest first, then the pair.

    half: 0 or 1 per row.

    The order of the rows and the schedule are the same for every size, so size is all that differs
    between them. A half without rows has no proxy.
    """
    device = chosen_device(config)
    schedule = Schedule(config.epochs, config.batch, config.rate, config.seed)
    precision = precision_of(device)
    lessons = _lessons(rows, half, vocabulary, config)
    keys = {one.name: _key(one, schedule, device, precision) for one in lessons}

    def teach(lesson: _Lesson) -> Trained:
        hear = crew.hearing(lesson.name, lesson.cost)
        checkpoint = crew.checkpoint(f"{lesson.name}.training", keys[lesson.name])
        means = Means(precision, checkpoint)
        return train(lesson.shape, lesson.rows, schedule, device, hear, means)

    done = crew.map("training proxies", teach, lessons, lambda lesson: lesson.cost)
    for lesson, trained in zip(lessons, done, strict=True):
        if trained.rows_at_once < schedule.rows:
            crew.short[f"training {lesson.name}"] = trained.rows_at_once
    return [
        proxy
        for lesson, trained in zip(lessons, done, strict=True)
        for proxy in _proxies(lesson, trained, config.epochs, device, keys[lesson.name])
    ]


def load_all(config: ProxyConfig, vocabulary: int) -> list[Proxy]:
    """Return the proxies of `proxy.models`, smallest first.

    What they were trained on is not known: as far as the corpus goes they have seen nothing.
    """
    device = chosen_device(config)
    return [
        Proxy(f"m{number}", "loaded", one, (), 0, 0, math.nan, device, one.digest, one.name)
        for number, one in enumerate(load_models(config.models, vocabulary, device))
    ]


def score_all(
    proxies: list[Proxy], tokens: list[NDArray[np.int64]], crew: Crew
) -> list[Statistics]:
    """Return the statistics of each proxy on its own rows of tokens [n, 65]."""

    def mark(job: tuple[Proxy, NDArray[np.int64]]) -> Statistics:
        proxy, rows = job
        precision = precision_of(proxy.device)
        identity = (proxy.identity, proxy.name, proxy.device, precision, BATCHES)
        key = key_of(identity, np.ascontiguousarray(rows).data) if proxy.identity else ""
        scorer = ProxyScorer(
            proxy.model,
            proxy.device,
            advance=crew.hearing(proxy.name, cost(job)),
            precision=precision,
            checkpoint=crew.checkpoint(f"{proxy.name}.scoring", key),
        )
        found = scorer.score(rows)
        if scorer.short:
            crew.short[f"scoring {proxy.name}"] = scorer.rows_at_once
        if precision != "fp32":
            crew.relabelled[proxy.name] = scorer.relabelled
        return found

    def cost(job: tuple[Proxy, NDArray[np.int64]]) -> float:
        return float(job[0].parameters * len(job[1]))

    return crew.map("scoring sequences", mark, zip(proxies, tokens, strict=True), cost)


def _key(lesson: _Lesson, schedule: Schedule, device: str, precision: str) -> str:
    parts = (TRAINING, lesson.name, lesson.shape, schedule, device, precision)
    return key_of(parts, np.ascontiguousarray(lesson.rows).data)


def chosen_device(config: ProxyConfig) -> str:
    """Return `cpu` or `cuda`."""
    if config.device != "auto":
        return config.device
    return "cuda" if torch.cuda.is_available() else "cpu"


def _lessons(
    rows: NDArray[np.int64], half: NDArray[np.int64], vocabulary: int, config: ProxyConfig
) -> list[_Lesson]:
    middle = config.shapes[len(config.shapes) // 2]
    parts = [(f"p{number}", shape, (0, 1)) for number, shape in enumerate(config.shapes)]
    named = [*parts, *((name, middle, (number,)) for number, name in enumerate(HALVES))]
    found = [
        _Lesson(name, Shape(vocabulary, layers, width), halves, rows[np.isin(half, halves)])
        for name, (layers, width), halves in named
    ]
    return [lesson for lesson in found if len(lesson.rows)]


def _proxies(lesson: _Lesson, done: Trained, epochs: int, device: str, key: str) -> Iterator[Proxy]:
    tokens = lesson.rows[:, 1:].size
    role = "ladder" if len(lesson.halves) == 2 else "half"
    seen = tokens * epochs
    yield Proxy(lesson.name, role, done.model, lesson.halves, epochs, seen, done.loss, device, key)
    if role == "ladder" and done.early is not None:
        name = f"{lesson.name}-early"
        yield Proxy(name, "early", done.early, lesson.halves, 1, tokens, math.nan, device, key)
