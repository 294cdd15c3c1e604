"""Where the sequences of a tokenized document start, and how long they are.

A sequence is 64 tokens: 32 of prefix, 32 of suffix.
"""

from __future__ import annotations

import numpy as np

from pipeline.text.arrays import Int64

SEQUENCE = 64
SUFFIX = 32
STRIDE = 32


def starts(tokens: int) -> Int64:
    """Return where the sequences of a document of so many tokens start.

    Every 32nd, and one that ends at its end.
    """
    if tokens < SEQUENCE:
        return np.zeros(0, np.int64)
    regular = np.arange(0, tokens - SEQUENCE + 1, STRIDE, dtype=np.int64)
    last = tokens - SEQUENCE
    return regular if regular[-1] == last else np.append(regular, last)
