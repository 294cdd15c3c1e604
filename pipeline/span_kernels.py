"""Compiled loops over windows: count up to two, choose what may repeat, cut spans."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(nogil=True, cache=True)
def mark(hashes: np.ndarray, shift: np.uint64, cells: np.ndarray, low: int, high: int) -> None:
    """Count up to two the windows whose byte of the table lies in [low, high)."""
    for hash_ in hashes:
        cell = hash_ >> shift
        byte = np.int64(cell >> np.uint64(2))
        if low <= byte < high:
            place = np.uint8((cell & np.uint64(3)) * np.uint64(2))
            count = (cells[byte] >> place) & 3
            if count < 2:
                cells[byte] += np.uint8(1 << place)


@numba.njit(nogil=True, cache=True)
def select(
    offsets: np.ndarray, hashes: np.ndarray, shift: np.uint64, cells: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return (hash, document, word, first in it) of every window whose cell counts two."""
    kept = np.empty(len(hashes), np.uint64)
    document = np.empty(len(hashes), np.int64)
    word = np.empty(len(hashes), np.uint32)
    first = np.ones(len(hashes), np.bool_)
    n = 0
    for d in range(len(offsets) - 1):
        begin = n
        for i in range(offsets[d], offsets[d + 1]):
            cell = hashes[i] >> shift
            if (
                cells[np.int64(cell >> np.uint64(2))]
                >> np.uint8((cell & np.uint64(3)) * np.uint64(2))
            ) & 3 == 2:
                kept[n] = hashes[i]
                document[n] = d
                word[n] = i - offsets[d]
                n += 1
        order = np.argsort(kept[begin:n], kind="mergesort")
        for k in range(1, n - begin):
            if kept[begin + order[k]] == kept[begin + order[k - 1]]:
                first[begin + order[k]] = False
    return kept[:n].copy(), document[:n].copy(), word[:n].copy(), first[:n].copy()


@numba.njit(nogil=True, cache=True)
def cut(
    document: np.ndarray,
    word: np.ndarray,
    hashes: np.ndarray,
    occurrences: np.ndarray,
    documents: np.ndarray,
    offsets: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
    size: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return spans int64[m, 7], and per document repeated words and largest count.

    The columns are those of SPANS, the document as its number.
    """
    spans = np.empty((len(word), 7), np.int64)
    repeated = np.zeros(len(offsets) - 1, np.int64)
    largest = np.zeros(len(offsets) - 1, np.int64)
    covered = np.zeros(len(offsets) - 1, np.int64)
    m = 0
    i = 0
    while i < len(word):
        j = i
        best = i
        most_documents = documents[i]
        while j + 1 < len(word) and document[j + 1] == document[i] and word[j + 1] == word[j] + 1:
            j += 1
            if occurrences[j] > occurrences[best]:
                best = j
            most_documents = max(most_documents, documents[j])
        d = document[i]
        first, last = np.int64(word[i]), np.int64(word[j]) + size - 1
        spans[m, 0] = d
        spans[m, 1] = starts[offsets[d] + first]
        spans[m, 2] = ends[offsets[d] + last]
        spans[m, 3] = last - first + 1
        spans[m, 4] = occurrences[best]
        spans[m, 5] = most_documents
        spans[m, 6] = np.int64(hashes[best])
        m += 1
        repeated[d] += last + 1 - max(first, covered[d])
        covered[d] = last + 1
        largest[d] = max(largest[d], occurrences[best])
        i = j + 1
    return spans[:m].copy(), repeated, largest
