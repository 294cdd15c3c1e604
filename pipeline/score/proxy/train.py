"""Training of one proxy on rows of EOS and 64 tokens, in an order fixed by a hash."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.score.proxy.checkpoint import Checkpoint
from pipeline.score.proxy.loss import head_loss
from pipeline.score.proxy.model import Shape, Transformer
from pipeline.score.proxy.precision import Precision, halving, in_precision
from pipeline.score.proxy.rates import rate_of_width
from pipeline.score.proxy.statistics import ProxyScorer
from pipeline.text.hashing import keyed_hash

WARM_UP = 0.05  # of all steps
FINAL_RATE = 0.05  # of the peak rate
CLIP = 1.0  # largest norm of a gradient
# A proxy sees few batches. Measured on planted families (3 layers of 64, 2 epochs): sequences of 8
# copies memorized went from 10% to 88% when the embedding's rate was raised from 1x to 4x of the
# matrices'; Muon reached the same.
EMBEDDING_RATE = 8.0


@dataclass(frozen=True)
class Schedule:
    """The course of a training.

    Attributes:
        epochs: times that each row is seen.
        rows: rows in a batch.
        rate: peak learning rate of AdamW, of all weights but the embedding, before the width's.
        seed: of the initial weights and of the order of the rows.
    """

    epochs: int
    rows: int
    rate: float
    seed: int


@dataclass(frozen=True)
class Questions:
    """What a model is asked in the middle of its training; its weights do not depend on it.

    Attributes:
        steps: after which it is asked, ascending.
        rows: EOS and a sequence each, (rows, 65).
    """

    steps: tuple[int, ...]
    rows: NDArray[np.int64]


@dataclass(frozen=True)
class Mark:
    """What a model said after some steps.

    Attributes:
        steps: of the training, done by then.
        log_p: of each suffix given its prefix, in nats, (rows,).
        memorized: whether every suffix token is the arg-max, (rows,).
    """

    steps: int
    log_p: NDArray[np.float32]
    memorized: NDArray[np.bool_]


@dataclass(frozen=True)
class TrainingOptions:
    """The means of a training, apart from its course.

    Attributes:
        precision: of the matrix products.
        checkpoint: what a killed training goes on from; None for none.
        questions: what is asked on the way; None for nothing.
    """

    precision: Precision = "fp32"
    checkpoint: Checkpoint | None = None
    questions: Questions | None = None


@dataclass(frozen=True)
class TrainedProxy:
    """A proxy after its last epoch and, when there were several, after its first.

    Attributes:
        model: after the last epoch.
        early: after the first one; None where that is the last.
        loss: mean of the last epoch, nats per token.
        rows_at_once: rows of a batch at a time in the end, fewer than a batch where memory was
            short.
        marks: what was answered on the way.
    """

    model: Transformer
    early: Transformer | None
    loss: float
    rows_at_once: int = 0
    marks: tuple[Mark, ...] = ()


@dataclass
class _State:
    """A training after some steps.

    Attributes:
        model: with the weights of now.
        optimiser: with its moments.
        early: copy of the model after the first epoch, once there is one.
        losses: of the steps of this epoch, nats per token.
        steps: done so far.
        at_once: rows of a batch at a time.
        marks: what was answered so far.
    """

    model: Transformer
    optimiser: torch.optim.Optimizer
    early: Transformer | None
    losses: list[Tensor]
    steps: int
    at_once: int
    marks: list[Mark] = field(default_factory=list)


def train(
    shape: Shape,
    rows: NDArray[np.int64],
    schedule: Schedule,
    device: str = "cpu",
    advance: Callable[[int, int], None] | None = None,
    options: TrainingOptions | None = None,
) -> TrainedProxy:
    """Train a proxy; each row is seen once an epoch, in an order fixed by a hash.

    Each is scored later in exactly the same context. The same rows, schedule, device, Torch build
    and threads give the same weights: no random generator orders the rows, and a training that was
    killed and goes on from its checkpoint makes the same steps.

    Args:
        shape: the size of the proxy.
        rows: EOS and a sequence each, (rows, 65).
        schedule: the course.
        device: `cpu` or `cuda`.
        advance: is called with (done, total) steps; None for nothing.
        options: precision and checkpoint; None for float32 without a checkpoint.
    """
    options = options or TrainingOptions()
    state = _begun(shape, schedule, device, options.checkpoint)
    per_epoch = -(-len(rows) // schedule.rows)
    total = steps_of(len(rows), schedule)
    for step, batch in enumerate(_batches(rows, schedule, state.steps), state.steps):
        if step % per_epoch == 0:
            state.losses = []
        for group in state.optimiser.param_groups:
            group["lr"] = schedule.rate * group["times"] * rate_at(step, total)
        _step(state, torch.from_numpy(batch).to(device), options.precision)
        state.steps = step + 1
        if step + 1 == per_epoch < total:
            state.early = copy.deepcopy(state.model).eval()
        if options.questions is not None and state.steps in options.questions.steps:
            state.marks.append(_answered(state, options.questions, device, options.precision))
        if options.checkpoint is not None and (options.checkpoint.due() or step + 1 == total):
            options.checkpoint.save(_saved(state), step + 1)
        if advance is not None:
            advance(step + 1, total)
    loss = float(torch.stack(state.losses).double().mean())
    return TrainedProxy(state.model.eval(), state.early, loss, state.at_once, tuple(state.marks))


def _answered(state: _State, asked: Questions, device: str, precision: Precision) -> Mark:
    """Return what the model says now."""
    found = ProxyScorer(state.model, device, precision=precision).score(asked.rows)
    log_p = np.asarray(found["log_p_z"], np.float32)
    return Mark(state.steps, log_p, np.asarray(found["memorized"], np.bool_))


def _begun(shape: Shape, schedule: Schedule, device: str, checkpoint: Checkpoint | None) -> _State:
    """Return a training at its start, or where its checkpoint left it."""
    model = Transformer(shape, schedule.seed).to(device)
    optimiser = optimiser_of(model, schedule.rate)
    state = _State(model, optimiser, None, [], 0, schedule.rows)
    found = None if checkpoint is None else checkpoint.load()
    if found is not None:
        _restore(state, *found)
    return state


def _saved(state: _State) -> dict[str, Tensor]:
    """Return all tensors that the next steps follow from, by name."""
    tensors = {"losses": torch.stack(state.losses), "at_once": torch.tensor(state.at_once)}
    for number, value in enumerate(state.model.parameters()):
        tensors[f"weight.{number}"] = value
        for name, moment in state.optimiser.state[value].items():
            tensors[f"{name}.{number}"] = moment
    if state.early is not None:
        tensors |= {f"early.{n}": value for n, value in enumerate(state.early.parameters())}
    for number, mark in enumerate(state.marks):
        tensors[f"mark.{number}.steps"] = torch.tensor(mark.steps)
        tensors[f"mark.{number}.log_p"] = torch.from_numpy(mark.log_p)
        tensors[f"mark.{number}.memorized"] = torch.from_numpy(mark.memorized)
    return tensors


@torch.no_grad()
def _restore(state: _State, tensors: dict[str, Tensor], steps: int) -> None:
    """Put a training where the tensors of `_saved` left it."""
    state.steps, state.at_once = steps, int(tensors["at_once"])
    device = state.model.embedding.device
    state.losses = list(tensors["losses"].to(device))
    if "early.0" in tensors:
        state.early = copy.deepcopy(state.model).eval()
        for number, value in enumerate(state.early.parameters()):
            value.copy_(tensors[f"early.{number}"])
    while (mark := f"mark.{len(state.marks)}") + ".steps" in tensors:
        log_p, memorized = (tensors[f"{mark}.{name}"].numpy() for name in ("log_p", "memorized"))
        state.marks.append(Mark(int(tensors[f"{mark}.steps"]), log_p, memorized))
    for number, value in enumerate(state.model.parameters()):
        value.copy_(tensors[f"weight.{number}"])
        state.optimiser.state[value] = {
            name: tensors[f"{name}.{number}"].to(device)
            for name in ("step", "exp_avg", "exp_avg_sq")
        }


def optimiser_of(model: Transformer, peak: float) -> torch.optim.Optimizer:
    """Return AdamW over a model's parameters, in groups of which `times` scales the rate.

    The embedding has a rate of its own, and a wide model a lower one.
    """
    rest = [value for value in model.parameters() if value is not model.embedding]
    times = rate_of_width(model.shape.width)
    groups = [
        {"params": rest, "times": times},
        {"params": [model.embedding], "times": EMBEDDING_RATE * times},
    ]
    return torch.optim.AdamW(groups, peak, (0.9, 0.95), weight_decay=0.0, fused=True)


def _step(state: _State, tokens: Tensor, precision: Precision) -> None:
    """Make one step; the gradient is summed over parts of the batch where memory is short."""

    def gradient(at_once: int) -> Tensor:
        state.optimiser.zero_grad()
        losses = [
            _backward(state.model, part, len(part) / len(tokens), precision)
            for part in torch.split(tokens, at_once)
        ]
        return torch.stack(losses).sum()

    loss, state.at_once = halving(len(tokens), state.at_once, gradient, "training a proxy")
    torch.nn.utils.clip_grad_norm_(state.model.parameters(), CLIP)
    state.optimiser.step()
    state.losses.append(loss)


def _backward(model: Transformer, tokens: Tensor, share: float, precision: Precision) -> Tensor:
    """Add the gradient of the mean loss of some rows, times their share of the batch.

    Args:
        model: whose gradient it is.
        tokens: the rows, (rows, 65).
        share: of the batch that they are.
        precision: of the matrix products.
    """
    with in_precision(tokens.device.type, precision):
        hidden = model.hidden(tokens[:, :-1]).flatten(0, 1)
    loss = head_loss(hidden.float(), model.embedding, tokens[:, 1:].reshape(-1)) * share
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.detach()


def _batches(rows: NDArray[np.int64], schedule: Schedule, done: int) -> Iterator[NDArray[np.int64]]:
    """Yield the batches (rows, 65) of all epochs, after the first `done`."""
    per_epoch = -(-len(rows) // schedule.rows)
    for epoch in range(done // max(1, per_epoch), schedule.epochs):
        order = epoch_order(len(rows), schedule.seed, epoch)
        first = max(0, done - epoch * per_epoch)
        for start in range(first * schedule.rows, len(rows), schedule.rows):
            yield rows[order[start : start + schedule.rows]]


def steps_of(rows: int, schedule: Schedule) -> int:
    """Return the steps of a training on so many rows."""
    return -(-rows // schedule.rows) * schedule.epochs


def epoch_order(rows: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the order of the rows in an epoch, by a hash, (rows,)."""
    numbers = np.arange(rows, dtype=np.uint64)
    return np.argsort(keyed_hash(numbers, seed * 1_000 + epoch), kind="stable")


def rate_at(step: int, total: int) -> float:
    """Return the share of the peak rate: linear warm-up, then linear decay to FINAL_RATE."""
    warm = max(1, round(total * WARM_UP))
    if step < warm:
        return (step + 1) / warm
    return 1.0 - (1.0 - FINAL_RATE) * (step - warm) / max(1, total - warm)
