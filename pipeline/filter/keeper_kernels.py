"""A compiled loop over proofs: which text goes, and for which that stays."""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.text.arrays import Int64


@njit(nogil=True, cache=True)
def decide(worse: Int64, better: Int64, kept: Int64) -> Int64:
    """Decide texts in order of their rank; return the proofs by which some go, (removals,).

    Texts are named by their ranks. A text goes for the first of its proofs whose other text stays.

    Args:
        worse: (proofs,), the text that may go, ascending; its proofs stand in order of preference.
        better: (proofs,), the text of better rank that would stay for it.
        kept: (texts,), 1 for a text that stays; set to 0 for those that go.
    """
    taken, n = np.empty(worse.size, np.int64), 0
    for proof in range(worse.size):
        if kept[worse[proof]] and kept[better[proof]]:
            kept[worse[proof]] = 0
            taken[n] = proof
            n += 1
    return taken[:n].copy()
