"""Rare tokens: how unusual the tokens of a sequence are, without a model.

Memorized paragraphs lean on rare tokens (Stoehr et al. 2024), and in deduplicated text it is the
rare words that are memorized most (Morris et al. 2025). Counts are taken over texts counted once
each: a passage that is repeated a hundred times must not make its own rare words look frequent.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.text.arrays import Float64, Int64

RARE_MASS = 0.1


def token_bits(tokens: Int64, counts: Int64) -> Float64:
    """Return -log2 of the relative frequency of each token, in the shape of `tokens`.

    A token that was never counted is taken to have been counted once.

    Args:
        tokens: numbers of tokens.
        counts: of each number, (vocabulary,).
    """
    total = max(1, int(counts.sum()))
    return np.asarray(np.log2(total / np.maximum(counts, 1))[tokens])


def rare_tokens(counts: Int64, mass: float = RARE_MASS) -> NDArray[np.bool_]:
    """Return which tokens are rare: the least frequent that make up `mass` of all, (vocabulary,).

    So the share of rare tokens is `mass` on average, whatever the vocabulary; a token that was
    never counted is rare. Tokens of one count are rare together or not at all.

    Args:
        counts: of each token number, (vocabulary,).
        mass: share of all counts.
    """
    names, place, sizes = np.unique(counts, return_inverse=True, return_counts=True)
    below = np.cumsum(names * sizes)
    return np.asarray((below <= mass * counts.sum())[place] | (counts == 0))


def rare_share(tokens: Int64, rare: NDArray[np.bool_]) -> Float64:
    """Return the share of rare tokens in each row, (rows,).

    Args:
        tokens: numbers of tokens, (rows, tokens).
        rare: which numbers are rare, (vocabulary,).
    """
    return np.asarray(rare[tokens].mean(1))
