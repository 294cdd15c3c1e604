"""Compiled counting of runs of words in a corpus: exact, one pass, no Python loop per word.

A run is found by its first words, its anchor: a hash of 8 (of 4, 2 or 1 in a shorter run) rolls
over the corpus and is looked up in a small table; at each hit the whole run is compared word hash
by word hash (Karp and Rabin 1987).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from pipeline.text.arrays import Int64, Uint64

ANCHORS = (8, 4, 2, 1)
_BASE = 0x9E3779B97F4A7C15
_SPREAD = np.uint64(0xD6E8FEB86659FD93)


@dataclass(frozen=True)
class Runs:
    """Distinct runs of words with their anchors in a table.

    Attributes:
        words: word hashes of all runs; run i has words[begins[i]:begins[i + 1]], (words,).
        begins: where each run begins, and the end, (runs + 1,).
        anchors: hash of the first words of each run, (runs,).
        lengths: how many words that hash is of, (runs,).
        heads: first run at each slot for each length, -1 for none, (lengths, slots).
        following: next run in the same slot, -1 for none, (runs,).
        shift: bits by which a hash is shifted to give its slot.
    """

    words: Uint64
    begins: Int64
    anchors: Uint64
    lengths: Int64
    heads: Int64
    following: Int64
    shift: int


def index_runs(words: Uint64, begins: Int64) -> Runs:
    """Return the table over runs of at least one word each.

    Args:
        words: word hashes of all runs, one after the other, (words,).
        begins: where each run begins, and the end, (runs + 1,).
    """
    sizes = np.diff(begins)
    lengths = np.select([sizes >= size for size in ANCHORS], list(ANCHORS), 0).astype(np.int64)
    bits = max(10, int(sizes.size * 4).bit_length())
    heads = np.full((len(ANCHORS), 1 << bits), -1, np.int64)
    anchors, following = np.zeros(sizes.size, np.uint64), np.full(sizes.size, -1, np.int64)
    _index(words, begins, lengths, 64 - bits, anchors, heads, following)
    return Runs(words, begins, anchors, lengths, heads, following, 64 - bits)


def count_runs(runs: Runs, offsets: Int64, words: Uint64, groups: Int64, counts: Int64) -> None:
    """Add each occurrence of each run in some documents to its count.

    Occurrences never cross documents and may overlap. Integers only, so documents may come in any
    order.

    Args:
        runs: what is counted.
        offsets: document d has words[offsets[d]:offsets[d + 1]], (documents + 1,).
        words: word hashes of the documents, (words,).
        groups: group of each document, (documents,).
        counts: changed in place, (runs, groups).
    """
    for place, length in enumerate(ANCHORS):
        if (runs.lengths == length).any():
            drop = np.uint64(pow(_BASE, length, 1 << 64))
            _count(
                (runs.words, runs.begins, runs.anchors, runs.following),
                (runs.heads[place], length, drop, runs.shift),
                (offsets, words, groups),
                counts,
            )


@njit(nogil=True, cache=True)
def _index(words, begins, lengths, shift, anchors, heads, following):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Fill anchors, heads and following, the table of all runs."""
    base = np.uint64(_BASE)
    for run in range(begins.size - 1):
        total = np.uint64(0)
        for place in range(begins[run], begins[run] + lengths[run]):
            total = total * base + words[place]
        row = 0
        while lengths[run] < 8 >> row:
            row += 1
        slot = np.int64((total * _SPREAD) >> np.uint64(shift))
        anchors[run] = total
        following[run] = heads[row, slot]
        heads[row, slot] = run


@njit(nogil=True, cache=True)
def _count(runs, table, batch, counts):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Count the runs whose anchor has one length."""
    run_words, begins, anchors, following = runs
    heads, length, drop, shift = table
    offsets, words, groups = batch
    base = np.uint64(_BASE)
    for document in range(offsets.size - 1):
        first, last = offsets[document], offsets[document + 1]
        total = np.uint64(0)
        for place in range(first, last):
            total = total * base + words[place]
            if place - first >= length:
                total -= words[place - length] * drop
            start = place - length + 1
            if start < first:
                continue
            run = heads[np.int64((total * _SPREAD) >> np.uint64(shift))]
            while run >= 0:
                if anchors[run] == total and _same(
                    run_words, begins[run], begins[run + 1], words, start, last
                ):
                    counts[run, groups[document]] += 1
                run = following[run]


@njit(nogil=True, cache=True, inline="always")
def _same(run_words, begin, end, words, start, last):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Tell whether a run is in the text from `start` on."""
    if start + (end - begin) > last:
        return False
    for place in range(end - begin):
        if run_words[begin + place] != words[start + place]:
            return False
    return True
