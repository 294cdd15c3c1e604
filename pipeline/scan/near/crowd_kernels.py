"""Compiled loops over crowded buckets: whom a document of one is worth being compared with.

The similarity of two documents is estimated by two bits of each value of their signatures. Every
document keeps short lists of those that it has met; a list depends on whom it met, never on the
order.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from pipeline.text.arrays import Flags, Int32, Int64, Uint8, Uint32, Uint64, Value
from pipeline.text.sorting import order_of

CODES = 128  # values of a signature that are looked at, two bits each
WORDS = CODES // 32
WITHIN = 8  # places that two texts may be apart in the order of a bucket and meet, or more
LEVELS = (0, 8, 16, 24, 32, 48)  # bits of that order whose equal runs have hubs
LISTED, LIKELY = 1, 2  # hubs that a document keeps: that may be listed, that are likely near copies
PER_ORDER = LISTED + LIKELY
ORDERS = 2  # of rank: longest, earliest
CLASSES = 8  # of a bucket, that have hubs of their own
NONE = np.uint32(0xFFFFFFFF)
ALONE = -1  # no class: all of the crowd are of one
# of a population count, by pairs of bits, then by bytes
_ODD, _PAIRS = np.uint64(0x5555555555555555), np.uint64(0x3333333333333333)
_NIBBLES, _SUM = np.uint64(0x0F0F0F0F0F0F0F0F), np.uint64(0x0101010101010101)


class Crowd(NamedTuple):
    """The documents of capped buckets, what tells them apart, and the lists that they keep.

    A class is a source value and a folder: whatever `near.sources` prefers, the best document of a
    bucket is the best of its class.

    Attributes:
        place: of each document of the pass in the crowd, -1 where it is not crowded.
        codes: two bits of each value of the signature.
        low: 64 bits of the text's hash.
        ranks: of the best row of each text, by length and by place.
        begins: text i has the rows from begins[i] to begins[i + 1].
        classes: of each row, ALONE where there is one class.
        row_ranks: of each row, as `ranks`.
        apart: most codes that differ of two texts that may be listed; that are likely near copies.
        near: the nearest that a text has met, the nearest first.
        distance: codes that differ from each of these.
        hubs: the best that it has met, of each order first LISTED, then LIKELY ones.
        class_of: classes whose best it has met.
        class_hubs: the best of these, for each order.
    """

    place: Int64  # (documents,)
    codes: Uint64  # (crowd, WORDS)
    low: Uint64  # (crowd,)
    ranks: Uint32  # (ORDERS, crowd)
    begins: Int64  # (crowd + 1,)
    classes: Int32  # (rows,)
    row_ranks: Uint32  # (ORDERS, rows)
    apart: Int64  # (2,)
    near: Uint32  # (crowd, neighbours)
    distance: Uint8  # (crowd, neighbours)
    hubs: Uint32  # (crowd, ORDERS * PER_ORDER)
    class_of: Int32  # (crowd, CLASSES), or (crowd, 0)
    class_hubs: Uint32  # (crowd, CLASSES, ORDERS), or (crowd, 0, ORDERS)


class Bucket(NamedTuple):
    """The crowded texts of a bucket, side by side.

    Attributes:
        texts: of the crowd.
        codes: of each.
        farthest: how far the last of its nearest is.
        ranks: of each, for each order.
        wanted: the rank from which on no text enters its lists of the best.
    """

    texts: Uint32  # (texts,)
    codes: Uint64  # (texts, WORDS)
    farthest: Int64  # (texts,)
    ranks: Uint32  # (ORDERS, texts)
    wanted: Uint32  # (ORDERS, texts)


@njit(nogil=True, cache=True)
def codes_of(values: Uint32, out: Uint64) -> None:
    """Write the codes of signatures, (rows, WORDS): the two low bits of each value, from the top.

    Args:
        values: (rows, values), the signatures.
        out: (rows, WORDS), zeros.
    """
    for i in range(values.shape[0]):
        for v in range(min(CODES, values.shape[1])):
            code = np.uint64(values[i, v] & np.uint32(3))
            out[i, v // 32] |= code << np.uint64(62 - 2 * (v % 32))


@njit(nogil=True, cache=True, inline="always")
def differing(codes: Uint64, x: Value, others: Uint64, y: Value) -> Value:
    """Return how many codes of two texts differ."""
    count = np.uint64(0)
    for w in range(WORDS):
        bits = codes[x, w] ^ others[y, w]
        bits = (bits | (bits >> np.uint64(1))) & _ODD  # one bit for each code that differs
        bits = (bits & _PAIRS) + ((bits >> np.uint64(2)) & _PAIRS)
        count += (((bits + (bits >> np.uint64(4))) & _NIBBLES) * _SUM) >> np.uint64(56)
    return np.int64(count)


@njit(nogil=True, cache=True)
def sorting_key(codes: Uint64, x: Value, start: Value) -> Value:
    """Return 32 codes of a text from one on, around the end: its place in the order of a bucket.

    The texts of a bucket have the values of its band in common, so the order begins after these;
    those that stand together are alike in what follows.
    """
    word, shift = start // 32 % WORDS, np.uint64(2 * (start % 32))
    key = codes[x, word] << shift
    if shift > 0:
        key |= codes[x, (word + 1) % WORDS] >> (np.uint64(64) - shift)
    return key


@njit(nogil=True, cache=True)
def gather(
    c: Crowd, members: Uint32, ends: Int64, start: int, cap: int, large: bool
) -> tuple[Uint32, Uint64, Int64, Flags]:
    """Let the crowded documents of each bucket of a band meet.

    Up to the cap all of a bucket meet. Above it each meets its neighbours in the order of
    `sorting_key`, and the hubs of the bucket and of each run in it whose keys begin alike.

    Args:
        c: the crowd, whose lists are changed.
        members: (members,), documents of all buckets.
        ends: (buckets + 1,), cuts the members.
        start: the code that the order begins with.
        cap: members up to which a bucket is not too large.
        large: whether the members of larger ones meet in this band.

    Returns:
        The crowd of each bucket, where it met in that order, their keys, where the bucket's part
        ends, and which buckets met.
    """
    texts, keys = np.empty(members.size, np.uint32), np.empty(members.size, np.uint64)
    bounds, n = np.zeros(ends.size, np.int64), 0
    met = np.ones(ends.size - 1, np.bool_)
    for bucket in range(ends.size - 1):
        first = n
        for document in members[ends[bucket] : ends[bucket + 1]]:
            if c.place[document] >= 0:
                texts[n] = c.place[document]
                keys[n] = sorting_key(c.codes, np.int64(texts[n]), start)
                n += 1
        bounds[bucket + 1] = n
        full = ends[bucket + 1] - ends[bucket] <= cap
        if not full and not large:
            met[bucket] = False
            continue
        order = order_of(keys[first:n], 0)
        held = texts[first:n].copy(), keys[first:n].copy()
        for i in range(n - first):
            texts[first + i], keys[first + i] = held[0][order[i]], held[1][order[i]]
        reach = n - first if full else max(WITHIN, c.near.shape[1])
        own = _bucket(c, texts[first:n])
        _neighbours(c, own, reach)
        if not full:
            _with_hubs(c, own, keys[first:n])
    return texts[:n], keys[:n], bounds, met


@njit(nogil=True, cache=True)
def _bucket(c: Crowd, texts: Uint32) -> Bucket:
    """Return what is known of the texts of a bucket, side by side: memory is read once."""
    count, last = texts.size, c.near.shape[1] - 1
    ranks, wanted = np.empty((ORDERS, count), np.uint32), np.empty((ORDERS, count), np.uint32)
    codes, farthest = np.empty((count, WORDS), np.uint64), np.empty(count, np.int64)
    for i in range(count):
        codes[i] = c.codes[texts[i]]
        farthest[i] = c.distance[texts[i], last]
        for o in range(ORDERS):
            ranks[o, i] = c.ranks[o, texts[i]]
            wanted[o, i] = _worst(c.hubs, c.ranks, texts[i], o)
    return Bucket(texts, codes, farthest, ranks, wanted)


@njit(nogil=True, cache=True)
def _worst(hubs: Uint32, ranks: Uint32, x: Value, o: Value) -> Value:
    """Return the rank from which on no text enters a list of the best of another."""
    listed, likely = hubs[x, o * PER_ORDER + LISTED - 1], hubs[x, (o + 1) * PER_ORDER - 1]
    if listed == NONE or likely == NONE:
        return NONE
    return max(ranks[o, listed], ranks[o, likely])


@njit(nogil=True, cache=True)
def _neighbours(c: Crowd, own: Bucket, reach: int) -> None:
    """Let each text of a bucket meet the next of them, so many.

    Two that are alike enough may enter one another's lists. Arrays are taken out of the tuples
    first: handing these on costs more than the work.
    """
    texts, codes, farthest, ranks, wanted = own
    near, distances, low, apart = c.near, c.distance, c.low, c.apart
    hubs, all_ranks = c.hubs, c.ranks
    for i in range(texts.size):
        for j in range(i + 1, min(texts.size, i + 1 + reach)):
            distance = differing(codes, i, codes, j)
            if distance > apart[0]:
                continue
            if distance <= farthest[i]:
                farthest[i] = _offer_near(near, distances, low, texts[i], texts[j], distance)
            if distance <= farthest[j]:
                farthest[j] = _offer_near(near, distances, low, texts[j], texts[i], distance)
            for o in range(ORDERS):
                one, best = (i, j) if ranks[o, j] < ranks[o, i] else (j, i)
                if ranks[o, best] < wanted[o, one]:
                    wanted[o, one] = _offer_hub(
                        hubs, all_ranks, texts[one], texts[best], o, distance, apart, wanted[o, one]
                    )


@njit(nogil=True, cache=True)
def _with_hubs(c: Crowd, own: Bucket, keys: Uint64) -> None:
    """Let the texts of a bucket meet the best of the bucket and of the runs that they are in."""
    offered = np.full(own.ranks.shape, NONE, np.uint32)
    for level in LEVELS:
        shift, i = np.uint64(64 - level), 0
        while i < keys.size:
            j = i + 1
            while j < keys.size and (level == 0 or keys[j] >> shift == keys[i] >> shift):
                j += 1
            if j - i > WITHIN or level == 0:
                _with_best(c, own, i, j, offered)
            i = j
    if c.class_of.shape[1] > 0:
        _with_best_of_classes(c, own.texts)


@njit(nogil=True, cache=True)
def _with_best(c: Crowd, own: Bucket, first: int, last: int, offered: Uint32) -> None:
    """Let all of a run meet the two best of it, by length and by place, unless they have here."""
    texts, codes, _, ranks, wanted = own
    hubs, all_ranks, apart = c.hubs, c.ranks, c.apart
    for o in range(ORDERS):
        best = first
        for i in range(first, last):
            if ranks[o, i] < ranks[o, best]:
                best = i
        for i in range(first, last):
            if i != best and offered[o, i] != best and ranks[o, best] < wanted[o, i]:
                offered[o, i] = best
                distance = differing(codes, i, codes, best)
                if distance <= apart[0]:
                    wanted[o, i] = _offer_hub(
                        hubs, all_ranks, texts[i], texts[best], o, distance, apart, wanted[o, i]
                    )


@njit(nogil=True, cache=True)
def _with_best_of_classes(c: Crowd, run: Uint32) -> None:
    """Let all of a bucket meet the best of each of its classes, of some of them if it has many."""
    names = np.full(CLASSES, ALONE, np.int32)
    best = np.zeros((CLASSES, ORDERS), np.int64)
    least = np.full((CLASSES, ORDERS), NONE, np.uint32)
    for x in run:
        for r in range(c.begins[x], c.begins[x + 1]):
            k = _slot(names, c.classes[r])
            if k == CLASSES:
                continue
            names[k] = c.classes[r]
            for o in range(ORDERS):
                if c.row_ranks[o, r] < least[k, o]:
                    least[k, o], best[k, o] = c.row_ranks[o, r], x
    for k in range(_slot(names, ALONE)):
        for o in range(ORDERS):
            for x in run:
                if best[k, o] != x:
                    _offer_class_hub(c, np.int64(x), best[k, o], o, names[k])


@njit(nogil=True, cache=True)
def _slot(names: Int32, name: Value) -> Value:
    """Return the place of a class among some, else the first that is free, else past the end."""
    k = 0
    while k < names.size and names[k] != name and names[k] != ALONE:
        k += 1
    return k


@njit(nogil=True, cache=True)
def _offer_near(
    near: Uint32, distances: Uint8, low: Uint64, x: Value, y: Value, distance: Value
) -> Value:
    """Enter a text into the list of the nearest of another; ties go to the smaller hash.

    Returns how far the last of the list is then.
    """
    k = most = near.shape[1]
    while k > 0 and (
        distance < distances[x, k - 1]
        or (
            distance == distances[x, k - 1]
            and (near[x, k - 1] == NONE or low[y] < low[near[x, k - 1]])
        )
    ):
        k -= 1
    if k == most or (k > 0 and near[x, k - 1] == y):
        return np.int64(distances[x, most - 1])
    for held in range(most - 1, k, -1):
        near[x, held], distances[x, held] = near[x, held - 1], distances[x, held - 1]
    near[x, k], distances[x, k] = y, distance
    return np.int64(distances[x, most - 1])


@njit(nogil=True, cache=True)
def _offer_hub(
    hubs: Uint32,
    ranks: Uint32,
    x: Value,
    hub: Value,
    o: Value,
    distance: Value,
    apart: Int64,
    wanted: Value,
) -> Value:
    """Enter a text of better rank into the lists of the best, each in order of rank.

    Returns the rank from which on no text enters them, which was `wanted`.
    """
    first, changed = o * PER_ORDER, False
    if distance <= apart[0]:
        changed = _insert(hubs, ranks, x, hub, o, first, first + LISTED)
    if distance <= apart[1]:
        changed |= _insert(hubs, ranks, x, hub, o, first + LISTED, first + PER_ORDER)
    return _worst(hubs, ranks, x, o) if changed else wanted


@njit(nogil=True, cache=True, inline="always")
def _insert(
    hubs: Uint32, ranks: Uint32, x: Value, hub: Value, o: Value, first: Value, end: Value
) -> bool:
    """Enter a hub into a part of a text's list that is in order of rank; tell whether it did."""
    for k in range(first, end):
        if hubs[x, k] == hub:
            return False
    k = end
    while k > first and (hubs[x, k - 1] == NONE or ranks[o, hub] < ranks[o, hubs[x, k - 1]]):
        k -= 1
    if k == end:
        return False
    for later in range(end - 1, k, -1):
        hubs[x, later] = hubs[x, later - 1]
    hubs[x, k] = hub
    return True


