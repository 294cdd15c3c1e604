"""Compiled loops over windows: count up to two, choose what may repeat, count exactly, link."""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.text.arrays import Flags, Int64, Uint8, Uint16, Uint32, Uint64, Value
from pipeline.text.segmentation_kernels import BASE, finish

_SEEN_BITS = 12
_NONE = np.uint32(2**32 - 1)  # no document
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio


@njit(nogil=True, cache=True)
def anchors(offsets: Int64, runs: Uint64, reach: int) -> tuple[Uint32, Uint64, Uint16]:
    """Return how many anchors each document has, the hash of each, and the windows that have it.

    The anchor of a window is the least of the `reach` runs in it, given each time that it changes
    from one window to the next. Equal windows have their anchor at the same place in them, so a
    window that occurs twice has an anchor that was given twice. Source: winnowing, Schleimer,
    Wilkerson and Aiken 2003.

    Args:
        offsets: (documents + 1,), into the runs.
        runs: (runs,), hash of each run of words.
        reach: runs in a window, and so the most windows that have an anchor.
    """
    out, covers = np.empty(runs.size, np.uint64), np.empty(runs.size, np.uint16)
    counts = np.empty(offsets.size - 1, np.uint32)
    n, begin = 0, 0
    for d in range(offsets.size - 1):
        held = np.int64(-1)
        for i in range(offsets[d], offsets[d + 1] - reach + 1):
            place = _anchor(runs, i, reach, held)
            if place != held:
                out[n], covers[n] = runs[place], 0
                n += 1
                held = place
            covers[n - 1] += np.uint16(1)
        counts[d] = n - begin
        begin = n
    return counts, out[:n].copy(), covers[:n].copy()


@njit(nogil=True, cache=True, inline="always")
def _anchor(runs: Uint64, first: Value, reach: Value, held: Value) -> Value:
    """Return the place of the least of the runs from `first` on, the first of equal ones.

    The anchor of the window before, `held`, saves the search: the last run alone is new, unless the
    least has gone.
    """
    last = first + reach - 1
    if held >= first:
        return last if runs[last] < runs[held] else held
    place = first
    for k in range(first + 1, last + 1):
        if runs[k] < runs[place]:
            place = k
    return place


@njit(nogil=True, cache=True)
def mark(anchors: Uint32, skip: int, bits: int, cells: Uint8) -> None:
    """Count each anchor of a range up to two, in a two-bit cell.

    Args:
        anchors: top 32 bits of the hashes of anchors; the first `skip` of them are the same.
        skip: how many top bits name the range.
        bits: top bits of a hash that name its cell and, before that, its range; 32 at most.
        cells: (2^(bits - skip) / 4,), four cells a byte, changed.
    """
    left, shift = np.uint64(skip + 32), np.uint64(64 - bits + skip)
    for anchor in anchors:
        cell = (np.uint64(anchor) << left) >> shift
        byte = np.int64(cell >> np.uint64(2))
        place = np.uint8((cell & np.uint64(3)) << np.uint64(1))
        held = cells[byte]
        # 0 -> 1 -> 2, then stays: add one unless the upper bit is set
        cells[byte] = held + np.uint8(((~held >> (place + np.uint8(1))) & np.uint8(1)) << place)


@njit(nogil=True, cache=True)
def keep(cells: Uint8, range_: int, fold: int, repeated: Uint8) -> None:
    """Set the bits of the cells that were seen twice; 2^fold cells beside one another share a bit.

    Args:
        cells: (cells / 4,), of one range, as filled by `mark`.
        range_: its number; the ranges before it have as many cells each.
        fold: at most the bits that name a cell in its range.
        repeated: (bits / 8,), changed.
    """
    first = np.int64(range_) * cells.size * 4
    for byte in range(cells.size):
        held = cells[byte] & np.uint8(0b10101010)
        if held:
            for k in range(4):
                if held >> np.uint8(2 * k + 1) & np.uint8(1):
                    bit = (first + byte * 4 + k) >> fold
                    repeated[bit >> 3] |= np.uint8(1 << (bit & 7))


