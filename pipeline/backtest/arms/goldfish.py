"""Goldfish loss: one token in k is left out of the loss, always the same one in the same context.

After Hans et al. 2024 (eq. 3): token i is dropped iff hash(h preceding tokens) < 1/k. Their code
multiplies token numbers, which forgets the order and degenerates at 0 and 1; this hash does not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.text.arrays import Int64
from pipeline.text.hashing import keyed_hash

_SEED = 29


def kept(rows: Int64, k: int, context: int) -> NDArray[np.bool_]:
    """Return [n, tokens - 1]: which targets of `rows` [n, tokens] stay in the loss.

    Targets with fewer than `context` tokens before them always stay.
    """
    targets = rows.shape[1] - 1
    found = np.ones((len(rows), targets), np.bool_)
    tokens = rows.astype(np.uint64)
    for place in range(context, targets + 1):
        key = np.zeros(len(rows), np.uint64)
        for before in range(place - context, place):
            key = keyed_hash(key ^ (tokens[:, before] + np.uint64(1)), _SEED)
        found[:, place - 1] = key % np.uint64(k) != 0
    return found
