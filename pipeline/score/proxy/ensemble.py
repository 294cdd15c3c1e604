"""The proxies of a run: three or more sizes trained on the whole sample.

With them comes a cross-fit pair on its halves.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.score.proxy.checkpoint import key_of
from pipeline.score.proxy.model import Shape
from pipeline.score.proxy.pool import WorkerPool
from pipeline.score.proxy.precision import precision_of
from pipeline.score.proxy.pretrained import load_models
from pipeline.score.proxy.statistics import BATCHES, ProxyScorer, Scorable, Statistics
from pipeline.score.proxy.train import Schedule, TrainedProxy, TrainingOptions, train

if TYPE_CHECKING:
    from pipeline.config.sections import ProxyConfig

HALVES = ("half-a", "half-b")
TRAINING = 3  # the version of what a training computes: in the key of a checkpoint


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
class _ProxyPlan:
    name: str
    shape: Shape
    halves: tuple[int, ...]
    rows: NDArray[np.int64]

    @property
    def cost(self) -> float:
        return self.shape.parameters * len(self.rows)


def train_all(
    rows: NDArray[np.int64],
    half: NDArray[np.int64],
    vocabulary: int,
    config: ProxyConfig,
    pool: WorkerPool,
) -> list[Proxy]:
    """Return the proxies trained on `rows` [n, 65], smallest first, then the pair.

    half: 0 or 1 per row.

    The order of the rows and the schedule are the same for every size, so size is all that differs
    between them. A half without rows has no proxy.
    """
    device = chosen_device(config)
    schedule = Schedule(config.epochs, config.batch, config.rate, config.seed)
    precision = precision_of(device)
    lessons = _proxy_plans(rows, half, vocabulary, config)
    keys = {one.name: _key(one, schedule, device, precision) for one in lessons}

    def teach(lesson: _ProxyPlan) -> TrainedProxy:
        on_progress = pool.progress_of(lesson.name, lesson.cost)
        checkpoint = pool.checkpoint(f"{lesson.name}.training", keys[lesson.name])
        options = TrainingOptions(precision, checkpoint)
        return train(lesson.shape, lesson.rows, schedule, device, on_progress, options)

    done = pool.map("training proxies", teach, lessons, lambda lesson: lesson.cost)
    for lesson, trained in zip(lessons, done, strict=True):
        if trained.rows_at_once < schedule.rows:
            pool.short[f"training {lesson.name}"] = trained.rows_at_once
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
    proxies: list[Proxy], tokens: list[NDArray[np.int64]], pool: WorkerPool
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
            advance=pool.progress_of(proxy.name, cost(job)),
            precision=precision,
            checkpoint=pool.checkpoint(f"{proxy.name}.scoring", key),
        )
        found = scorer.score(rows)
        if scorer.short:
            pool.short[f"scoring {proxy.name}"] = scorer.rows_at_once
        if precision != "fp32":
            pool.relabelled[proxy.name] = scorer.relabelled
        return found

    def cost(job: tuple[Proxy, NDArray[np.int64]]) -> float:
        return float(job[0].parameters * len(job[1]))

    return pool.map("scoring sequences", mark, zip(proxies, tokens, strict=True), cost)


def _key(lesson: _ProxyPlan, schedule: Schedule, device: str, precision: str) -> str:
    parts = (TRAINING, lesson.name, lesson.shape, schedule, device, precision)
    return key_of(parts, np.ascontiguousarray(lesson.rows).data)


def chosen_device(config: ProxyConfig) -> str:
    """Return `cpu` or `cuda`."""
    if config.device != "auto":
        return config.device
    return "cuda" if torch.cuda.is_available() else "cpu"


def _proxy_plans(
    rows: NDArray[np.int64], half: NDArray[np.int64], vocabulary: int, config: ProxyConfig
) -> list[_ProxyPlan]:
    middle = config.shapes[len(config.shapes) // 2]
    parts = [(f"p{number}", shape, (0, 1)) for number, shape in enumerate(config.shapes)]
    named = [*parts, *((name, middle, (number,)) for number, name in enumerate(HALVES))]
    found = [
        _ProxyPlan(name, Shape(vocabulary, layers, width), halves, rows[np.isin(half, halves)])
        for name, (layers, width), halves in named
    ]
    return [lesson for lesson in found if len(lesson.rows)]


def _proxies(
    lesson: _ProxyPlan, done: TrainedProxy, epochs: int, device: str, key: str
) -> Iterator[Proxy]:
    tokens = lesson.rows[:, 1:].size
    role = "ladder" if len(lesson.halves) == 2 else "half"
    seen = tokens * epochs
    yield Proxy(lesson.name, role, done.model, lesson.halves, epochs, seen, done.loss, device, key)
    if role == "ladder" and done.early is not None:
        name = f"{lesson.name}-early"
        yield Proxy(name, "early", done.early, lesson.halves, 1, tokens, math.nan, device, key)