@njit(nogil=True, cache=True)
def select(
    words: Value, anchors: Value, repeated: Uint8, bits: int, hashing: Value
) -> tuple[Uint64, Uint32]:
    """Return the hash of every window whose anchor was seen twice, and where they are.

    The latter are stretches of windows one after another: document, first word and how many, each
    of (stretches, 3). A hash is as `pipeline.text.segmentation.runs` makes it.

    Args:
        words: offsets (documents + 1,) and hashes (words,) of the words.
        anchors: how many each document has (documents,), of all the top 32 bits (anchors,), and
            the windows that have them (anchors,), of each document all that it has.
        repeated: (2^bits / 8,), as filled by `keep`: a bit for each value of an anchor's top bits.
        bits: how many top bits, 32 at most.
        hashing: words of a window, their key, and the weight of the word that leaves one.
    """
    offsets, hashes = words
    counts, tops, covers = anchors
    size, key, drop = hashing
    base = np.uint64(BASE)
    total, most = _chosen(counts, tops, covers, repeated, bits)
    kept, stretches = np.empty(total, np.uint64), np.empty((most, 3), np.uint32)
    n, m, k = 0, -1, 0
    for d in range(counts.size):
        first, goes_on, state = offsets[d], False, np.uint64(0)
        for _ in range(counts[d]):
            good, windows = _is_marked(tops[k], repeated, bits), np.int64(covers[k])
            k += 1
            if good:
                i = first
                if not goes_on:
                    m += 1
                    stretches[m, 0], stretches[m, 1], stretches[m, 2] = d, first - offsets[d], 0
                    state = np.uint64(0)
                    for j in range(first, first + size):
                        state = state * base + hashes[j]
                    kept[n] = finish(state ^ key)
                    n += 1
                    i += 1
                for j in range(i, first + windows):
                    state = state * base + (hashes[j + size - 1] - hashes[j - 1] * drop)
                    kept[n] = finish(state ^ key)
                    n += 1
                stretches[m, 2] += np.uint32(windows)
            first += windows
            goes_on = good
    return kept, stretches


@njit(nogil=True, cache=True, inline="always")
def _is_marked(top: Value, repeated: Uint8, bits: Value) -> Value:
    """Return whether the bit of an anchor is set."""
    bit = np.int64(top >> np.uint64(32 - bits))
    return repeated[bit >> 3] >> np.uint8(bit & 7) & np.uint8(1) != 0


@njit(nogil=True, cache=True, inline="always")
def _chosen(counts: Uint32, tops: Uint32, covers: Uint16, repeated: Uint8, bits: int) -> Value:
    """Return how many windows have an anchor whose bit is set, and in how many stretches."""
    windows, stretches, k = 0, 0, 0
    for d in range(counts.size):
        goes_on = False
        for _ in range(counts[d]):
            good = _is_marked(tops[k], repeated, bits)
            windows += np.int64(covers[k]) * good
            stretches += good and not goes_on
            goes_on = good
            k += 1
    return windows, stretches


@njit(nogil=True, cache=True)
def recall(bounds: Int64, again: Flags, runs: Uint32) -> tuple[Uint32, Uint32]:
    """Return the last occurrences and holders of windows, (windows,); 0 of those counted again.

    Args:
        bounds: (documents + 1,), into the windows.
        again: (windows,), those that are counted again.
        runs: (runs, 5), of repeated ones: document, first word, windows, occurrences and holders.
    """
    occurrences, holders = np.ones(again.size, np.uint32), np.ones(again.size, np.uint32)
    for m in range(runs.shape[0]):
        first = bounds[runs[m, 0]] + np.int64(runs[m, 1])
        occurrences[first : first + np.int64(runs[m, 2])] = runs[m, 3]
        holders[first : first + np.int64(runs[m, 2])] = runs[m, 4]
    for k in range(again.size):
        if again[k]:
            occurrences[k], holders[k] = 0, 0
    return occurrences, holders


@njit(nogil=True, cache=True)
def parts_of(hashes: Uint64, bits: int, parts: Value, sizes: Int64) -> None:
    """Tell the part of each window, and add the windows to the sizes of their parts.

    Args:
        hashes: (windows,).
        bits: top bits of a hash that name its part.
        parts: (windows,), filled.
        sizes: (2^bits,), changed.
    """
    for k in range(hashes.size):
        part = _part(hashes[k], bits)
        parts[k] = part
        sizes[part] += 1


@njit(nogil=True, cache=True)
def spread(chunk: Value, first: int, parts: Value, filled: Int64, records: Uint64) -> None:
    """Put the windows of a chunk into their parts, in their order.

    Args:
        chunk: hashes (windows,), known holders (windows,) and stretches (stretches, 3) of its
            windows.
        first: number of its first document.
        parts: (windows,), the part of each.
        filled: (parts,), the place of the next window of each part, changed.
        records: (places, 2), by place the hash, and the holders above the document, changed.
    """
    hashes, known, stretches = chunk
    k = 0
    for m in range(stretches.shape[0]):
        document = np.uint64(first) + np.uint64(stretches[m, 0])
        for _ in range(stretches[m, 2]):
            place = filled[parts[k]]
            filled[parts[k]] = place + 1
            records[place, 0] = hashes[k]
            records[place, 1] = np.uint64(known[k]) << np.uint64(32) | document
            k += 1


