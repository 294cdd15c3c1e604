"""Train a target as the proxies are trained, with snapshots, a loss mask and memory sinks.

Without a mask and sinks the weights are bit for bit those of `pipeline.score.proxy.train.train`,
which a test checks. Snapshots on the way (marks) are for comparisons at equal held-out loss.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray

from pipeline.backtest.training.memsinks import SinkTransformer
from pipeline.engine.progress import OnProgress
from pipeline.score.proxy.loss import head_loss
from pipeline.score.proxy.model import Shape, Transformer
from pipeline.score.proxy.train import CLIP, Schedule, epoch_order, optimiser_of, rate_at


@dataclass(frozen=True)
class TargetSpec:
    """What a target learns, and how.

    Attributes:
        shape: the shape of the model.
        rows: the training rows, EOS and 64 tokens each.
        schedule: epochs, rows of a batch, peak rate and seed.
        marks: shares of the steps after which a snapshot is kept.
        keep: which tokens count in the loss; None for all.
        sinks: the number of each row's sink; None for a model without sinks.
    """

    shape: Shape
    rows: NDArray[np.int64]  # (rows, 65)
    schedule: Schedule
    marks: tuple[float, ...]
    keep: NDArray[np.bool_] | None = None  # (rows, 64)
    sinks: NDArray[np.int64] | None = None  # (rows,)


def train_target(
    spec: TargetSpec, device: str, on_progress: OnProgress | None = None
) -> list[Transformer]:
    """Return a snapshot of the model at each mark.

    The same spec, device, Torch build and threads give the same weights.

    Args:
        spec: what the target learns, and how.
        device: where it is trained.
        on_progress: told the steps done and the steps in all.
    """
    schedule = spec.schedule
    model = _model(spec).to(device)
    orders = [epoch_order(len(spec.rows), schedule.seed, epoch) for epoch in range(schedule.epochs)]
    batches = [batch for each in orders for batch in _cut(each, schedule.rows)]
    due = steps_at(spec.marks, len(batches))
    optimiser = optimiser_of(model, schedule.rate)
    found: list[Transformer] = []
    for step, batch in enumerate(batches):
        for group in optimiser.param_groups:
            group["lr"] = schedule.rate * group["times"] * rate_at(step, len(batches))
        _step(model, optimiser, spec, batch, device)
        found += [_snapshot(model)] * due.count(step + 1)
        if on_progress is not None:
            on_progress(step + 1, len(batches))
    return found


def steps_at(marks: Sequence[float], total: int) -> list[int]:
    """Return the number of steps after which each mark is due; mark 1.0 is the last step."""
    return [max(1, min(total, round(mark * total))) for mark in marks]


def _cut(numbers: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    return [numbers[start : start + size] for start in range(0, len(numbers), size)]


def _model(spec: TargetSpec) -> Transformer:
    if spec.sinks is None:
        return Transformer(spec.shape, spec.schedule.seed)
    return SinkTransformer(spec.shape, spec.schedule.seed)


def _step(
    model: Transformer,
    optimiser: torch.optim.Optimizer,
    spec: TargetSpec,
    batch: NDArray[np.int64],
    device: str,
) -> None:
    tokens = torch.from_numpy(spec.rows[batch]).to(device)
    if isinstance(model, SinkTransformer) and spec.sinks is not None:
        model.choose(torch.from_numpy(spec.sinks[batch]).to(device))
    hidden = model.hidden(tokens[:, :-1]).flatten(0, 1)  # (rows * 64, width)
    targets = tokens[:, 1:].reshape(-1)  # (rows * 64,)
    if spec.keep is None:
        loss = head_loss(hidden, model.embedding, targets)
    else:
        kept = torch.from_numpy(spec.keep[batch]).to(device).reshape(-1)
        loss = _masked(hidden, model.embedding, targets, kept)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
    optimiser.step()
    optimiser.zero_grad()


def _masked(
    hidden: torch.Tensor, embedding: torch.Tensor, targets: torch.Tensor, kept: torch.Tensor
) -> torch.Tensor:
    """Return the mean cross entropy over the kept tokens alone (Hans et al. 2024, eq. 2)."""
    return functional.cross_entropy(hidden[kept] @ embedding.T, targets[kept])


def _snapshot(model: Transformer) -> Transformer:
    """Return a copy of the model to score with, without sinks."""
    if isinstance(model, SinkTransformer):
        return model.without_sinks().eval()
    return copy.deepcopy(model).eval()
