"""Local-inconsistency memorization (LiMem): right answers that die under a small change.

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
    """Return Acc x (1 - CR)."""
    return accuracy * (1.0 - consistency)


def perturbed(rows: Int64, prefix: int, vocabulary: int, seed: int) -> Int64:
    """Return rows [rows, 1 + tokens] with one token of the prefix replaced, by a hash of the row.

    The first token (EOS) stays; the new token is another than the old one and not number 0.
    """
    key = np.zeros(len(rows), np.uint64)
    for column in range(rows.shape[1]):
        key = keyed_hash(key ^ rows[:, column].astype(np.uint64), seed)
    at = 1 + (keyed_hash(key, seed + _PLACE) % np.uint64(prefix)).astype(np.int64)
    own = rows[np.arange(len(rows)), at]
    step = 1 + (keyed_hash(key, seed + _TOKEN) % np.uint64(vocabulary - 2)).astype(np.int64)
    changed = rows.copy()
    changed[np.arange(len(rows)), at] = 1 + (own - 1 + step) % (vocabulary - 1)
    return changed
