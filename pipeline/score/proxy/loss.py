"""Cross entropy of the tied head without the logits of a whole batch.

With small models the logits are most of the memory traffic: 16 sequences of 64 tokens over 2,048
tokens are 8 MB, made and read again six times a step. In chunks that stay in the cache the loss and
its gradient are one pass. With odds o = exp(logit - top) and their sum s, the probabilities o / s
never exist: 1 / s is applied to the small side of each product, and the true tokens are subtracted
at the end.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

CHUNK_ELEMENTS = 1 << 18  # logits at a time: what stays in a core's cache
CHUNK_ELEMENTS_CUDA = 1 << 26


def head_loss(hidden: Tensor, embedding: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross entropy of softmax(hidden @ embedding.T), in nats per token.

    Args:
        hidden: the last hidden states, (tokens, width).
        embedding: the tied head, (vocabulary, width).
        targets: the true tokens, (tokens,).
    """
    loss: Tensor = _HeadLoss.apply(hidden, embedding, targets)  # type: ignore[no-untyped-call]
    return loss


class _HeadLoss(torch.autograd.Function):
    """A loss that makes its gradient on the way forward, while a chunk of logits is at hand."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, embedding: Tensor, targets: Tensor) -> Tensor:  # noqa: ANN401 - Torch's own
        """Return the mean loss in nats."""
        count, rows = len(hidden), _rows_at_once(embedding)
        of_hidden, of_embedding = torch.empty_like(hidden), torch.zeros_like(embedding)
        top, total = hidden.new_empty(count, 1), hidden.new_empty(count, 1)  # (tokens, 1)
        chunk = hidden.new_empty(min(rows, count), len(embedding))  # (tokens, vocabulary)
        for start in range(0, count, rows):
            part = slice(start, start + rows)
            odds = chunk[: len(hidden[part])]
            torch.mm(hidden[part], embedding.T, out=odds)
            torch.amax(odds, -1, keepdim=True, out=top[part])
            torch.sum(odds.sub_(top[part]).exp_(), -1, keepdim=True, out=total[part])
            torch.mm(odds, embedding, out=of_hidden[part])
            of_embedding.addmm_(odds.T, hidden[part] / total[part])
        true = embedding[targets]
        loss = (total.log() + top - (hidden * true).sum(-1, keepdim=True)).mean()
        of_hidden.div_(total).sub_(true).div_(count)
        of_embedding.index_add_(0, targets, hidden, alpha=-1.0).div_(count)
        ctx.save_for_backward(of_hidden, of_embedding)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor, None]:  # noqa: ANN401
        """Return the gradients of hidden and embedding."""
        of_hidden, of_embedding = ctx.saved_tensors
        return of_hidden * upstream, of_embedding * upstream, None


def _rows_at_once(embedding: Tensor) -> int:
    """Return the number of tokens whose logits make one chunk."""
    elements = CHUNK_ELEMENTS_CUDA if embedding.is_cuda else CHUNK_ELEMENTS
    return max(1, elements // len(embedding))