@njit(nogil=True, cache=True)
def by_hash(
    records: Uint64, ends: Int64, firsts: Int64, bits: int, more: int
) -> tuple[Uint64, Uint32, Uint32, Uint32, Int64]:
    """Return the windows of one part by further bits of their hash, equal ones in their order.

    Hashes, known holders, documents, the place that each had, and the bounds of the groups
    (2^more + 1,).

    Args:
        records: (windows, 2), as they were `spread`, block after block.
        ends: (blocks + 1,), cuts them into blocks.
        firsts: (blocks,), number of the first document of each block.
        bits: top bits that are the same in all hashes.
        more: bits after these that name a group.
    """
    bounds = np.zeros((1 << more) + 1, np.int64)
    for k in range(records.shape[0]):
        bounds[_part(records[k, 0] << np.uint64(bits), more) + 1] += 1
    for group in range(1 << more):
        bounds[group + 1] += bounds[group]
    filled, count = bounds[:-1].copy(), records.shape[0]
    hashes, places = np.empty(count, np.uint64), np.empty(count, np.uint32)
    known, documents = np.empty(count, np.uint32), np.empty(count, np.uint32)
    for block in range(firsts.size):
        for k in range(ends[block], ends[block + 1]):
            group = _part(records[k, 0] << np.uint64(bits), more)
            place = filled[group]
            filled[group] = place + 1
            hashes[place], places[place] = records[k, 0], k
            known[place] = records[k, 1] >> np.uint64(32)
            documents[place] = (records[k, 1] & np.uint64(0xFFFFFFFF)) + np.uint64(firsts[block])
    return hashes, known, documents, places, bounds


@njit(nogil=True, cache=True)
def collect(
    stretches: Uint32, parts: Value, filled: Int64, counts: Value, records: Uint64, known: Uint32
) -> tuple[Uint32, Uint32, Uint64, Uint32, Uint32]:
    """Return document, word, hash, occurrences and holders of the repeated windows of a chunk.

    Args:
        stretches: (stretches, 3), where its windows are.
        parts: (windows,), the part of each.
        filled: (parts,), the place of the next window of each part, changed.
        counts: (places, 2), occurrences and documents of the window at every place.
        records: (places, 2), as they were `spread`.
        known: (windows,), occurrences of those that were not counted again, 0 of others; or none.
    """
    size = parts.size
    documents, words = np.empty(size, np.uint32), np.empty(size, np.uint32)
    hashes = np.empty(size, np.uint64)
    occurrences, holders = np.empty(size, np.uint32), np.empty(size, np.uint32)
    n, k = 0, 0
    for m in range(stretches.shape[0]):
        for i in range(stretches[m, 2]):
            place = filled[parts[k]]
            filled[parts[k]] = place + 1
            held, wide = np.uint32(counts[place, 0]), np.uint32(counts[place, 1])
            if known.size and known[k]:
                held, wide = known[k], np.uint32(records[place, 1] >> np.uint64(32))
            k += 1
            if held > 1:
                documents[n], words[n] = stretches[m, 0], stretches[m, 1] + np.uint32(i)
                hashes[n], occurrences[n], holders[n] = records[place, 0], held, wide
                n += 1
    return documents[:n], words[:n], hashes[:n], occurrences[:n], holders[:n]


@njit(nogil=True, cache=True, inline="always")
def _part(key: Value, bits: Value) -> Value:
    """Return the number in the top bits of a hash; 0 without any."""
    return np.int64(key >> np.uint64(64 - bits)) if bits else np.int64(0)


