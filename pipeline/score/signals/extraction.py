"""Extraction of a suffix z given its prefix: by greedy decoding, and by sampling n times.

Greedy decoding emits z exactly iff each of its tokens is the arg-max given the *true* history (by
induction: until the first miss the histories agree), so one teacher-forced pass gives the label of
Carlini et al. 2022 (discoverable extraction) and Biderman et al. 2023 (k-extractible with score 1).
Sampling emits z with probability p_z = product over t of q(z_t | z_<t); z is (n, p)-discoverable
iff 1 - (1 - p_z)^n >= p (Hayes et al. 2024, eq. 2).
"""

from __future__ import annotations

import math

from torch import Tensor


def log_p_z(log_probabilities: Tensor) -> Tensor:
    """Return log p_z in nats of suffixes [rows, tokens], at temperature 1 without truncation."""
    return log_probabilities.sum(-1)


def memorized(hits: Tensor) -> Tensor:
    """Return whether every suffix token is the arg-max; hits: [rows, tokens] of bool."""
    return hits.all(-1)


def run_length(hits: Tensor) -> Tensor:
    """Return how many suffix tokens are the arg-max before the first that is not."""
    return hits.int().cumprod(-1).sum(-1)


def extractible(hits: Tensor, prefix: int, suffix: int) -> Tensor:
    """Return whether tokens prefix .. prefix + suffix of each row follow greedily from all before.

    hits: [rows, tokens], whether each token is the arg-max given those before it. With prefix 32
    and suffix 32 this is the label `memorized`.
    """
    return memorized(hits[:, prefix : prefix + suffix])


def probability_within(log_p: float, tries: float) -> float:
    """Return 1 - (1 - p_z)^n: the probability that n samples hold the suffix at least once.

    tries: n, may be inf: then 1 for any suffix that can be drawn at all.
    """
    if log_p >= 0.0 or (math.isinf(tries) and log_p > -math.inf):
        return 1.0
    if log_p == -math.inf:
        return 0.0
    return -math.expm1(tries * math.log1p(-math.exp(log_p)))


def tries_needed(log_p: float, probability: float) -> float:
    """Return the n at which the suffix is (n, p)-discoverable: ln(1 - p) / ln(1 - p_z).

    Inf when p_z is 0 here.
    """
    if log_p >= 0.0:
        return 1.0
    chance = math.log1p(-math.exp(log_p))
    return math.log1p(-probability) / chance if chance < 0.0 else math.inf
