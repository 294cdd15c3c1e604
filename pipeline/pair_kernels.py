"""Compiled loops over shingle sets: distinct shingles of a document, shared shingles of a pair."""

from __future__ import annotations

import numba
import numpy as np

COLLISION = -1


@numba.njit(nogil=True, cache=True)
def _same_letters(
    place_a: int,
    place_b: int,
    size: int,
    starts_a: np.ndarray,
    ends_a: np.ndarray,
    letters_a: np.ndarray,
    starts_b: np.ndarray,
    ends_b: np.ndarray,
    letters_b: np.ndarray,
) -> bool:
    """Tell whether two shingles are the same words.

    Their folded texts, joined by NUL, are equal.
    """
    last_a = min(place_a + size, len(starts_a)) - 1
    last_b = min(place_b + size, len(starts_b)) - 1
    start_a, start_b = starts_a[place_a], starts_b[place_b]
    length = ends_a[last_a] - start_a
    if ends_b[last_b] - start_b != length:
        return False
    for i in range(length):
        if letters_a[start_a + i] != letters_b[start_b + i]:
            return False
    return True


@numba.njit(nogil=True, cache=True)
def distinct(
    offsets: np.ndarray,
    hashes: np.ndarray,
    places: np.ndarray,
    distinct: np.ndarray,
    size: int,
    text_offsets: np.ndarray,
    folded: np.ndarray,
    word_offsets: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
) -> int:
    """Sort each document's shingles in place and drop repeats.

    Return how many are left, or COLLISION.
    """
    out = 0
    for d in range(len(offsets) - 1):
        own = hashes[offsets[d] : offsets[d + 1]].copy()
        order = np.argsort(own, kind="mergesort")
        letters = folded[text_offsets[d] : text_offsets[d + 1]]
        first = starts[word_offsets[d] : word_offsets[d + 1]]
        last = ends[word_offsets[d] : word_offsets[d + 1]]
        begin = out
        for i in range(len(order)):
            place = order[i]
            if i > 0 and own[place] == hashes[out - 1]:
                if not _same_letters(
                    place, places[out - 1], size, first, last, letters, first, last, letters
                ):
                    return COLLISION
                continue
            hashes[out] = own[place]
            places[out] = place
            out += 1
        distinct[d] = out - begin
    return out


@numba.njit(nogil=True, cache=True)
def intersections(
    a: np.ndarray,
    b: np.ndarray,
    size: int,
    sets: np.ndarray,
    hashes: np.ndarray,
    places: np.ndarray,
    letters: np.ndarray,
    folded: np.ndarray,
    words: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
    inter: np.ndarray,
) -> None:
    """Fill `inter` with the shared shingles of each pair, each compared by its letters.

    COLLISION where they lie.
    """
    for p in range(len(a)):
        x, y = a[p], b[p]
        i, end_i = sets[x], sets[x + 1]
        j, end_j = sets[y], sets[y + 1]
        letters_x, letters_y = (
            folded[letters[x] : letters[x + 1]],
            folded[letters[y] : letters[y + 1]],
        )
        starts_x, ends_x = starts[words[x] : words[x + 1]], ends[words[x] : words[x + 1]]
        starts_y, ends_y = starts[words[y] : words[y + 1]], ends[words[y] : words[y + 1]]
        shared = 0
        while i < end_i and j < end_j:
            if hashes[i] < hashes[j]:
                i += 1
            elif hashes[i] > hashes[j]:
                j += 1
            else:
                if not _same_letters(
                    places[i],
                    places[j],
                    size,
                    starts_x,
                    ends_x,
                    letters_x,
                    starts_y,
                    ends_y,
                    letters_y,
                ):
                    shared = COLLISION
                    break
                shared += 1
                i += 1
                j += 1
        inter[p] = shared
