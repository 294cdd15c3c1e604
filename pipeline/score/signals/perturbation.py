"""Local-inconsistency memorization (LiMem): right answers that a small change makes wrong.

LiMem = Acc x (1 - CR): accuracy times the share of right answers that a local perturbation makes
wrong (Xie et al. 2024). Here an answer is right when the suffix is recalled whole, and the
perturbation replaces one token of the prefix. A model that has understood a template stays right.
"""

from __future__ import annotations

import numpy as np

from pipeline.text.arrays import Int64
from pipeline.text.hashing import keyed_hash

_PLACE, _TOKEN = 11, 12


def limem(accuracy: float, consistency: float) -> float:
    """Return LiMem, Acc x (1 - CR) (Xie et al. 2024).

    Args:
        accuracy: share of answers that are right.
        consistency: share of the right ones that stay right under a perturbation.
    """
    return accuracy * (1.0 - consistency)


def perturbed(rows: Int64, prefix: int, vocabulary: int, seed: int) -> Int64:
    """Return rows with one token of the prefix replaced, chosen by a hash of the row.

    The first token (EOS) stays; the new token is another than the old one and not number 0.

    Args:
        rows: EOS, prefix and suffix, (rows, 1 + tokens).
        prefix: tokens of the prefix.
        vocabulary: number of tokens.
        seed: of the hash.
    """
    key = np.zeros(len(rows), np.uint64)
    for column in range(rows.shape[1]):
        key = keyed_hash(key ^ rows[:, column].astype(np.uint64), seed)
    place = 1 + (keyed_hash(key, seed + _PLACE) % np.uint64(prefix)).astype(np.int64)
    old = rows[np.arange(len(rows)), place]
    step = 1 + (keyed_hash(key, seed + _TOKEN) % np.uint64(vocabulary - 2)).astype(np.int64)
    changed = rows.copy()
    changed[np.arange(len(rows)), place] = 1 + (old - 1 + step) % (vocabulary - 1)
    return changed
