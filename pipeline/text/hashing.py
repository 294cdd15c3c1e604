"""SplitMix64, the one pseudo-random hash of this project: orders, samples and keys come from it."""

from __future__ import annotations

import numpy as np

from pipeline.text.arrays import Uint64, Value

GOLDEN = 0x9E3779B97F4A7C15
FIRST = np.uint64(0xBF58476D1CE4E5B9)
SECOND = np.uint64(0x94D049BB133111EB)
_OFFSET = 0x632BE59BD9B4E019  # so that keyed_hash(0, 0) is not the finalizer's fixed point, 0


def finalize(state: Value) -> Value:
    """Return the SplitMix64 finalizer of one uint64 state, or of an array of them.

    Numba can compile it. Source: Steele, Lea and Flood 2014, figure 16.
    """
    state = (state ^ (state >> np.uint64(30))) * FIRST
    state = (state ^ (state >> np.uint64(27))) * SECOND
    return state ^ (state >> np.uint64(31))


def keyed_hash(keys: Uint64, seed: int) -> Uint64:
    """Return a hash of each key under a seed, uniform over uint64."""
    with np.errstate(over="ignore"):
        return np.asarray(finalize(keys + np.uint64((seed * GOLDEN + _OFFSET) % 2**64)))


def splitmix64(state: int) -> int:
    """Return the output of the SplitMix64 generator for a state, taken modulo 2^64.

    It turns seeds and numbers into keys that are unlike one another.
    """
    with np.errstate(over="ignore"):
        return int(finalize(np.uint64((state + GOLDEN) % 2**64)))
