"""Compiled loops of containment: find repeated windows again, choose a few of each document."""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.text.arrays import Int64, Uint8, Uint32, Uint64, Value

GROUP, MEMBER, FILLED = range(3)  # where `meet` stopped, and how much it gave


@njit(nogil=True, cache=True)
def occurrences(
    offsets: Int64, hashes: Uint64, range_: Int64, runs: Int64
) -> tuple[Uint64, Uint32]:
    """Return the hash and the document of every window of some runs that is in a range.

    Args:
        offsets: (documents + 1,), into the windows.
        hashes: (windows,), of each.
        range_: how many top bits name the range, and its number.
        runs: (runs, 5), document, first word and windows of each, in text order, and more.
    """
    size = np.int64(0)
    for m in range(runs.shape[0]):
        size += runs[m, 2]
    kept, holder = np.empty(size, np.uint64), np.empty(size, np.uint32)
    skip, number, away = range_[0], np.uint64(range_[1]), np.uint64(64 - range_[0])
    n = 0
    for m in range(runs.shape[0]):
        first = offsets[runs[m, 0]] + runs[m, 1]
        for i in range(first, first + runs[m, 2]):
            if skip == 0 or hashes[i] >> away == number:
                kept[n], holder[n] = hashes[i], runs[m, 0]
                n += 1
    return kept[:n].copy(), holder[:n].copy()


@njit(nogil=True, cache=True)
def meet(
    hashes: Uint64,
    holders: Uint32,
    words: Int64,
    limits: Int64,
    chosen: Uint8,
    state: Int64,
    codes: Uint64,
) -> bool:
    """Fill `codes` with pairs document << 32 | longer document; return whether there are more.

    Args:
        hashes: (occurrences,), of windows, ascending.
        holders: (occurrences,), the document of each, ascending within a window.
        words: (documents,), of each document.
        limits: documents above which a window is passed over; windows chosen of a document, those
            of smallest hash that a longer one holds.
        chosen: (documents,), windows chosen so far.
        state: where to go on, and how many codes are filled: GROUP, MEMBER, FILLED.
        codes: filled.
    """
    state[FILLED] = 0
    group = np.empty(limits[0], np.uint32)
    i = state[GROUP]
    while i < hashes.size:
        size, j = 0, i
        while j < hashes.size and hashes[j] == hashes[i]:
            if j == i or holders[j] != holders[j - 1]:
                if size < limits[0]:
                    group[size] = holders[j]
                size += 1
            j += 1
        if 1 < size <= limits[0]:
            for m in range(state[MEMBER], size):
                if state[FILLED] + size > codes.size:
                    state[GROUP], state[MEMBER] = i, m
                    return True
                _choose(group[:size], m, words, limits[1], chosen, state, codes)
        state[MEMBER] = 0
        i = j
    state[GROUP] = i
    return False


@njit(nogil=True, cache=True)
def _choose(
    group: Uint32, m: Value, words: Int64, most: Value, chosen: Uint8, state: Int64, codes: Uint64
) -> None:
    """Write the longer documents that share a window with one, unless it has enough windows."""
    document = group[m]
    if chosen[document] >= most:
        return
    n = state[FILLED]
    for other in group:
        if words[other] > words[document]:
            codes[n] = np.uint64(document) << np.uint64(32) | np.uint64(other)
            n += 1
    if n > state[FILLED]:
        chosen[document] += np.uint8(1)
    state[FILLED] = n
