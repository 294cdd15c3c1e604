"""Cross entropy of the tied head without the logits of a whole batch.

With small models the logits are most of the memory traffic: 16 sequences of 64 tokens over 2,048
tokens are 8 MB, made and read again six times a step. In chunks that stay in the cache the loss and
its gradient are one pass.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

CHUNK_ELEMENTS = 1 << 18


def head_loss(hidden: Tensor, embedding: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross entropy of softmax(hidden @ embedding.T), in nats.

    hidden: [n, width], embedding: [vocabulary, width], targets: [n].
    """
    loss: Tensor = _HeadLoss.apply(hidden, embedding, targets)  # type: ignore[no-untyped-call]
    return loss


class _HeadLoss(torch.autograd.Function):
    """The gradient is taken on the way forward, while a chunk of logits is at hand."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, embedding: Tensor, targets: Tensor) -> Tensor:  # noqa: ANN401 - Torch's own
        """Return the mean loss in nats."""
        rows = max(1, CHUNK_ELEMENTS // embedding.shape[0])
        of_hidden, of_embedding = torch.empty_like(hidden), torch.zeros_like(embedding)
        losses = torch.empty_like(targets, dtype=hidden.dtype)
        for start in range(0, len(hidden), rows):
            own = slice(start, start + rows)
            index = targets[own].unsqueeze(-1)
            slope = torch.log_softmax(hidden[own] @ embedding.T, dim=-1)
            losses[own] = -slope.gather(-1, index).squeeze(-1)
            slope.exp_().scatter_add_(-1, index, torch.full_like(index, -1, dtype=slope.dtype))
            torch.mm(slope, embedding, out=of_hidden[own])
            of_embedding.addmm_(slope.T, hidden[own])
        ctx.save_for_backward(of_hidden.div_(len(hidden)), of_embedding.div_(len(hidden)))
        return losses.mean()

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor, None]:  # noqa: ANN401
        """Return the gradients of hidden and embedding."""
        of_hidden, of_embedding = ctx.saved_tensors
        return of_hidden * upstream, of_embedding * upstream, None