@njit(nogil=True, cache=True)
def count_windows(
    windows: Value, bounds: Int64, shared: int, most: int
) -> tuple[Uint32, Uint32, Value]:
    """Count the windows of one part exactly, in a table of hashes for each group, in their order.

    Returns occurrences and documents of each window, (windows, 2), at the place that it had; pairs
    of documents that share a window, (edges, 2), few of them more than once; and the largest of the
    numbers. All documents that hold a window hang together by its pairs; of a window that more than
    `most` documents hold there are none.

    Args:
        windows: hash, known holders, document and former place of each, as by `by_hash`.
        bounds: (groups + 1,), cuts them into groups.
        shared: top bits that are the same in all hashes of a group.
        most: documents above which a window does not link.
    """
    hashes, known, documents, places = windows
    counts, edges = np.empty((hashes.size, 2), np.uint32), np.empty((hashes.size, 2), np.uint32)
    widest = 0
    for group in range(bounds.size - 1):
        widest = max(widest, bounds[group + 1] - bounds[group])
    which, keys = np.empty(widest, np.uint32), np.empty(widest, np.uint64)
    entries = np.empty((widest, 3), np.uint32)  # of a hash: occurrences, documents, the last one
    slots = np.empty(2 << _bits(widest), np.uint32)
    seen = np.zeros(1 << _SEEN_BITS, np.uint64)  # the last pair of each cell; none is two zeros
    n, largest = 0, np.uint32(0)
    for group in range(bounds.size - 1):
        first, last = bounds[group], bounds[group + 1]
        bits = _bits(last - first) + 1
        mask = (1 << bits) - 1
        slots[: mask + 1] = 0
        different = np.uint32(0)
        for k in range(first, last):
            key, document = hashes[k], documents[k]
            slot = np.int64((key << np.uint64(shared)) >> np.uint64(64 - bits))
            entry = _entry(key, slot, slots, mask, keys, different)
            which[k - first] = entry
            if entry == different:
                entries[entry, 0], entries[entry, 1], entries[entry, 2] = 0, 0, _NONE
                different += np.uint32(1)
            if entries[entry, 2] != document:
                entries[entry, 1] += np.uint32(1)
                entries[entry, 2] = document
            entries[entry, 0] += np.uint32(1)
        for entry in range(different):
            largest = max(largest, entries[entry, 0])
            entries[entry, 2] = _NONE
        for k in range(first, last):
            entry, document = which[k - first], documents[k]
            holders = max(known[k], entries[entry, 1])
            largest = max(largest, holders)
            counts[places[k], 0], counts[places[k], 1] = entries[entry, 0], holders
            before = entries[entry, 2]
            entries[entry, 2] = document
            if before != _NONE and before != document and 1 < holders <= most:
                pair = np.uint64(before) << np.uint64(32) | np.uint64(document)
                cell = np.int64((pair * _SPREAD) >> np.uint64(64 - _SEEN_BITS))
                if seen[cell] != pair:
                    seen[cell] = pair
                    edges[n, 0], edges[n, 1] = before, document
                    n += 1
    return counts, edges[:n].copy(), largest


@njit(nogil=True, cache=True, inline="always")
def _entry(
    key: Value, slot: Value, slots: Uint32, mask: Value, keys: Uint64, different: Value
) -> Value:
    """Return the number of a hash; a new one is the next, and is put in its slot.

    Args:
        key: the hash.
        slot: where to look for it first, and then after that.
        slots: (2^bits,), 1 + the number of the hash there, 0 for none; changed.
        mask: the last slot.
        keys: the hashes so far, by number; changed.
        different: how many they are.
    """
    while slots[slot]:
        if keys[slots[slot] - np.uint32(1)] == key:
            return slots[slot] - np.uint32(1)
        slot = (slot + 1) & mask
    keys[different] = key
    slots[slot] = different + np.uint32(1)
    return different


@njit(nogil=True, cache=True, inline="always")
def _bits(size: Value) -> Value:
    """Return the bits that number so many things."""
    bits = 0
    while (1 << bits) < size:
        bits += 1
    return bits


@njit(nogil=True, cache=True)
def fill(values: Uint64, mask: int, bitmap: Uint8) -> None:
    """Set the bit of each value in a bitmap, by its bits in a mask of the lowest ones."""
    for value in values:
        bit = np.int64(value & np.uint64(mask))
        bitmap[bit >> 3] |= np.uint8(1 << (bit & 7))


@njit(nogil=True, cache=True)
def are_among(values: Uint64, known: Uint64, mask: int, bitmap: Uint8) -> Flags:
    """Return for each value whether it is among the `known` ones, (values,).

    Args:
        values: anchors.
        known: ascending.
        mask: as `bitmap` was filled with.
        bitmap: filled with the known ones; most values are told by it alone.
    """
    found = np.zeros(values.size, np.bool_)
    for k in range(values.size):
        bit = np.int64(values[k] & np.uint64(mask))
        if bitmap[bit >> 3] >> np.uint8(bit & 7) & np.uint8(1):
            place = np.searchsorted(known, values[k])
            found[k] = place < known.size and known[place] == values[k]
    return found


@njit(nogil=True, cache=True)
def link(edges: Uint32, parents: Uint32) -> None:
    """Join the documents of each pair.

    Args:
        edges: (edges, 2), places of documents.
        parents: (documents,), a forest of earlier documents, changed.
    """
    for k in range(edges.shape[0]):
        a, b = _root(parents, edges[k, 0]), _root(parents, edges[k, 1])
        if a < b:
            parents[b] = a
        elif b < a:
            parents[a] = b


@njit(nogil=True, cache=True)
def _root(parents: Uint32, document: Value) -> Value:
    """Return the first document of a component, and shorten the way to it (union-find)."""
    place = np.int64(document)
    while parents[place] != place:
        parents[place] = parents[parents[place]]
        place = np.int64(parents[place])
    return place


@njit(nogil=True, cache=True)
def roots(parents: Uint32) -> None:
    """Write the first document of its component for every document."""
    for place in range(parents.size):
        parents[place] = parents[parents[place]]
