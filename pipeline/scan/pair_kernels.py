"""Compiled loops over shingle sets: distinct shingles of documents, shared shingles of pairs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from pipeline.text.arrays import Flags, Int32, Int64, Uint32, Uint64, Value
from pipeline.text.sorting import order_of

COLLISION = -1


class Sets(NamedTuple):
    """The sets of distinct shingles of some documents, and the words that prove them.

    Attributes:
        sets: document i owns the shingles from sets[i] to sets[i + 1].
        hashes: of each shingle, ascending and distinct within a document.
        places: number of the shingle's first word in its document.
        words: document i owns the words from words[i] to words[i + 1].
        spelled: hash of each word.
    """

    sets: Int64  # (documents + 1,)
    hashes: Uint64  # (shingles,)
    places: Uint32  # (shingles,)
    words: Int64  # (documents + 1,)
    spelled: Uint64  # (words,)


@njit(nogil=True, cache=True)
def distinct(
    offsets: Int64, hashes: Uint64, words: Int64, spelled: Uint64, size: int
) -> tuple[Int64, Uint64, Uint32]:
    """Return the sorted distinct shingles of each document: their ends, hashes and first places.

    The first end is COLLISION when two different shingles of a document have the same hash.

    Args:
        offsets: (documents + 1,), into the shingles.
        hashes: (shingles,), in text order, with repeats.
        words: (documents + 1,), into the words.
        spelled: (words,), hash of each word.
        size: words of a shingle.
    """
    ends = np.zeros(offsets.size, np.int64)
    kept, places = np.empty(hashes.size, np.uint64), np.empty(hashes.size, np.uint32)
    n = 0
    for d in range(offsets.size - 1):
        shingles = hashes[offsets[d] : offsets[d + 1]]
        text = spelled[words[d] : words[d + 1]]
        order = order_of(shingles, 0)
        begin = n
        for place in order:
            if n > begin and kept[n - 1] == shingles[place]:
                if not _same(place, text, np.int64(places[n - 1]), text, size):
                    ends[0] = COLLISION
                    return ends, kept, places
                continue
            kept[n], places[n] = shingles[place], place
            n += 1
        ends[d + 1] = n
    return ends, kept[:n].copy(), places[:n].copy()


@njit(nogil=True, cache=True)
def _same(i: Value, left: Uint64, j: Value, right: Uint64, size: int) -> bool:
    """Tell whether two shingles are the same words; a short document has one, all its words."""
    length = min(size, left.size)
    if length != min(size, right.size):
        return False
    for k in range(length):
        if left[i + k] != right[j + k]:
            return False
    return True


@njit(nogil=True, cache=True)
def places_of(a: Uint64, b: Uint64, known_a: Uint64, known_b: Uint64) -> Int64:
    """Return the place of each pair among known ones, -1 where it is not among them, (pairs,).

    Args:
        a: (pairs,), ascending.
        b: (pairs,), ascending where the first is the same.
        known_a: (known,), ascending.
        known_b: (known,), likewise.
    """
    found, k = np.full(a.size, -1, np.int64), 0
    for p in range(a.size):
        while k < known_a.size and (
            known_a[k] < a[p] or (known_a[k] == a[p] and known_b[k] < b[p])
        ):
            k += 1
        if k < known_a.size and known_a[k] == a[p] and known_b[k] == b[p]:
            found[p] = k
    return found


@njit(nogil=True, cache=True)
def intersections(
    pairs: Int64, left: Sets, right: Sets, size: int, ratio: Int64, inter: Int64
) -> None:
    """Count the shared shingles of each pair whose Jaccard is at least ratio[0] / ratio[1].

    Args:
        pairs: (pairs, 2), a document of `left` and one of `right`.
        left: sets of the first documents.
        right: sets of the second documents.
        size: words of a shingle.
        ratio: (2,), numerator and denominator.
        inter: (pairs,), filled; 0 where the pair is below the ratio, COLLISION where a hash has two
        meanings.
    """
    match = _room(pairs, left)
    for p in range(pairs.shape[0]):
        x, y = pairs[p, 0], pairs[p, 1]
        sizes = left.sets[x + 1] - left.sets[x] + right.sets[y + 1] - right.sets[y]
        # the least n with n out of (both sizes less n) at or above top out of bottom
        need = -((-ratio[0] * sizes) // (ratio[0] + ratio[1]))
        inter[p] = _matched(left, x, right, y, size, need, match)


@njit(nogil=True, cache=True)
def contained(
    pairs: Int64, turned: Flags, left: Sets, right: Sets, size: int, ratio: Int64, inter: Int64
) -> None:
    """Count the shared shingles of each pair whose first document is contained in the second.

    That is the case when at least ratio[0] / ratio[1] of the first document's shingles are shared.

    Args:
        pairs: (pairs, 2), a document of `left` and one of `right`.
        turned: (pairs,), the first document of the pair is that of `right`.
        left: sets of documents.
        right: sets of documents.
        size: words of a shingle.
        ratio: (2,), numerator and denominator.
        inter: (pairs,), filled as by `intersections`.
    """
    match = _room(pairs, left)
    for p in range(pairs.shape[0]):
        x, y = pairs[p, 0], pairs[p, 1]
        shingles = (
            right.sets[y + 1] - right.sets[y] if turned[p] else left.sets[x + 1] - left.sets[x]
        )
        need = -((-ratio[0] * shingles) // ratio[1])  # shared / shingles >= top / bottom
        inter[p] = _matched(left, x, right, y, size, need, match)


@njit(nogil=True, cache=True)
def _room(pairs: Int64, left: Sets) -> Int32:
    """Return room for a number per word of the longest first document of some pairs."""
    longest = 0
    for p in range(pairs.shape[0]):
        longest = max(longest, left.words[pairs[p, 0] + 1] - left.words[pairs[p, 0]])
    return np.empty(longest, np.int32)


@njit(nogil=True, cache=True)
def _matched(
    left: Sets, x: Value, right: Sets, y: Value, size: int, need: Value, match: Int32
) -> Value:
    """Return the shared shingles of two documents, proved by words; 0 when fewer than `need`.

    Args:
        left: sets of the first document.
        x: which it is.
        right: sets of the second document.
        y: which it is.
        size: words of a shingle.
        need: shared shingles that are enough.
        match: room for a number per word of the first document.
    """
    a = left.hashes[left.sets[x] : left.sets[x + 1]]
    b = right.hashes[right.sets[y] : right.sets[y + 1]]
    if not 0 < need <= min(a.size, b.size):
        return 0
    text_a = left.spelled[left.words[x] : left.words[x + 1]]
    text_b = right.spelled[right.words[y] : right.words[y + 1]]
    places_a = left.places[left.sets[x] : left.sets[x + 1]]
    places_b = right.places[right.sets[y] : right.sets[y + 1]]
    match = match[: text_a.size]
    match[:] = -1
    shared = _shared(a, places_a, b, places_b, need, match)
    if shared > 0 and not _proved(match, text_a, text_b, size):
        return COLLISION
    return shared


@njit(nogil=True, cache=True)
def _shared(
    a: Uint64, places_a: Uint32, b: Uint64, places_b: Uint32, need: Value, match: Int32
) -> Value:
    """Return how many hashes two sorted sets share, 0 when fewer than `need`.

    `match` is filled: for the place of each shared shingle in the first text, that in the second.
    """
    i, j, shared = 0, 0, 0
    spare_a, spare_b = a.size - need, b.size - need  # how many may have no partner
    while i < a.size and j < b.size:
        if a[i] == b[j]:
            match[places_a[i]] = places_b[j]
            shared += 1
            i += 1
            j += 1
        elif a[i] < b[j]:
            i += 1
            if i - shared > spare_a:
                return 0
        else:
            j += 1
            if j - shared > spare_b:
                return 0
    return shared if shared >= need else 0


@njit(nogil=True, cache=True)
def _proved(match: Int32, text_a: Uint64, text_b: Uint64, size: int) -> bool:
    """Tell whether all shingles that two texts share by hash are the same words.

    They are gone through in text order: of a shingle after one that was proved, and matched to the
    one after its match, the last word is all that is left to compare.
    """
    length = min(size, text_a.size)
    if length != min(size, text_b.size):
        return False
    before = -2  # match of the place before
    for place in range(text_a.size):
        own = match[place]
        if own >= 0:
            first = length - 1 if own == before + 1 else 0
            for k in range(first, length):
                if text_a[place + k] != text_b[own + k]:
                    return False
            before = own
        else:
            before = -2
    return True
