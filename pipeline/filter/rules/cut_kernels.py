"""Compiled loops of the cutting rule: windows of spans, first occurrences, words to cut."""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.text.arrays import Int64, Uint8, Uint32, Uint64

SINGLE, FIRST, LATER = 0, 1, 2


@njit(nogil=True, cache=True)
def windows_of(
    documents: Int64,
    begins: Int64,
    sizes: Int64,
    offsets: Int64,
    starts: Uint32,
    bounds: Int64,
    hashes: Uint64,
    size: int,
) -> tuple[Uint64, Uint32, Uint32]:
    """Return (hash, document, word) of every window in some spans, in their order, (windows,) each.

    Args:
        documents: the place of each span's document in the chunk, (spans,).
        begins: the first byte of each span in its text, (spans,).
        sizes: the words of each span, (spans,).
        offsets: where the words of each document begin, (documents + 1,).
        starts: the first byte of each word in its text, (words,).
        bounds: where the windows of each document begin, (documents + 1,).
        hashes: the hash of each window, (all windows,).
        size: the words of a window.
    """
    total = np.int64(0)
    for k in range(documents.size):
        total += max(0, sizes[k] - size + 1)
    out = np.empty(total, np.uint64)
    of, word = np.empty(total, np.uint32), np.empty(total, np.uint32)
    n = 0
    for k in range(documents.size):
        d = documents[k]
        low, high = offsets[d], offsets[d + 1]
        while low < high:
            middle = (low + high) >> 1
            if starts[middle] < begins[k]:
                low = middle + 1
            else:
                high = middle
        first = low - offsets[d]
        for w in range(first, first + sizes[k] - size + 1):
            out[n], of[n], word[n] = hashes[bounds[d] + w], d, w
            n += 1
    return out, of, word


@njit(nogil=True, cache=True)
def first_and_later(hashes: Uint64, order: Int64, state: Uint8, first: Int64) -> None:
    """Write for each window whether it is the only, the first or a later one of its hash.

    Args:
        hashes: the hash of each window, (windows,).
        order: places of windows by hash, equal hashes in the order of the corpus, (windows,).
        state: SINGLE, FIRST or LATER for each window, (windows,); written.
        first: the place of the first window with the same hash, (windows,); written.
    """
    i = 0
    while i < order.size:
        j = i + 1
        while j < order.size and hashes[order[j]] == hashes[order[i]]:
            state[order[j]] = LATER
            first[order[j]] = order[i]
            j += 1
        first[order[i]] = order[i]
        state[order[i]] = FIRST if j > i + 1 else SINGLE
        i = j


@njit(nogil=True, cache=True)
def segments(documents: Uint32, words: Uint32, state: Uint8, first: Int64) -> Int64:
    """Return the later occurrences as segments of windows that follow each other, (segments, 5).

    Columns: document and word where a segment begins, document and word where its first occurrence
    does, and how many windows it has. Windows are in one segment if they follow each other and
    their first occurrences do too.

    Args:
        documents: rank of each window's document, (windows,).
        words: the first word of each window in its document, (windows,).
        state: as `first_and_later` writes it, (windows,).
        first: as `first_and_later` writes it, (windows,).
    """
    out = np.empty((words.size, 5), np.int64)
    n = 0
    for k in range(words.size):
        if state[k] != LATER:
            continue
        f = first[k]
        if n > 0:
            d, w, e, v, length = out[n - 1]
            if (
                d == documents[k]
                and w + length == words[k]
                and e == documents[f]
                and v + length == words[f]
            ):
                out[n - 1, 4] += 1
                continue
        out[n, 0], out[n, 1] = documents[k], words[k]
        out[n, 2], out[n, 3], out[n, 4] = documents[f], words[f], 1
        n += 1
    return out[:n].copy()


@njit(nogil=True, cache=True)
def words_to_cut(  # noqa: C901 - one sweep
    documents: Uint32, words: Uint32, state: Uint8, size: int, every: bool
) -> Int64:
    """Return the runs of words to cut, (runs, 3): document, first word, one past the last word.

    The words of a later occurrence are cut unless a first one covers them.

    Args:
        documents: rank of each window's document, (windows,), sorted.
        words: the first word of each window, (windows,), sorted within a document.
        state: as `first_and_later` writes it, (windows,).
        size: the words of a window.
        every: also cut the words of first occurrences of windows that occur again.
    """
    out = np.empty((words.size + 1, 3), np.int64)
    n, i = 0, 0
    while i < words.size:
        j = i
        while j < words.size and documents[j] == documents[i]:
            j += 1
        # words below `later` lie in a window to cut, those below `held` in one to keep; the open
        # run began at `begun`
        later, held, begun = np.int64(-1), np.int64(-1), np.int64(-1)
        k = i
        last = np.int64(words[j - 1]) + size
        w = np.int64(words[i])
        while w < last:
            while k < j and np.int64(words[k]) == w:
                if state[k] == LATER or (every and state[k] == FIRST):
                    later = w + size
                elif state[k] == FIRST:
                    held = w + size
                k += 1
            if w < later and w >= held:
                if begun < 0:
                    begun = w
            elif begun >= 0:
                out[n, 0], out[n, 1], out[n, 2] = documents[i], begun, w
                n, begun = n + 1, np.int64(-1)
            w += 1
            if w >= later and begun < 0 and k < j:
                w = max(w, np.int64(words[k]))
        if begun >= 0:
            out[n, 0], out[n, 1], out[n, 2] = documents[i], begun, last
            n += 1
        i = j
    return out[:n].copy()
