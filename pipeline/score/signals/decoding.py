"""The distribution that a decoder samples from: temperature, top-k and top-p over the same logits.

(n, p)-extraction (Hayes et al. 2024) is of the decoding distribution q: the logits over the
temperature, cut to the k most probable tokens, then to the smallest set of them whose probability
reaches p (nucleus sampling, Holtzman et al. 2020, eq. 2), renormalised. One teacher-forced pass
gives p_z = product of q(z_t | z_<t) under any of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Decoding:
    """The way in which tokens are drawn.

    Attributes:
        temperature: the logits are divided by it.
        top_k: how many of the most probable tokens can be drawn; 0 is all of them.
        top_p: probability that the tokens which can be drawn reach; 1 is all of them.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0


def log_q(logits: Tensor, decoding: Decoding) -> Tensor:
    """Return log q of every token in nats, (..., vocabulary); -inf for one that is never drawn.

    Among tokens of one logit at the border of top-k all stay; at that of top-p those of smaller
    number.
    """
    scores = logits / decoding.temperature
    if 0 < decoding.top_k < scores.shape[-1]:
        least = scores.topk(decoding.top_k, dim=-1).values[..., -1:]
        scores = scores.masked_fill(scores < least, -torch.inf)
    if decoding.top_p < 1.0:
        ordered, order = scores.sort(dim=-1, descending=True, stable=True)
        chance = ordered.softmax(-1)
        reached = chance.cumsum(-1) - chance >= decoding.top_p
        gone = torch.zeros_like(reached).scatter(-1, order, reached)
        scores = scores.masked_fill(gone, -torch.inf)
    return scores.log_softmax(-1)
