"""Compiled loops over bands: buckets of equal keys, pairs of their members, what caps leave out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from pipeline.text.arrays import Float64, Int64, Uint8, Uint32, Uint64, Value
from pipeline.text.sorting import order_of

HUBS = 3  # at most, of a capped bucket


class Bands(NamedTuple):
    """The keys of some bands, and what orders the members of a bucket.

    Attributes:
        numbers: of the bands.
        keys: of each document in each band.
        low: 64 bits of each text's hash.
        text_bytes: length of each text.
        priority: of the user, least where there is none.
        limits: members up to which a bucket is paired in full; neighbours of a member above that.
    """

    numbers: Int64  # (bands,)
    keys: Uint64  # (bands, documents)
    low: Uint64  # (documents,)
    text_bytes: Int64  # (documents,)
    priority: Float64  # (documents,)
    limits: Int64  # (2,)


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
def mark_capped(members: Uint32, ends: Int64, cap: int, capped: Uint8) -> None:
    """Mark the members of buckets of more than `cap` documents."""
    for bucket in range(ends.size - 1):
        if ends[bucket + 1] - ends[bucket] > cap:
            for k in range(ends[bucket], ends[bucket + 1]):
                capped[members[k]] = 1


@njit(nogil=True, cache=True)
def left_out(bands: Bands, members: Uint32, ends: Int64) -> int:
    """Return how many pairs the caps of one band leave out."""
    cap, reach, total = bands.limits[0], bands.limits[1], 0
    for bucket in range(ends.size - 1):
        group = members[ends[bucket] : ends[bucket + 1]]
        if group.size <= cap:
            continue
        near = min(reach, group.size - 1)
        total += group.size * (group.size - 1) // 2 - group.size * near + near * (near + 1) // 2
        found = hubs(group, bands)
        for k in range(found.size):
            for i in range(group.size):
                total -= abs(i - found[k]) > reach and not np.any(found[:k] == i)
    return total


@njit(nogil=True, cache=True)
def hubs(group: Uint32, bands: Bands) -> Int64:
    """Return which members of a bucket are likely to stay: the different ones among three.

    They are the first by priority, then length, then place; the longest, then the first; the first.
    """
    best, longest, earliest = 0, 0, 0
    for k in range(1, group.size):
        if _before(group[k], group[best], bands, True):
            best = k
        if _before(group[k], group[longest], bands, False):
            longest = k
        if group[k] < group[earliest]:
            earliest = k
    return np.unique(np.array([best, longest, earliest]))


@njit(nogil=True, cache=True)
def _before(x: Value, y: Value, bands: Bands, by_priority: bool) -> Value:
    """Tell whether one document ranks before another: by priority if asked, length, place."""
    if by_priority and bands.priority[x] != bands.priority[y]:
        return bands.priority[x] > bands.priority[y]
    if bands.text_bytes[x] != bands.text_bytes[y]:
        return bands.text_bytes[x] > bands.text_bytes[y]
    return x < y


@njit(nogil=True, cache=True)
def met(bands: Bands, capped: Uint8, b: int, members: Uint32, ends: Int64) -> Uint64:
    """Return the pairs that meet in a band, each as first << 32 | second.

    Those are all pairs of a bucket; of a capped one, each member with its neighbours in rank and
    with the hubs. Left out are pairs that an uncapped bucket of an earlier band has proposed.

    Args:
        bands: the bands of this pass.
        capped: (bands, documents), 1 where the document's bucket is capped.
        b: which of the bands.
        members: (members,), of all buckets.
        ends: (buckets + 1,), cuts the members.
    """
    cap, reach = bands.limits
    room = 0
    for bucket in range(ends.size - 1):
        size = ends[bucket + 1] - ends[bucket]
        room += size * (size - 1) // 2 if size <= cap else size * (min(reach, size) + HUBS)
    out = np.empty(room, np.uint64)
    n = 0
    for bucket in range(ends.size - 1):
        group = members[ends[bucket] : ends[bucket + 1]]
        full = group.size <= cap
        for i in range(group.size):
            stop = group.size if full else min(group.size, i + 1 + reach)
            for j in range(i + 1, stop):
                n = _meet(bands, capped, b, group[i], group[j], out, n)
        if not full:
            for hub in hubs(group, bands):
                for i in range(group.size):
                    if abs(i - hub) > reach:
                        n = _meet(bands, capped, b, group[i], group[hub], out, n)
    return out[:n].copy()


@njit(nogil=True, cache=True)
def _meet(bands: Bands, capped: Uint8, b: int, x: Value, y: Value, out: Uint64, n: Value) -> Value:
    """Write a pair unless an earlier band has proposed it; return how many there are."""
    for earlier in range(b):
        if bands.keys[earlier, x] == bands.keys[earlier, y] and capped[earlier, x] == 0:
            return n
    out[n] = (np.uint64(min(x, y)) << np.uint64(32)) | np.uint64(max(x, y))
    return n + 1


@njit(nogil=True, cache=True)
def proposed(bands: Bands, b: int, group: Uint32, place: Value, partner: Value) -> Value:
    """Tell whether a text that stood at `place` in a capped bucket would meet a member of it."""
    at = place_of(bands.low[partner], bands.numbers[b])
    low, high, between = min(at, place), max(at, place), 0
    for x in group:
        between += low < place_of(bands.low[x], bands.numbers[b]) < high
    return between < bands.limits[1] or np.any(group[hubs(group, bands)] == partner)
