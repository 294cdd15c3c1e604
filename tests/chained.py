"""Texts that a small model can learn in seconds: each token is followed by one of a few."""

import numpy as np


def chained(draw, follows, rows):
    """Return rows of EOS and 64 tokens, each one of the four that may follow the one before.

    Args:
        draw: a random generator.
        follows: tokens that may follow each token, commonest first, (tokens, 4).
        rows: how many.
    """
    found = np.zeros((rows, 65), np.int64)
    found[:, 1] = draw.integers(1, len(follows), rows)
    for place in range(2, 65):
        which = np.searchsorted((0.5, 0.75, 0.9, 1.0), draw.random(rows))
        found[:, place] = follows[found[:, place - 1], which]
    return found
