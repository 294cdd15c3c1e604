"""Compiled hashes of runs of tokens, for the goldfish loss mask and for the Bloom filter."""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.text.arrays import Uint8, Uint64, Value
from pipeline.text.hashing import FIRST, GOLDEN, finalize

_START = np.uint64(GOLDEN)
_finalize = njit(nogil=True, cache=True, inline="always")(finalize)


@njit(nogil=True, cache=True)
def run_hash(tokens: Uint64, first: Value, length: Value, seed: Value) -> Value:
    """Return a hash of the tokens [first, first + length) that depends on their order."""
    state = _finalize(seed + _START)
    for place in range(first, first + length):
        state = _finalize((state ^ tokens[place]) * FIRST + _START)
    return state


@njit(nogil=True, cache=True)
def in_the_loss(tokens: Uint64, k: int, h: int) -> Uint8:
    """Return 1 for each token that counts in the loss, 0 for one that is left out, (tokens,).

    A token is left out if the hash of the h tokens before it is 0 modulo k (Hans et al. 2024,
    eq. 3); the first h all count. Their code multiplies token numbers, which forgets the order and
    fails at the numbers 0 and 1; this hash does not.
    """
    mask = np.ones(tokens.size, np.uint8)
    for place in range(h, tokens.size):
        if run_hash(tokens, place - h, h, np.uint64(0)) % np.uint64(k) == np.uint64(0):
            mask[place] = 0
    return mask


@njit(nogil=True, cache=True)
def bloom_places(tokens: Uint64, first: Value, n: Value, j: Value, bits: Value) -> Value:
    """Return the j-th bit of a run of n tokens in a filter of 2^bits bits.

    It is h1 + j * h2 with h2 odd (Kirsch and Mitzenmacher 2006).
    """
    one = run_hash(tokens, first, n, np.uint64(1))
    two = run_hash(tokens, first, n, np.uint64(2)) | np.uint64(1)
    return (one + np.uint64(j) * two) & ((np.uint64(1) << np.uint64(bits)) - np.uint64(1))


@njit(nogil=True, cache=True)
def bloom_add(runs: Uint64, n: int, hashes: int, bits: int, cells: Uint8) -> None:
    """Enter runs of n tokens, which follow each other in one array, (runs * n,)."""
    for first in range(0, runs.size, n):
        for j in range(hashes):
            place = bloom_places(runs, first, n, j, bits)
            cells[np.int64(place >> np.uint64(3))] |= np.uint8(1) << np.uint8(place & np.uint64(7))


@njit(nogil=True, cache=True)
def bloom_holds(tokens: Uint64, n: int, hashes: int, bits: int, cells: Uint8) -> Uint8:
    """Return 1 for each run of n tokens that the filter holds, else 0, (tokens - n + 1,)."""
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
