"""Compiled hashes of runs of tokens: what goldfish leaves out, what a Bloom filter holds."""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.text.arrays import Uint8, Uint64, Value
from pipeline.text.hashing import FIRST, GOLDEN, finalize

_START = np.uint64(GOLDEN)
_finalize = njit(nogil=True, cache=True, inline="always")(finalize)


@njit(nogil=True, cache=True)
def run_hash(tokens: Uint64, first: Value, length: Value, seed: Value) -> Value:
    """Return a hash of some tokens in their order: mixed anew after each, so that order counts."""
    state = _finalize(seed + _START)
    for place in range(first, first + length):
        state = _finalize((state ^ tokens[place]) * FIRST + _START)
    return state


@njit(nogil=True, cache=True)
def in_the_loss(tokens: Uint64, k: int, h: int) -> Uint8:
    """Return 1 for each token that counts in the loss, 0 for those left out.

    A token is left out if the hash of the h tokens before it is 0 modulo k; the first h all count.
    """
    mask = np.ones(tokens.size, np.uint8)
    for place in range(h, tokens.size):
        if run_hash(tokens, place - h, h, np.uint64(0)) % np.uint64(k) == np.uint64(0):
            mask[place] = 0
    return mask


@njit(nogil=True, cache=True)
def bloom_places(tokens: Uint64, first: Value, n: Value, j: Value, bits: Value) -> Value:
    """Return the j-th bit of a run of n tokens in a filter of 2^bits bits: h1 + j * h2, h2 odd."""
    one = run_hash(tokens, first, n, np.uint64(1))
    two = run_hash(tokens, first, n, np.uint64(2)) | np.uint64(1)
    return (one + np.uint64(j) * two) & ((np.uint64(1) << np.uint64(bits)) - np.uint64(1))


@njit(nogil=True, cache=True)
def bloom_add(runs: Uint64, n: int, hashes: int, bits: int, cells: Uint8) -> None:
    """Enter runs of n tokens, which lie end to end."""
    for first in range(0, runs.size, n):
        for j in range(hashes):
            place = bloom_places(runs, first, n, j, bits)
            cells[np.int64(place >> np.uint64(3))] |= np.uint8(1) << np.uint8(place & np.uint64(7))


@njit(nogil=True, cache=True)
def bloom_holds(tokens: Uint64, n: int, hashes: int, bits: int, cells: Uint8) -> Uint8:
    """Return for each run of n tokens in a row 1 if the filter may hold it, 0 if it does not."""
    found = np.zeros(max(0, tokens.size - n + 1), np.uint8)
    for first in range(found.size):
        found[first] = 1
        for j in range(hashes):
            place = bloom_places(tokens, first, n, j, bits)
            cell = cells[np.int64(place >> np.uint64(3))]
            if (cell >> np.uint8(place & np.uint64(7))) & np.uint8(1) == 0:
                found[first] = 0
                break
    return found
