"""The compiled loop that holds the letters of words against one another."""

from __future__ import annotations

import numpy as np

from pipeline.text.arrays import Int64, Uint8, Uint32, Value
from pipeline.text.segmentation_kernels import kernel


@kernel
def spelled_alike(
    known: Uint32, ends: Int64, letters: Uint8, own_ends: Int64, own_letters: Uint8
) -> Value:
    """Return whether each numbered vocabulary entry has the letters of the text's word.

    Args:
        known: the number of each entry, or 0, (entries,).
        ends: where the letters of each entry begin and end, (entries + 1,).
        letters: the letters of the vocabulary.
        own_ends: number n has the letters from own_ends[n - 1] to own_ends[n].
        own_letters: the letters of the text's words.
    """
    for entry in range(known.size):
        number = np.int64(known[entry])
        if number == 0:
            continue
        begin, size = ends[entry], ends[entry + 1] - ends[entry]
        other = own_ends[number - 1]
        if size != own_ends[number] - other:
            return False
        for k in range(size):
            if letters[begin + k] != own_letters[other + k]:
                return False
    return True