@njit(nogil=True, cache=True)
def _offer_class_hub(c: Crowd, x: Value, hub: Value, o: Value, name: Value) -> None:
    """Enter the best of a class, unless the list has a better one of it or no room."""
    k = _slot(c.class_of[x], name)
    if k == CLASSES:
        return
    held = c.class_hubs[x, k, o]
    if held != NONE and _best_rank(c, hub, o, name) >= _best_rank(c, np.int64(held), o, name):
        return
    if differing(c.codes, x, c.codes, hub) <= c.apart[0]:
        c.class_of[x, k], c.class_hubs[x, k, o] = name, hub


@njit(nogil=True, cache=True)
def _best_rank(c: Crowd, x: Value, o: Value, name: Value) -> Value:
    """Return the rank of the best row of a class that a text has."""
    least = NONE
    for r in range(c.begins[x], c.begins[x + 1]):
        if c.classes[r] == name:
            least = min(least, c.row_ranks[o, r])
    return least


@njit(nogil=True, cache=True)
def _among(texts: Uint32, count: Value, y: Value) -> bool:
    """Tell whether a text is among the first of some."""
    for k in range(count):
        if texts[k] == y:
            return True
    return False


@njit(nogil=True, cache=True)
def listed(c: Crowd, x: Value, y: Value) -> bool:
    """Tell whether a text is in a list of another."""
    if _among(c.near[x], c.near.shape[1], y) or _among(c.hubs[x], c.hubs.shape[1], y):
        return True
    for k in range(c.class_hubs.shape[1]):
        if c.class_hubs[x, k, 0] == y or c.class_hubs[x, k, 1] == y:
            return True
    return False


@njit(nogil=True, cache=True)
def listed_pairs(c: Crowd, first: int, last: int) -> Uint64:
    """Return the pairs in the lists of some texts of the crowd, each as x << 32 | y.

    A pair that is in the lists of both is told by the first of them.
    """
    width = c.near.shape[1] + c.hubs.shape[1] + ORDERS * c.class_hubs.shape[1]
    out, n = np.empty((last - first) * width, np.uint64), 0
    own = np.empty(width, np.uint32)
    for x in range(first, last):
        own[: c.near.shape[1]] = c.near[x]
        own[c.near.shape[1] : c.near.shape[1] + c.hubs.shape[1]] = c.hubs[x]
        own[c.near.shape[1] + c.hubs.shape[1] :] = c.class_hubs[x].copy().reshape(-1)
        for k in range(width):
            y = own[k]
            if y == NONE or _among(own, k, y) or (y < x and listed(c, np.int64(y), x)):
                continue
            out[n] = (np.uint64(min(x, y)) << np.uint64(32)) | np.uint64(max(x, y))
            n += 1
    return out[:n].copy()
