"""How long sequences are, and where those of a tokenized document start.

A sequence is 64 tokens: 32 of prefix, 32 of suffix. It is trained on and scored as a row of 65, the
end-of-text token before it. Sequences do not overlap, so that an epoch teaches each token once, as
an epoch of a real training does; the fewer than 64 tokens after the last one are in none.
"""

from __future__ import annotations

import numpy as np

from pipeline.text.arrays import Int64

SEQUENCE = 64  # tokens
SUFFIX = 32  # tokens that are forecast and scored
PREFIX = SEQUENCE - SUFFIX
STRIDE = 64  # tokens from the start of a sequence to that of the next
ROW_TOKENS = 1 + SEQUENCE  # EOS and a sequence


def starts(tokens: int) -> Int64:
    """Return the first tokens of the sequences of a document of so many tokens, (sequences,).

    They are every 64th; none in a document below 64 tokens.
    """
    return np.arange(0, tokens - SEQUENCE + 1, STRIDE, dtype=np.int64)
