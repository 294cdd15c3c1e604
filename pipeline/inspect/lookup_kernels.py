"""Compiled loops of `pipeline.inspect.lookup`: find the windows of one text among all words.

Words are numbers here: a word of the text is its place among the text's different words, from 1 on,
and any other word is 0. Only runs of the text's own words are hashed, and where a hash is found the
words are compared, so that no count rests on a hash.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pipeline.text.arrays import Int64, Uint32, Uint64, Value
from pipeline.text.segmentation_kernels import BASE, finish, inline, kernel


class Sought(NamedTuple):
    """The windows of a text, in a hash table.

    Attributes:
        words: the number of each word.
        spelled: the keyed hash of each number; 0 for number 0.
        slots: the table, by open addressing: a window + 1, or 0; a power of two of them.
        hashes: the hash of each window.
        first: the first window of the same words; only that one is in the table.
        later: the next window of the same words, -1 after the last.
        key: the key of the hashes of windows.
        drop: what a word's hash is multiplied by when it leaves the rolling hash.
    """

    words: Uint32  # (words,)
    spelled: Uint64  # (different words + 1,)
    slots: Uint32  # (slots,)
    hashes: Uint64  # (windows,)
    first: Int64  # (windows,)
    later: Int64  # (windows,)
    key: np.uint64
    drop: np.uint64


class ChunkCounts(NamedTuple):
    """What a chunk has of a text.

    Attributes:
        occurrences: how often each window occurs; counted at the first window of the same words.
        documents: how many documents have each window; counted there too.
        covered: for each document, how many words of the text lie in windows that it has.
    """

    occurrences: Int64  # (windows,)
    documents: Int64  # (windows,)
    covered: Int64  # (documents,)


@kernel
def index(words: Uint32, hashes: Uint64, slots: Uint32, first: Int64, later: Int64) -> None:
    """Put each different window into the empty slots, and link the windows of the same words.

    Args:
        words: the number of each word, (words,).
        hashes: the hash of each window, (windows,).
        slots: the empty table; written.
        first: the first window of the same words, (windows,); written.
        later: the next window of the same words or -1, (windows,); written.
    """
    mask, size = np.uint64(slots.size - 1), words.size - hashes.size + 1
    last = np.empty(hashes.size, np.int64)
    for window in range(hashes.size):
        first[window], later[window], last[window] = window, -1, window
        slot = hashes[window] & mask
        while slots[slot] != 0:
            known = np.int64(slots[slot]) - 1
            if hashes[known] == hashes[window] and _same(words, known, window, size):
                first[window] = known
                later[last[known]] = window
                last[known] = window
                break
            slot = (slot + np.uint64(1)) & mask
        if first[window] == window:
            slots[slot] = window + 1


@inline
def _same(words: Uint32, one: Value, other: Value, size: Value) -> Value:
    same = True
    for k in range(size):
        same = same and words[one + k] == words[other + k]
    return same


@kernel
def count(codes: Value, offsets: Int64, known: Uint32, s: Sought, out: ChunkCounts) -> None:
    """Count every window of the text among the words of some documents.

    Args:
        codes: the vocabulary entry of each word, (words,).
        offsets: where the words of each document begin, (documents + 1,).
        known: the number of each vocabulary entry, or 0, (entries,).
        s: the windows of the text.
        out: the counts; added to.
    """
    spelled, base = s.spelled, np.uint64(BASE)
    size = s.words.size - s.hashes.size + 1
    seen, stamps = np.zeros(s.hashes.size, np.int64), np.zeros(s.words.size, np.int64)
    for document in range(offsets.size - 1):
        run, total, previous = 0, np.uint64(0), np.int64(-1)
        for j in range(offsets[document], offsets[document + 1]):
            word = known[codes[j]]
            if word == 0:
                run, total, previous = 0, np.uint64(0), np.int64(-1)
                continue
            run += 1
            total = total * base + spelled[word]
            if run > size:
                total -= spelled[known[codes[j - size]]] * s.drop
            if run >= size:
                found = _find(finish(total ^ s.key), codes, j - size + 1, known, s, previous)
                if found >= 0:
                    out.occurrences[found] += 1
                    if seen[found] != document + 1:
                        seen[found] = document + 1
                        out.documents[found] += 1
                        out.covered[document] += _cover(s, found, previous, document + 1, stamps)
                previous = found


@kernel
def _find(
    own: Value, codes: Value, begin: Value, known: Uint32, s: Sought, previous: Value
) -> Value:
    """Return the window that has the words from `begin` on, -1 when there is none.

    Args:
        own: the hash of the words.
        codes: the vocabulary entry of each word of the chunk.
        begin: the first of the words.
        known: the number of each vocabulary entry, or 0.
        s: the windows of the text.
        previous: the window found one word before, or -1; in the window after it only the last word
            can differ.
    """
    mask, size = np.uint64(s.slots.size - 1), s.words.size - s.hashes.size + 1
    slot = own & mask
    while s.slots[slot] != 0:
        window = np.int64(s.slots[slot]) - 1
        if s.hashes[window] == own:
            at = size - 1 if window > 0 and s.first[window - 1] == previous else 0
            while at < size and s.words[window + at] == known[codes[begin + at]]:
                at += 1
            if at == size:
                return window
        slot = (slot + np.uint64(1)) & mask
    return np.int64(-1)


@kernel
def _cover(s: Sought, window: Value, previous: Value, stamp: Value, stamps: Int64) -> Value:
    """Mark the words of a window, wherever it is in the text, and return how many were new.

    Args:
        s: the windows of the text.
        window: the window found.
        previous: the window found one word before, or -1; its words are marked already.
        stamp: the mark, different for each document.
        stamps: the mark of each word of the text; written.
    """
    size, fresh = s.words.size - s.hashes.size + 1, 0
    while window >= 0:
        after = window > 0 and s.first[window - 1] == previous
        for place in range(window + (size - 1 if after else 0), window + size):
            if stamps[place] != stamp:
                stamps[place] = stamp
                fresh += 1
        window = s.later[window]
    return fresh


@kernel
def agreements(signatures: Uint32, own: Uint32) -> Value:
    """Return how many values of each signature equal those of one, (documents,).

    Args:
        signatures: the signatures, (documents, values).
        own: the one, (values,).
    """
    found = np.zeros(signatures.shape[0], np.int64)
    for row in range(signatures.shape[0]):
        same = 0
        for k in range(own.size):
            same += signatures[row, k] == own[k]
        found[row] = same
    return found
