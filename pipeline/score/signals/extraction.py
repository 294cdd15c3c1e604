"""Extraction of a suffix z given its prefix: by greedy decoding, and by sampling n times.

Greedy decoding emits z exactly iff each of its tokens is the arg-max given the true history (by
induction: until the first miss the histories agree), so one teacher-forced pass gives the label of
Carlini et al. 2023, definition 3.1 (extractable with k tokens of context) and Biderman et al. 2023
(memorization score 1). Sampling emits z with probability p_z = product over t of q(z_t | z_<t); z
is (n, p)-discoverable iff 1 - (1 - p_z)^n >= p (Hayes et al. 2024, eq. 2).
"""

from __future__ import annotations

import math

from torch import Tensor


def log_p_z(log_probabilities: Tensor) -> Tensor:
    """Return log p_z in nats at temperature 1 without truncation, (rows,).

    Args:
        log_probabilities: of each suffix token, (rows, tokens).
    """
    return log_probabilities.sum(-1)


def memorized(hits: Tensor) -> Tensor:
    """Return whether every suffix token is the arg-max, (rows,).

    Args:
        hits: whether each is, (rows, tokens).
    """
    return hits.all(-1)


def run_length(hits: Tensor) -> Tensor:
    """Return how many suffix tokens are the arg-max before the first that is not, (rows,).

    Args:
        hits: whether each is, (rows, tokens).
    """
    return hits.int().cumprod(-1).sum(-1)


def extractible(hits: Tensor, prefix: int, suffix: int) -> Tensor:
    """Return whether a passage of each row follows greedily from all that is before it, (rows,).

    With a prefix and a suffix of 32 this is the label `memorized`.

    Args:
        hits: whether each token is the arg-max given those before it, (rows, tokens).
        prefix: tokens before the passage.
        suffix: tokens of the passage.
    """
    return memorized(hits[:, prefix : prefix + suffix])


def probability_within(log_p: float, tries: float) -> float:
    """Return 1 - (1 - p_z)^n: the probability that n samples hold the suffix at least once.

    Hayes et al. 2024, eq. 2.

    Args:
        log_p: log p_z in nats.
        tries: n; may be inf, then it is 1 for any suffix that can be drawn at all.
    """
    if log_p >= 0.0 or (math.isinf(tries) and log_p > -math.inf):
        return 1.0
    if log_p == -math.inf:
        return 0.0
    return -math.expm1(tries * math.log1p(-math.exp(log_p)))


def tries_needed(log_p: float, probability: float) -> float:
    """Return the n at which the suffix is (n, p)-discoverable: ln(1 - p) / ln(1 - p_z).

    Inf when p_z is 0 here; Hayes et al. 2024, eq. 2 solved for n.

    Args:
        log_p: log p_z in nats.
        probability: p.
    """
    if log_p >= 0.0:
        return 1.0
    log_miss = math.log1p(-math.exp(log_p))
    return math.log1p(-probability) / log_miss if log_miss < 0.0 else math.inf
