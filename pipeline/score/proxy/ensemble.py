"""The proxies of a run: several sizes trained on the whole sample, two more on a half of it each.

The two are the cross-fit pair: each shows what the other's half is to a model that never saw it.
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
from pipeline.score.proxy.rates import rate_of_width
from pipeline.score.proxy.statistics import BATCHES, ProxyScorer, Scorable, Statistics
from pipeline.score.proxy.train import (
    Mark,
    Questions,
    Schedule,
    TrainedProxy,
    TrainingOptions,
    steps_of,
    train,
)

if TYPE_CHECKING:
    from pipeline.config.sections import ProxyConfig

HALVES = ("half-a", "half-b")
REST = -1  # "half" of the documents that are not in the sample
EVERYTHING = (REST, 0, 1)
HALF_OF_SEEN = (0,)  # where a column says what loaded ones saw, that is counted as the first half
TRAINING_JOB = "training "  # and the name of a proxy
TRAINING = 3  # the version of what a training computes: in the key of a checkpoint


@dataclass(frozen=True)
class Proxy:
    """A model that was trained here or loaded, with what is known of its training.

    Attributes:
        name: its name in tables and folders, such as p0, p0-early, half-a or m0.
        role: ladder | early (a ladder proxy after its first epoch) | half | loaded.
        model: the weights.
        halves: numbers of the halves of the families that it was trained on; REST for the others.
        epochs: times that it saw each row of those halves.
        tokens: trained on, repeats included; 0 for a loaded one of which that is not known.
        loss: mean of the last epoch, nats per token; NaN for `early` and `loaded`.
        device: `cpu` or `cuda`.
        identity: key of all that its weights follow from; empty where that is not known.
        source: where a loaded one is from; empty for the others.
        marks: what a ladder proxy was asked during its training, where it was.
        share: of those epochs that had passed; below 1 of an earlier checkpoint that was loaded.
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
    marks: tuple[Mark, ...] = ()
    share: float = 1.0

    @property
    def parameters(self) -> int:
        """The number of non-embedding parameters."""
        return self.model.size


@dataclass(frozen=True)
class ProxyPlan:
    """A training that is to be done.

    Attributes:
        name: of the proxy.
        shape: its size.
        halves: numbers of the halves of the families that it sees.
        rows: what it is trained on, (rows, 65).
    """

    name: str
    shape: Shape
    halves: tuple[int, ...]
    rows: NDArray[np.int64]

    @property
    def cost(self) -> float:
        """The work of an epoch, in parameters times rows."""
        return self.shape.parameters * len(self.rows)


def train_all(
    rows: NDArray[np.int64],
    half: NDArray[np.int64],
    vocabulary: int,
    config: ProxyConfig,
    pool: WorkerPool,
    asked: NDArray[np.int64] | None = None,
) -> list[Proxy]:
    """Return the proxies trained on a sample: the ladder, smallest first, then the cross-fit pair.

    The order of the rows and the schedule are the same for every size, so size is all that differs
    between them. A half without rows has no proxy.

    Args:
        rows: EOS and a sequence each, (rows, 65).
        half: 0 or 1, the half that each row's family is in, (rows,).
        vocabulary: number of tokens.
        config: the shapes and the schedule.
        pool: the threads that train side by side.
        asked: what the ladder is asked at `proxy.marks` moments, (rows, 65); None for nothing.
    """
    device = chosen_device(config)
    schedule = Schedule(config.epochs, config.batch, config.rate, config.seed)
    precision = precision_of(device)
    plans = proxy_plans(rows, half, vocabulary, config)
    questions = {one.name: _questions(one, schedule, config.marks, asked) for one in plans}
    keys = {one.name: _key(one, schedule, device, precision, questions[one.name]) for one in plans}

    def train_one(plan: ProxyPlan) -> TrainedProxy:
        on_progress = pool.progress_of(plan.name, plan.cost)
        checkpoint = pool.checkpoint(f"{plan.name}.training", keys[plan.name])
        options = TrainingOptions(precision, checkpoint, questions[plan.name])
        return train(plan.shape, plan.rows, schedule, device, on_progress, options)

    done = pool.map("training proxies", train_one, plans, lambda plan: plan.cost)
    for plan, trained in zip(plans, done, strict=True):
        if trained.rows_at_once < schedule.rows:
            pool.short[TRAINING_JOB + plan.name] = trained.rows_at_once
    return [
        proxy
        for plan, trained in zip(plans, done, strict=True)
        for proxy in _proxies(plan, trained, config.epochs, device, keys[plan.name])
    ]


