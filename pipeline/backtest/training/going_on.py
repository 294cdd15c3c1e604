"""Train a finished target on, on text that is new to it, and ask it on the way.

A fresh optimiser at a constant rate, half of the peak that the target was trained with, so what is
forgotten is not hidden by a rate that has run out. The order is that of the rows.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from pipeline.score.proxy.loss import head_loss
from pipeline.score.proxy.model import Transformer
from pipeline.score.proxy.precision import Precision, in_precision
from pipeline.score.proxy.train import CLIP, Schedule, optimiser_of
from pipeline.text.arrays import Int64

RATE = 0.5  # of the peak

AnswerT = TypeVar("AnswerT")


def going_on(
    model: Transformer,
    rows: Int64,
    schedule: Schedule,
    updates: Sequence[int],
    ask: Callable[[Transformer], AnswerT],
    precision: Precision = "fp32",
) -> list[AnswerT]:
    """Return what a model answers after each number of updates; the given one stays as it is.

    Args:
        model: the finished target.
        rows: EOS and 64 tokens each, new to it, (rows, 65).
        schedule: that it was trained by: rows of a batch and peak rate.
        updates: growing numbers of updates after which it is asked; 0 is before any.
        ask: asks it.
        precision: of the matrix products.
    """
    own = copy.deepcopy(model).train()
    optimiser = optimiser_of(own, schedule.rate)
    for group in optimiser.param_groups:
        group["lr"] = schedule.rate * group["times"] * RATE
    answers = []
    for step in range(updates[-1] + 1):
        if step in updates:
            answers.append(ask(own))
        if step < updates[-1]:
            first = step * schedule.rows
            _update(own, optimiser, rows[first : first + schedule.rows], precision)
    return answers


def _update(
    model: Transformer, optimiser: torch.optim.Optimizer, batch: Int64, precision: Precision
) -> None:
    """Make one step on some rows."""
    tokens = torch.from_numpy(batch).to(model.embedding.device)
    with in_precision(tokens.device.type, precision):
        hidden = model.hidden(tokens[:, :-1]).flatten(0, 1)
    loss = head_loss(hidden.float(), model.embedding, tokens[:, 1:].reshape(-1))
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
    optimiser.step()
