"""Compiled loops that propose pairs of texts which share a rare shingle of one of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pipeline.text.arrays import Int64, Uint64, Value
from pipeline.text.segmentation_kernels import kernel


class Rare(NamedTuple):
    """The rarest shingles of some texts, by hash.

    Attributes:
        slots: the place of a hash + 1, or 0, by open addressing; a power of two of them.
        hashes: different hashes.
        bounds: hash h belongs to the texts from bounds[h] to bounds[h + 1].
        texts: the texts.
    """

    slots: Int64  # (slots,)
    hashes: Uint64  # (hashes,)
    bounds: Int64  # (hashes + 1,)
    texts: Int64  # (postings,)


@kernel
def fill(rare: Rare) -> None:
    """Put the hashes into the empty slots."""
    mask = np.uint64(rare.slots.size - 1)
    for place in range(rare.hashes.size):
        slot = rare.hashes[place] & mask
        while rare.slots[slot] != 0:
            slot = (slot + np.uint64(1)) & mask
        rare.slots[slot] = place + 1


@kernel
def propose(sets: Int64, hashes: Uint64, rare: Rare, texts: Value, out: Int64) -> Value:
    """List the texts and documents that share a rare shingle, and return how many rows that takes.

    Args:
        sets: document d has the shingles from sets[d] to sets[d + 1].
        hashes: of the shingles.
        rare: the rarest shingles of the texts.
        texts: how many texts there are.
        out: text and document, (rows, 2); written as far as it has room.
    """
    mask, seen, rows = np.uint64(rare.slots.size - 1), np.zeros(texts, np.int64), 0
    for d in range(sets.size - 1):
        for shingle in range(sets[d], sets[d + 1]):
            own = hashes[shingle]
            slot = own & mask
            while rare.slots[slot] != 0 and rare.hashes[rare.slots[slot] - 1] != own:
                slot = (slot + np.uint64(1)) & mask
            place = rare.slots[slot] - 1
            if place < 0:
                continue
            for k in range(rare.bounds[place], rare.bounds[place + 1]):
                text = rare.texts[k]
                if seen[text] != d + 1:
                    seen[text] = d + 1
                    if rows < out.shape[0]:
                        out[rows, 0], out[rows, 1] = text, d
                    rows += 1
    return rows
