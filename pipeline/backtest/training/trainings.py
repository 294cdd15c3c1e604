"""Train and score the models of a back-test: proxies by `train`, targets by `train_target`."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from pipeline.backtest.corpus.subject import Subject
from pipeline.backtest.ledger import Built, Ledger, Output
from pipeline.backtest.sizes import target_shape
from pipeline.backtest.training.target import TargetSpec, train_target
from pipeline.config.sections import Config, ProxyConfig
from pipeline.engine.run_folder import digest_of
from pipeline.score.proxy.ensemble import HALVES, TRAINING, Proxy, chosen_device
from pipeline.score.proxy.model import Shape, Transformer, from_safetensors, to_safetensors
from pipeline.score.proxy.pool import WorkerPool
from pipeline.score.proxy.statistics import ProxyScorer
from pipeline.score.proxy.train import Schedule, train
from pipeline.text.arrays import Int64
from schemas.backtest import SCORES

MARKS = (0.15, 0.3, 0.5, 0.75, 1.0)  # shares of the steps
EARLY, FINAL = "mark-0", f"mark-{len(MARKS) - 1}"
TARGET, OTHER = "target", "other"


@dataclass(frozen=True)
class Training:
    """One model to train.

    Attributes:
        name: its name.
        role: ladder | half | target.
        shape: its shape.
        halves: the halves of the families that it sees, 0 and 1.
        rows: its training rows.
        seed: of the weights and of the order of the rows.
        keep: which tokens count in the loss; None for all.
        sinks: the number of each row's sink; None for a model without sinks.
        recipe: what else its fingerprint depends on.
    """

    name: str
    role: str
    shape: Shape
    halves: tuple[int, ...]
    rows: Int64  # (rows, 65)
    seed: int
    keep: NDArray[np.bool_] | None = None  # (rows, 64)
    sinks: Int64 | None = None  # (rows,)
    recipe: str = ""

    @property
    def weights(self) -> int:
        """All parameters that a step multiplies by, with the head, which is tied."""
        return self.shape.parameters + self.shape.vocabulary * self.shape.width

    @property
    def cost(self) -> float:
        """The floating-point operations of an epoch: 6 per parameter and token."""
        return 6.0 * self.weights * self.rows[:, 1:].size


def proxies_of(subject: Subject, config: ProxyConfig, vocabulary: int) -> list[Training]:
    """Return the trainings of the proxies: the ladder, then the cross-fit pair."""
    learnt = subject.material.learnt
    middle = config.shapes[len(config.shapes) // 2]
    named = [
        *((f"p{place}", "ladder", shape, (0, 1)) for place, shape in enumerate(config.shapes)),
        *((name, "half", middle, (half,)) for half, name in enumerate(HALVES)),
    ]
    return [
        Training(
            name, role, Shape(vocabulary, *shape), halves,
            learnt.rows[np.isin(learnt.row_half, halves)], config.seed,
        )
        for name, role, shape, halves in named
    ]  # fmt: skip


def targets_of(subject: Subject, config: Config, vocabulary: int) -> list[Training]:
    """Return the trainings of the target and of the same model with another order and seed.

    Neither has the proxies' weights or order: a real target shares none of them.
    """
    shape = target_shape(vocabulary, config.proxy.shapes[-1], config.backtest.target_ratio)
    rows, seed = subject.material.learnt.rows, config.proxy.seed
    return [
        Training(TARGET, "target", shape, (0, 1), rows, seed + 1),
        Training(OTHER, "target", shape, (0, 1), rows, seed + 2),
    ]


class Trainer:
    """A worker that trains and scores, side by side, the models that are not there yet."""

    def __init__(self, ledger: Ledger, config: ProxyConfig, pool: WorkerPool) -> None:
        self._ledger = ledger
        self._config = config
        self._pool = pool
        self._device = chosen_device(config)

    def due(self, trainings: Sequence[Training]) -> list[Training]:
        """Return the trainings that are not there yet."""
        return [one for one in trainings if not self._ledger.has(*self._output(one))]

    def train(self, trainings: Sequence[Training]) -> list[Output]:
        """Return the outputs of the trainings, in their order; the most expensive begin first."""
        return self._pool.map(
            "training",
            lambda one: self._ledger.get(*self._output(one), lambda: self._trained(one)),
            trainings,
            lambda one: one.cost,
        )

    def proxies(self, trainings: Sequence[Training], outputs: Sequence[Output]) -> list[Proxy]:
        """Return trained proxies as scoring has them, an early one after each ladder proxy.

        Args:
            trainings: trainings of proxies.
            outputs: their outputs, in the same order.
        """
        found = []
        for one, output in zip(trainings, outputs, strict=True):
            tokens, epochs = one.rows[:, 1:].size, self._config.epochs
            found.append(
                Proxy(
                    one.name, one.role, self._load(one, output, FINAL), one.halves, epochs,
                    tokens * epochs, output.facts["loss"], self._device,
                )
            )  # fmt: skip
            if one.role == "ladder" and epochs > 1:
                early = self._load(one, output, EARLY)
                found.append(
                    Proxy(
                        f"{one.name}-early", "early", early, one.halves, 1,
                        tokens, math.nan, self._device,
                    )
                )  # fmt: skip
        return found

    def score(
        self, wanted: Sequence[tuple[Training, Output, str]], panel: Int64, outside: Int64
    ) -> list[Output]:
        """Return the scores of some models on the panel and on the sequences left outside.

        Args:
            wanted: training, its output and the mark of each model.
            panel: sequences of the panel, (sequences, 65).
            outside: sequences of clusters that no model saw, (outside sequences, 65).
        """
        rows = np.concatenate((panel, outside))
        about = digest_rows(rows)

        def score_one(job: tuple[Training, Output, str]) -> Output:
            one, output, name = job
            parts = [output.fingerprint, name, about]
            title = f"score/{one.name}/{name}"
            return self._ledger.get(
                title, parts, lambda: self._scored(one, output, name, rows, len(panel))
            )

        def cost(job: tuple[Training, Output, str]) -> float:
            return float(job[0].weights * len(rows))

        return self._pool.map("scoring", score_one, wanted, cost)

    def _output(self, one: Training) -> tuple[str, list[Any]]:
        """Return the name of a training's output, and everything that it is made from."""
        shape = [one.shape.vocabulary, one.shape.layers, one.shape.width]
        config = self._config
        schedule = [config.epochs, config.batch, config.rate, one.seed]
        machine = [TRAINING, self._device, str(torch.__version__), config.threads]
        extra = [one.recipe, None if one.keep is None else digest_rows(one.keep)]
        return f"train/{one.name}", [
            one.role, shape, schedule, machine, digest_rows(one.rows), extra,
            None if one.sinks is None else digest_rows(one.sinks),
        ]  # fmt: skip

    def _trained(self, one: Training) -> Built:
        """Train a model and write its weights at each mark."""
        config = self._config
        schedule = Schedule(config.epochs, config.batch, config.rate, one.seed)
        on_progress = self._pool.progress_of(one.name, one.cost)
        loss = math.nan
        if one.role == "target":
            spec = TargetSpec(one.shape, one.rows, schedule, MARKS, one.keep, one.sinks)
            models = dict(
                zip(
                    (f"mark-{place}" for place in range(len(MARKS))),
                    train_target(spec, self._device, on_progress),
                    strict=True,
                )
            )
        else:
            done = train(one.shape, one.rows, schedule, self._device, on_progress)
            models, loss = {FINAL: done.model}, done.loss
            if done.early is not None:
                models[EARLY] = done.early
        files = [
            self._ledger.file(f"{one.name}/{name}.safetensors", to_safetensors(model))
            for name, model in models.items()
        ]
        return files, {"loss": None if math.isnan(loss) else loss}

    def _load(self, one: Training, output: Output, name: str) -> Transformer:
        path: Path = output.files[f"models/{one.name}/{name}.safetensors"]
        return from_safetensors(one.shape, path.read_bytes()).to(self._device).eval()

    def _scored(self, one: Training, output: Output, name: str, rows: Int64, inside: int) -> Built:
        """Score rows by a model at a mark; the first `inside` are the panel's."""
        on_progress = self._pool.progress_of(f"{one.name}/{name}", float(one.weights * len(rows)))
        scorer = ProxyScorer(self._load(one, output, name), self._device, advance=on_progress)
        found = scorer.score(rows)
        table = pa.table(
            {
                "outside": np.arange(len(rows)) >= inside,
                **{key: found[key] for key in ("memorized", "log_p_z", "margin", "mean_nll")},
            }
        )
        return [self._ledger.table(SCORES, f"{one.name}-{name}", table)], {}


def digest_rows(rows: NDArray[Any]) -> str:
    """Return a fingerprint of an array: its type, shape and bytes."""
    data = hashlib.blake2b(np.ascontiguousarray(rows).tobytes(), digest_size=16).hexdigest()
    return digest_of([str(rows.dtype), list(rows.shape), data])
