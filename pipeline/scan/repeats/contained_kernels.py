"""Compiled loops of containment: find repeated windows again, choose a few of each document."""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.text.arrays import Int64, Uint8, Uint32, Uint64, Value

GROUP, MEMBER, FILLED = range(3)  # where `meet` stopped, and how much it gave


@njit(nogil=True, cache=True)
def starts(hashes: Uint64, skip: int, bits: int) -> Int64:
    """Return where the sorted hashes of each value of `bits` bits after the top `skip` begin."""
    found = np.zeros((1 << bits) + 1, np.int64)
    left, shift = np.uint64(skip), np.uint64(64 - bits)
    for key in hashes:
        found[np.int64((key << left) >> shift) + 1] += 1
    for cell in range(1 << bits):
        found[cell + 1] += found[cell]
    return found


@njit(nogil=True, cache=True)
def occurrences(
    offsets: Int64, hashes: Uint64, range_: Int64, table: Uint64, begins: Int64, bits: int
) -> tuple[Uint64, Uint32]:
    """Return the hash and the document of every window of a range that is in a sorted table.

    Args:
        offsets: (documents + 1,), into the windows.
        hashes: (windows,), of each.
        range_: how many top bits name the range, and its number.
        table: (entries,), hashes of the range, ascending.
        begins: `starts` of the table.
        bits: as given to `starts`.
    """
    kept, holder = np.empty(hashes.size, np.uint64), np.empty(hashes.size, np.uint32)
    skip, number = np.uint64(range_[0]), np.uint64(range_[1])
    shift, away = np.uint64(64 - bits), np.uint64(64 - range_[0])
    n = 0
    for d in range(offsets.size - 1):
        for i in range(offsets[d], offsets[d + 1]):
            key = hashes[i]
            if skip > 0 and key >> away != number:
                continue
            cell = np.int64((key << skip) >> shift)
            for k in range(begins[cell], begins[cell + 1]):
                if table[k] == key:
                    kept[n], holder[n] = key, d
                    n += 1
                    break
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
            of
        smallest hash that a longer one holds.
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
