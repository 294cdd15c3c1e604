"""Why a model recites a sequence: which tokens of the prefix it rests on, and its self-influence.

Attribution is by integrated gradients (Sundararajan et al. 2017), as Zheng and Jiang 2022 attribute
memorization to the parts of a text: the gradient of log p of the suffix along the straight way from
a prefix of mean embeddings to the true one. The parts add up to what the prefix adds to log p.
Self-influence is that of TracIn (Pruthi et al. 2020) at one checkpoint: the squared norm of the
gradient of the sequence's own loss, to first order what a step of unit rate on it takes off it.
"""

from __future__ import annotations

import numpy as np
import torch

from pipeline.score.probes.panel import ProbedModel
from pipeline.score.slices import PREFIX, SUFFIX
from pipeline.text.arrays import Float64, Int64

STEPS = 32  # points on the way


def attribution(subject: ProbedModel, row: Int64, steps: int = STEPS) -> Float64:
    """Return what each token of the prefix adds to log p of the suffix, in nats, (32,).

    Args:
        subject: the model.
        row: EOS and 64 tokens, (65,).
        steps: points of the way, each in the middle of its part (the midpoint rule).
    """
    model, tokens = subject.model, torch.from_numpy(row).to(subject.device)
    with torch.no_grad():
        read = model.embed(tokens[None, :-1])[0]
        every = model.embed(torch.arange(model.vocabulary, device=subject.device))
        apart = read[1 : 1 + PREFIX] - every.mean(0)
    slopes = torch.zeros_like(apart)
    for point in range(steps):
        left = 1.0 - (point + 0.5) / steps
        prefix = (read[1 : 1 + PREFIX] - left * apart).requires_grad_()
        given = torch.cat((read[:1], prefix, read[1 + PREFIX :]))
        (slope,) = torch.autograd.grad(_log_p(subject, given, tokens), [prefix])
        slopes += slope / steps
    return np.asarray((slopes * apart).double().sum(1).cpu().numpy())


def log_p_of(subject: ProbedModel, row: Int64, *, mean_prefix: bool) -> float:
    """Return log p of the suffix in nats, after its prefix or after one of mean embeddings.

    Args:
        subject: the model.
        row: EOS and 64 tokens, (65,).
        mean_prefix: whether the prefix is replaced.
    """
    model, tokens = subject.model, torch.from_numpy(row).to(subject.device)
    with torch.no_grad():
        read = model.embed(tokens[None, :-1])[0].clone()
        if mean_prefix:
            every = torch.arange(model.vocabulary, device=subject.device)
            read[1 : 1 + PREFIX] = model.embed(every).mean(0)
        return float(_log_p(subject, read, tokens))


def self_influence(subject: ProbedModel, row: Int64) -> float:
    """Return the squared norm of the gradient of a row's mean loss by all weights, in nats.

    Args:
        subject: the model.
        row: EOS and 64 tokens, (65,).
    """
    model, tokens = subject.model, torch.from_numpy(row).to(subject.device)
    logits = model.head(model.hidden(tokens[None, :-1])[0]).float()
    loss = torch.nn.functional.cross_entropy(logits, tokens[1:])
    slopes = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
    return sum(float(slope.double().square().sum()) for slope in slopes if slope is not None)


def _log_p(subject: ProbedModel, read: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Return log p of the suffix when some vectors are read, (64, width) of them."""
    hidden = subject.model.hidden_of(read[None])[0, -SUFFIX:]
    log_p = subject.model.head(hidden).float().log_softmax(-1)
    return log_p.gather(-1, tokens[-SUFFIX:, None]).sum()
