"""A stable sort and a grouping of 64-bit hashes, in time linear in their number.

Both rely on hashes being spread evenly.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from pipeline.text.arrays import Int64, Uint64, Value

_PER_BUCKET = 8  # keys that a bucket holds on average, sorted by insertion
_LARGE = 64  # a bucket of more, which equal keys make, is merged from runs of so many


@njit(nogil=True, cache=True)
def order_of(keys: Uint64, spread: int) -> Int64:
    """Return the places of the keys in ascending order, equal ones in order of place.

    Args:
        keys: (n,), hashes, or anything spread as evenly.
        spread: how many of the top bits are the same in all keys, 0 for whole hashes; more than
            that gives
        a wrong order, fewer cost time.
    """
    count = keys.size
    bits = 0
    while (_PER_BUCKET << bits) < count and bits < 24:
        bits += 1
    if bits == 0:
        order, values = np.arange(count), keys.copy()
        _sort(values, order, 0, count)
        return order
    order, values = np.empty(count, np.int64), np.empty(count, np.uint64)
    ends = np.zeros((1 << bits) + 1, np.int64)
    shift, left = np.uint64(64 - bits), np.uint64(spread)
    for key in keys:
        ends[np.int64((key << left) >> shift) + 1] += 1
    for bucket in range(1 << bits):
        ends[bucket + 1] += ends[bucket]
    filled = ends[:-1].copy()
    for place in range(count):
        key = keys[place]
        at = np.int64((key << left) >> shift)
        order[filled[at]], values[filled[at]] = place, key
        filled[at] += 1
    for bucket in range(1 << bits):
        _sort(values, order, ends[bucket], ends[bucket + 1])
    return order


@njit(nogil=True, cache=True)
def _sort(keys: Uint64, order: Int64, first: int, last: int) -> None:
    """Sort the keys from `first` to `last` in place, and their places with them; stable.

    By insertion in runs of _LARGE, which are merged two by two: Numba would take seconds to compile
    NumPy's own for it.
    """
    for low in range(first, last, _LARGE):
        for i in range(low + 1, min(low + _LARGE, last)):
            key, place = keys[i], order[i]
            j = i
            while j > low and keys[j - 1] > key:
                keys[j], order[j] = keys[j - 1], order[j - 1]
                j -= 1
            keys[j], order[j] = key, place
    if last - first > _LARGE:
        held, places = np.empty(last - first, np.uint64), np.empty(last - first, np.int64)
        width = _LARGE
        while width < last - first:
            for low in range(first, last - width, 2 * width):
                _merge(keys, order, (low, low + width, min(low + 2 * width, last)), held, places)
            width *= 2


@njit(nogil=True, cache=True)
def _merge(keys: Uint64, order: Int64, bounds: Value, held: Uint64, places: Int64) -> None:
    """Merge two runs of ascending keys that lie side by side, and their places with them.

    Args:
        keys: changed between the bounds.
        order: likewise.
        bounds: where the first run begins, the second begins, and that ends.
        held: room for the first run.
        places: likewise.
    """
    low, middle, high = bounds
    for i in range(middle - low):
        held[i], places[i] = keys[low + i], order[low + i]
    i, j, n = 0, middle, low
    while i < middle - low:
        if j < high and keys[j] < held[i]:
            keys[n], order[n] = keys[j], order[j]
            j += 1
        else:
            keys[n], order[n] = held[i], places[i]
            i += 1
        n += 1


@njit(nogil=True, cache=True)
def group(hashes: Uint64, bits: int) -> tuple[Int64, Int64]:
    """Return the places grouped by the top bits of their hash, in order, and the groups' bounds."""
    bounds = np.zeros((1 << bits) + 1, np.int64)
    if bits == 0:
        bounds[1] = hashes.size
        return np.arange(hashes.size), bounds
    shift = np.uint64(64 - bits)
    for key in hashes:
        bounds[np.int64(key >> shift) + 1] += 1
    for part in range(1 << bits):
        bounds[part + 1] += bounds[part]
    places, filled = np.empty(hashes.size, np.int64), bounds[:-1].copy()
    for place in range(hashes.size):
        at = np.int64(hashes[place] >> shift)
        places[filled[at]] = place
        filled[at] += 1
    return places, bounds


def among(values: Uint64, known: Uint64) -> npt.NDArray[np.bool_]:
    """Return for each value whether it is among the `known` ones, which must be sorted.

    np.isin would sort them every time.
    """
    if not known.size:
        return np.zeros(values.size, np.bool_)
    place = np.minimum(np.searchsorted(known, values), known.size - 1)
    return np.asarray(known[place] == values)
