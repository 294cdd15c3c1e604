"""The targets of a back-test: what each learns, its training and its scores, each an output."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from pipeline.backtest.ledger import Built, Ledger, Output
from pipeline.backtest.sizes import Size, target_shape
from pipeline.backtest.subject import Subject
from pipeline.backtest.training.going_on import RATE, going_on
from pipeline.backtest.training.target import Means, TargetSpec, train_target
from pipeline.config.sections import ProxyConfig
from pipeline.engine.run_folder import digest_of
from pipeline.score.proxy.checkpoint import key_of
from pipeline.score.proxy.ensemble import TRAINING, chosen_device
from pipeline.score.proxy.model import Shape, Transformer, from_safetensors, to_safetensors
from pipeline.score.proxy.pool import WorkerPool
from pipeline.score.proxy.precision import precision_of
from pipeline.score.proxy.rates import rate_of_width
from pipeline.score.proxy.statistics import ProxyScorer
from pipeline.score.proxy.train import Schedule
from pipeline.text.arrays import Int64, Uint64
from schemas.backtest import SCORES

SCORED = ("memorized", "log_p_z", "margin", "mean_nll")
MARKS = (0.15, 0.3, 0.5, 0.75, 1.0)  # shares of the steps
EARLY, FINAL = "mark-0", f"mark-{len(MARKS) - 1}"


@dataclass(frozen=True)
class Training:
    """One model to train.

    Attributes:
        name: its name.
        shape: its shape.
        rows: its training rows, in the order that its epochs shuffle again.
        seed: of the weights and of the order of the rows.
        keep: which tokens count in the loss; None for all.
        sinks: the `sink_id` of each row's text; None for a model without sinks.
    """

    name: str
    shape: Shape
    rows: Int64  # (rows, 65)
    seed: int
    keep: NDArray[np.bool_] | None = None  # (rows, 64)
    sinks: Uint64 | None = None  # (rows,)

    @property
    def weights(self) -> int:
        """All parameters that a step multiplies by, with the head, which is tied."""
        return self.shape.parameters + self.shape.vocabulary * self.shape.width

    @property
    def cost(self) -> float:
        """The floating-point operations of an epoch: 6 per parameter and token."""
        return 6.0 * self.weights * self.rows[:, 1:].size


def shapes_of(subject: Subject, size: Size, config: ProxyConfig) -> list[Shape]:
    """Return the shapes of the targets of a size."""
    return [
        target_shape(subject.vocabulary, config.shapes[-1], ratio) for ratio in sorted(size.ratios)
    ]


def seeds_of(size: Size, config: ProxyConfig) -> list[int]:
    """Return the seeds of the targets of each shape, none of them the proxies'."""
    return [config.seed + number for number in range(1, 1 + size.seeds)]


def targets_of(subject: Subject, shapes: Sequence[Shape], seeds: Sequence[int]) -> list[Training]:
    """Return the trainings of the targets: what the proxies were taught, in another order.

    A real target shares neither the proxies' order nor their weights.
    """
    return [
        Training(
            f"target-{shape.layers}x{shape.width}-s{seed}",
            shape,
            subject.rows[order_of(len(subject.rows), seed)],
            seed,
        )
        for shape in shapes
        for seed in seeds
    ]


