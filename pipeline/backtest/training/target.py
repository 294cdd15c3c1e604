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
from torch import Tensor

from pipeline.backtest.training.memsinks import SinkTransformer
from pipeline.engine.progress import OnProgress
from pipeline.score.proxy.checkpoint import Checkpoint
from pipeline.score.proxy.loss import head_loss
from pipeline.score.proxy.model import Shape, Transformer
from pipeline.score.proxy.precision import Precision, halving, in_precision
from pipeline.score.proxy.train import CLIP, Schedule, epoch_order, optimiser_of, rate_at
from pipeline.text.arrays import Uint64

MOMENTS = ("step", "exp_avg", "exp_avg_sq")  # of AdamW


@dataclass(frozen=True)
class TargetSpec:
    """What a target learns, and how.

    Attributes:
        shape: the shape of the model.
        rows: the training rows, EOS and 64 tokens each.
        schedule: epochs, rows of a batch, peak rate and seed.
        marks: shares of the steps after which a snapshot is kept.
        keep: which tokens count in the loss; None for all.
        sinks: the `sink_id` of each row's text; None for a model without sinks.
    """

    shape: Shape
    rows: NDArray[np.int64]  # (rows, 65)
    schedule: Schedule
    marks: tuple[float, ...]
    keep: NDArray[np.bool_] | None = None  # (rows, 64)
    sinks: Uint64 | None = None  # (rows,)


@dataclass(frozen=True)
class Means:
    """The means of a training, which change no weight on a CPU.

    Attributes:
        device: where it is trained.
        precision: of the matrix products.
        checkpoint: what a killed training goes on from; None for none.
    """

    device: str = "cpu"
    precision: Precision = "fp32"
    checkpoint: Checkpoint | None = None


@dataclass
class _State:
    """A training after some steps.

    Attributes:
        model: with the weights of now.
        optimiser: with its moments.
        found: a snapshot for each mark that was reached.
        steps: done so far.
        at_once: rows of a batch at a time.
    """

    model: Transformer
    optimiser: torch.optim.Optimizer
    found: list[Transformer]
    steps: int
    at_once: int


def train_target(
    spec: TargetSpec, means: Means, on_progress: OnProgress | None = None
) -> list[Transformer]:
    """Return a snapshot of the model at each mark.

    The same spec, device, Torch build and threads give the same weights, also when the training was
    killed and goes on from its checkpoint.

    Args:
        spec: what the target learns, and how.
        means: device, precision and checkpoint.
        on_progress: told the steps done and the steps in all.
    """
    schedule = spec.schedule
    orders = [epoch_order(len(spec.rows), schedule.seed, epoch) for epoch in range(schedule.epochs)]
    batches = [batch for each in orders for batch in _cut(each, schedule.rows)]
    due = steps_at(spec.marks, len(batches))
    state = _begun(spec, means)
    for step in range(state.steps, len(batches)):
        for group in state.optimiser.param_groups:
            group["lr"] = schedule.rate * group["times"] * rate_at(step, len(batches))
        _step(state, spec, batches[step], means)
        state.steps = step + 1
        state.found += [_snapshot(state.model)] * due.count(step + 1)
        if means.checkpoint is not None and means.checkpoint.due():
            means.checkpoint.save(_saved(state), step + 1)
        if on_progress is not None:
            on_progress(step + 1, len(batches))
    return state.found


def _begun(spec: TargetSpec, means: Means) -> _State:
    """Return a training at its start, or where its checkpoint left it."""
    model = _model(spec).to(means.device)
    state = _State(model, optimiser_of(model, spec.schedule.rate), [], 0, spec.schedule.rows)
    found = None if means.checkpoint is None else means.checkpoint.load()
    if found is not None:
        _restore(state, *found)
    return state


def _saved(state: _State) -> dict[str, Tensor]:
    """Return all tensors that the next steps follow from, by name."""
    tensors = {"at_once": torch.tensor(state.at_once), "found": torch.tensor(len(state.found))}
    for number, value in enumerate(state.model.parameters()):
        tensors[f"weight.{number}"] = value
        for name, moment in state.optimiser.state[value].items():
            tensors[f"{name}.{number}"] = moment
    for place, one in enumerate(state.found):
        for number, value in enumerate(one.parameters()):
            tensors[f"snapshot.{place}.{number}"] = value.clone()
    return tensors


@torch.no_grad()
def _restore(state: _State, tensors: dict[str, Tensor], steps: int) -> None:
    """Put a training where the tensors of `_saved` left it."""
    state.steps, state.at_once = steps, int(tensors["at_once"])
    device = state.model.embedding.device
    for number, value in enumerate(state.model.parameters()):
        value.copy_(tensors[f"weight.{number}"])
        state.optimiser.state[value] = {
            name: tensors[f"{name}.{number}"].to(device)
            for name in MOMENTS
            if f"{name}.{number}" in tensors
        }
    for place in range(int(tensors["found"])):
        one = Transformer(state.model.shape, seed=0)
        for number, value in enumerate(one.parameters()):
            value.copy_(tensors[f"snapshot.{place}.{number}"])
        state.found.append(one.to(device).eval())


def steps_at(marks: Sequence[float], total: int) -> list[int]:
    """Return the number of steps after which each mark is due; mark 1.0 is the last step."""
    return [max(1, min(total, round(mark * total))) for mark in marks]


def _cut(numbers: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    return [numbers[start : start + size] for start in range(0, len(numbers), size)]


def _model(spec: TargetSpec) -> Transformer:
    if spec.sinks is None:
        return Transformer(spec.shape, spec.schedule.seed)
    return SinkTransformer(spec.shape, spec.schedule.seed)


def _step(state: _State, spec: TargetSpec, batch: NDArray[np.int64], means: Means) -> None:
    """Make one step; the gradient is summed over parts of the batch where memory is short."""

    def gradient(at_once: int) -> None:
        state.optimiser.zero_grad()
        for part in _cut(batch, at_once):
            _backward(state.model, spec, part, batch, means)

    _, state.at_once = halving(len(batch), state.at_once, gradient, "training a target")
    torch.nn.utils.clip_grad_norm_(state.model.parameters(), CLIP)
    state.optimiser.step()


def _backward(
    model: Transformer,
    spec: TargetSpec,
    part: NDArray[np.int64],
    batch: NDArray[np.int64],
    means: Means,
) -> None:
    """Add the gradient of the mean loss of some rows, times their share of the batch's tokens."""
    tokens = torch.from_numpy(spec.rows[part]).to(means.device)
    if isinstance(model, SinkTransformer) and spec.sinks is not None:
        model.choose(spec.sinks[part])
    with in_precision(tokens.device.type, means.precision):
        hidden = model.hidden(tokens[:, :-1]).flatten(0, 1)  # (rows * 64, width)
    targets = tokens[:, 1:].reshape(-1)  # (rows * 64,)
    if spec.keep is None:
        loss = head_loss(hidden.float(), model.embedding, targets) * (len(part) / len(batch))
    else:
        kept = torch.from_numpy(spec.keep[part]).to(means.device).reshape(-1)
        share = spec.keep[part].sum() / max(1, spec.keep[batch].sum())
        if not share:
            return
        loss = _masked(hidden.float(), model.embedding, targets, kept) * float(share)
    loss.backward()  # type: ignore[no-untyped-call]


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