def load_all(config: ProxyConfig, vocabulary: int, corpus_tokens: int) -> list[Proxy]:
    """Return the models of `proxy.models` as proxies, smallest first, then by tokens.

    Where users declare that they were trained on the corpus they are a ladder that saw all of it,
    or the rows that a column names; otherwise that is not known, and they count as having seen
    nothing. Of models of one size that were trained on different numbers of tokens the one with
    most saw the corpus `proxy.epochs` times, the others in proportion: they are its checkpoints.
    A folder that holds no model that can be scored with is refused with a ConfigError.

    Args:
        config: the settings.
        vocabulary: number of tokens.
        corpus_tokens: of what an epoch shows them, about.
    """
    device = chosen_device(config)
    halves: tuple[int, ...] = ()
    role, epochs = "loaded", 0
    own = dict.fromkeys(config.models, 0)
    if config.trained_on == "corpus":
        role, epochs = "ladder", config.epochs
        halves = EVERYTHING if config.seen_column is None else HALF_OF_SEEN
        own = tokens_of_models(config, corpus_tokens)
    models = load_models(config.models, vocabulary, device)
    models.sort(key=lambda one: (one.size, own[one.name]))
    most = {one.size: own[one.name] for one in models}
    return [
        Proxy(
            f"m{number}",
            role,
            one,
            halves,
            epochs,
            own[one.name],
            math.nan,
            device,
            identity=one.digest,
            source=one.name,
            share=own[one.name] / most[one.size] if most[one.size] else 1.0,
        )
        for number, one in enumerate(models)
    ]


def tokens_of_models(config: ProxyConfig, corpus_tokens: int) -> dict[str, int]:
    """Return how many tokens each of `proxy.models` was trained on, by its name there.

    Args:
        config: the settings.
        corpus_tokens: of what an epoch shows them, about.
    """
    told = config.trained_tokens
    if isinstance(told, int):
        return dict.fromkeys(config.models, told or corpus_tokens * config.epochs)
    return dict(zip(config.models, told, strict=True))


def score_all(
    proxies: list[Proxy],
    tokens: list[NDArray[np.int64]],
    pool: WorkerPool,
    note: str = "scoring sequences",
) -> list[Statistics]:
    """Return the statistics of each proxy on rows of its own.

    Args:
        proxies: the models.
        tokens: for each proxy its rows of EOS and a sequence, (rows, 65).
        pool: the threads that score side by side.
        note: what the progress is shown as.
    """

    def score_one(job: tuple[Proxy, NDArray[np.int64]]) -> Statistics:
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

    return pool.map(note, score_one, zip(proxies, tokens, strict=True), cost)


def _key(
    plan: ProxyPlan,
    schedule: Schedule,
    device: str,
    precision: str,
    questions: Questions | None,
) -> str:
    """Return the key of all that the weights of a training, and its marks, follow from."""
    rate = schedule.rate * rate_of_width(plan.shape.width)
    parts: tuple[object, ...] = (TRAINING, plan.name, plan.shape, schedule, rate, device, precision)
    arrays = [np.ascontiguousarray(plan.rows).data]
    if questions is not None:
        parts, arrays = (
            (*parts, questions.steps),
            [*arrays, np.ascontiguousarray(questions.rows).data],
        )
    return key_of(parts, *arrays)


def _questions(
    plan: ProxyPlan, schedule: Schedule, marks: int, asked: NDArray[np.int64] | None
) -> Questions | None:
    """Return what a training is asked on the way: the ladder's, after equal parts of its steps."""
    if not marks or asked is None or not len(asked) or len(plan.halves) < 2:
        return None
    total = steps_of(len(plan.rows), schedule)
    steps = sorted({-(-total * number // marks) for number in range(1, marks + 1)})
    return Questions(tuple(steps), asked)


def chosen_device(config: ProxyConfig) -> str:
    """Return the device of the proxies, `cpu` or `cuda`; `auto` is the GPU where there is one."""
    if config.device != "auto":
        return config.device
    return "cuda" if torch.cuda.is_available() else "cpu"


def cores_for(config: ProxyConfig, cores: int) -> int:
    """Return the cores that a pool of trainings and scorings may use: with a GPU one job's.

    Side by side on one device each would have a part of its memory, and none would be sooner done.
    """
    return 1 if chosen_device(config) == "cuda" else cores


def proxy_plans(
    rows: NDArray[np.int64], half: NDArray[np.int64], vocabulary: int, config: ProxyConfig
) -> list[ProxyPlan]:
    """Return the trainings of a run: each size on all rows, the middle size on each half."""
    middle = config.shapes[len(config.shapes) // 2]
    parts = [(f"p{number}", shape, (0, 1)) for number, shape in enumerate(config.shapes)]
    named = [*parts, *((name, middle, (number,)) for number, name in enumerate(HALVES))]
    found = [
        ProxyPlan(name, Shape(vocabulary, layers, width), halves, rows[np.isin(half, halves)])
        for name, (layers, width), halves in named
    ]
    return [plan for plan in found if len(plan.rows)]


def _proxies(
    plan: ProxyPlan, done: TrainedProxy, epochs: int, device: str, key: str
) -> Iterator[Proxy]:
    """Yield the proxies of one training: after its last epoch and, of the ladder, its first."""
    tokens = plan.rows[:, 1:].size
    role = "ladder" if len(plan.halves) == 2 else "half"
    seen = tokens * epochs
    yield Proxy(
        plan.name,
        role,
        done.model,
        plan.halves,
        epochs,
        seen,
        done.loss,
        device,
        key,
        marks=done.marks,
    )
    if role == "ladder" and done.early is not None:
        name = f"{plan.name}-early"
        yield Proxy(name, "early", done.early, plan.halves, 1, tokens, math.nan, device, key)