def order_of(rows: int, seed: int) -> Int64:
    """Return an order of the rows that is a seed's own, (rows,)."""
    return np.random.Generator(np.random.PCG64(seed)).permutation(rows)


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

        def train_one(one: Training) -> Output:
            output = self._ledger.get(*self._output(one), lambda: self._trained(one))
            if self._pool.unfinished is not None:
                (self._pool.unfinished / one.name).unlink(missing_ok=True)
            return output

        return self._pool.map("training", train_one, trainings, lambda one: one.cost)

    def score(
        self, wanted: Sequence[tuple[Training, Output, str]], rows: Int64, of: str = "panel"
    ) -> list[Output]:
        """Return the scores of some models.

        Args:
            wanted: training, its output and the mark of each model.
            rows: EOS and 64 tokens each, (rows, 65).
            of: what the rows are, for the name of the output.
        """
        about = digest_rows(rows)

        def score_one(job: tuple[Training, Output, str]) -> Output:
            one, output, mark = job
            parts = [output.fingerprint, mark, about]
            title = f"score/{one.name}/{mark}-{of}"
            return self._ledger.get(
                title, parts, lambda: self._scored(one, output, mark, rows, f"{mark}-{of}")
            )

        def cost(job: tuple[Training, Output, str]) -> float:
            return float(job[0].weights * len(rows))

        return self._pool.map("scoring", score_one, wanted, cost)

    def go_on(
        self, one: Training, output: Output, new: Int64, rows: Int64, updates: Sequence[int]
    ) -> Output:
        """Return the scores of a finished model after updates on new rows, one set after another.

        Args:
            one: the training of the model.
            output: its weights.
            new: what it is trained on, in this order, (rows, 65).
            rows: what is scored, (rows, 65).
            updates: numbers of updates after which it is.
        """
        parts = [output.fingerprint, [*updates], RATE, digest_rows(new), digest_rows(rows)]
        return self._ledger.get(
            f"retain/{one.name}", parts, lambda: self._gone_on(one, output, new, rows, updates)
        )

    def _gone_on(
        self, one: Training, output: Output, new: Int64, rows: Int64, updates: Sequence[int]
    ) -> Built:
        """Train a model on and write its scores."""
        config, precision = self._config, precision_of(self._device)
        schedule = Schedule(config.epochs, config.batch, config.rate, one.seed)

        def ask(model: Transformer) -> dict[str, NDArray[np.generic]]:
            found = ProxyScorer(model, self._device, precision=precision).score(rows)
            return {key: found[key] for key in SCORED}

        model = self._load(one, output, FINAL)
        answers = going_on(model, new, schedule, updates, ask, precision)
        columns = {key: np.concatenate([answer[key] for answer in answers]) for key in SCORED}
        return [self._ledger.table(SCORES, f"{one.name}-retained", pa.table(columns))], {}

    def _output(self, one: Training) -> tuple[str, list[Any]]:
        """Return the name of a training's output, and everything that it is made from."""
        shape = [one.shape.vocabulary, one.shape.layers, one.shape.width]
        config = self._config
        rate = config.rate * rate_of_width(one.shape.width)
        schedule = [config.epochs, config.batch, rate, one.seed]
        machine = [
            TRAINING, self._device, precision_of(self._device),
            str(torch.__version__), config.threads,
        ]  # fmt: skip
        return f"train/{one.name}", [
            shape, schedule, machine, digest_rows(one.rows),
            None if one.keep is None else digest_rows(one.keep),
            None if one.sinks is None else digest_rows(one.sinks),
        ]  # fmt: skip

    def _trained(self, one: Training) -> Built:
        """Train a model and write its weights at each mark."""
        config = self._config
        schedule = Schedule(config.epochs, config.batch, config.rate, one.seed)
        spec = TargetSpec(one.shape, one.rows, schedule, MARKS, one.keep, one.sinks)
        precision = precision_of(self._device)
        rate = config.rate * rate_of_width(one.shape.width)
        parts = (TRAINING, one.shape, schedule, rate, MARKS, self._device, precision)
        arrays = [values for values in (one.rows, one.keep, one.sinks) if values is not None]
        key = key_of(parts, *(np.ascontiguousarray(values).data for values in arrays))
        means = Means(self._device, precision, self._pool.checkpoint(one.name, key))
        models = train_target(spec, means, self._pool.progress_of(one.name, one.cost))
        files = [
            self._ledger.file(f"{one.name}/mark-{place}.safetensors", to_safetensors(model))
            for place, model in enumerate(models)
        ]
        return files, {"parameters": one.shape.parameters, "tokens": int(one.rows[:, 1:].size)}

    def _load(self, one: Training, output: Output, mark: str) -> Transformer:
        path: Path = output.files[f"models/{one.name}/{mark}.safetensors"]
        return from_safetensors(one.shape, path.read_bytes()).to(self._device).eval()

    def _scored(self, one: Training, output: Output, mark: str, rows: Int64, name: str) -> Built:
        """Score rows by a model at a mark, into a file of a name."""
        on_progress = self._pool.progress_of(f"{one.name}/{name}", float(one.weights * len(rows)))
        model, precision = self._load(one, output, mark), precision_of(self._device)
        scorer = ProxyScorer(model, self._device, advance=on_progress, precision=precision)
        found = scorer.score(rows)
        columns = {key: found[key] for key in SCORED}
        return [self._ledger.table(SCORES, f"{one.name}-{name}", pa.table(columns))], {}


def digest_rows(rows: NDArray[Any]) -> str:
    """Return a fingerprint of an array: its type, shape and bytes."""
    data = hashlib.blake2b(np.ascontiguousarray(rows).tobytes(), digest_size=16).hexdigest()
    return digest_of([str(rows.dtype), list(rows.shape), data])
