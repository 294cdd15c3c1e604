"""Compiled loops over bands: buckets of equal keys, and the pairs of their members."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from pipeline.text.arrays import Flags, Int64, Uint32, Uint64, Value
from pipeline.text.sorting import order_of


class Bands(NamedTuple):
    """The keys of some bands, and what orders the members of a bucket.

    Attributes:
        numbers: of the bands.
        keys: of each document in each band.
        low: 64 bits of each text's hash.
    """

    numbers: Int64  # (bands,)
    keys: Uint64  # (bands, documents)
    low: Uint64  # (documents,)


@njit(nogil=True, cache=True)
def place_of(low: Value, band: Value) -> Value:
    """Return where a text stands in a bucket; every band has another order of the same texts."""
    # an odd multiplier per band
    odd = (np.uint64(band) * np.uint64(0x9E3779B97F4A7C15)) | np.uint64(1)
    return low * odd


@njit(nogil=True, cache=True)
def buckets(bands: Bands, b: int) -> tuple[Uint32, Int64]:
    """Return the documents of all buckets of two or more, (members,), and the buckets' ends.

    Buckets are in the order of their keys; within one the order is that of `place_of`, then of the
    document.
    """
    keys = bands.keys[b]
    order = order_of(keys, 0)
    members, ends = np.empty(keys.size, np.uint32), np.empty(keys.size // 2 + 2, np.int64)
    n, count, i = 0, 0, 0
    ends[0] = 0
    while i < order.size:
        j = i + 1
        while j < order.size and keys[order[j]] == keys[order[i]]:
            j += 1
        if j - i > 1:
            places = np.empty(j - i, np.uint64)
            for k in range(j - i):
                places[k] = place_of(bands.low[order[i + k]], bands.numbers[b])
            by = order_of(places, 0)
            for k in range(j - i):
                members[n + k] = order[i + by[k]]
            n += j - i
            count += 1
            ends[count] = n
        i = j
    return members[:n].copy(), ends[: count + 1].copy()


@njit(nogil=True, cache=True)
def note_largest(members: Uint32, ends: Int64, band: int, largest: Int64, of_band: Int64) -> None:
    """Note of each document the size of its largest bucket so far, and the first band with that."""
    for bucket in range(ends.size - 1):
        size = ends[bucket + 1] - ends[bucket]
        for k in range(ends[bucket], ends[bucket + 1]):
            if size > largest[members[k]]:
                largest[members[k]], of_band[members[k]] = size, band


@njit(nogil=True, cache=True)
def pairs_of(members: Uint32, ends: Int64, crowded: Flags) -> Int64:
    """Return how many pairs of each bucket are not of two crowded documents, (buckets,)."""
    counts = np.empty(ends.size - 1, np.int64)
    for bucket in range(ends.size - 1):
        size, many = ends[bucket + 1] - ends[bucket], 0
        for k in range(ends[bucket], ends[bucket + 1]):
            many += crowded[members[k]]
        counts[bucket] = (size * (size - 1) - many * (many - 1)) // 2
    return counts


@njit(nogil=True, cache=True)
def met(bands: Bands, crowded: Flags, b: int, members: Uint32, ends: Int64, room: int) -> Uint64:
    """Return the pairs that meet in some buckets of a band, each as first << 32 | second.

    Those are all but the pairs of two crowded documents, and those that an earlier band has given.

    Args:
        bands: the bands of this pass.
        crowded: (documents,), whether a document has lists of its own instead.
        b: which of the bands.
        members: (members,), of all buckets.
        ends: (buckets + 1,), cuts the members; of the buckets that are asked for.
        room: pairs that there are at most.
    """
    out, n = np.empty(room, np.uint64), 0
    for bucket in range(ends.size - 1):
        for i in range(ends[bucket], ends[bucket + 1]):
            x = members[i]
            for j in range(i + 1, ends[bucket + 1]):
                y = members[j]
                if (crowded[x] and crowded[y]) or _earlier(bands, b, x, y):
                    continue
                out[n] = (np.uint64(min(x, y)) << np.uint64(32)) | np.uint64(max(x, y))
                n += 1
    return out[:n].copy()


@njit(nogil=True, cache=True)
def _earlier(bands: Bands, b: int, x: Value, y: Value) -> bool:
    """Tell whether an earlier band of this pass holds two documents in one bucket."""
    for earlier in range(b):
        if bands.keys[earlier, x] == bands.keys[earlier, y]:
            return True
    return False
