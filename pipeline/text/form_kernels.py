"""The compiled loops behind `pipeline.text.forms`: places that a form may change, and hashes."""

from __future__ import annotations

import numpy as np

from pipeline.text.arrays import Int64, Uint8, Uint64, Value
from pipeline.text.hashing import GOLDEN, finalize
from pipeline.text.segmentation_kernels import decode, inline, kernel

_GOLDEN = np.uint64(GOLDEN)
_mixed = inline(finalize)


@kernel
def find_places(data: Uint8, offsets: Int64, wanted: Uint8, places: Int64) -> Value:
    """Write row, first byte and past the last byte of each run of wanted characters; count them.

    A run begins with the character before it, which its first one may join. What has no room in
    `places` is only counted.

    Args:
        data: (bytes,), of the texts, valid UTF-8.
        offsets: (texts + 1,), into the bytes.
        wanted: (code points,), not 0 for a character that is wanted; none of ASCII is.
        places: (runs, 3), filled; bytes are counted from the beginning of the text.
    """
    n = 0
    for row in range(offsets.size - 1):
        begin, end = offsets[row], offsets[row + 1]
        i = before = begin
        while i < end:
            if data[i] < 0x80:
                before = i
                i += 1
                continue
            character, width = decode(data, i)
            if wanted[character] == 0:
                before = i
                i += width
                continue
            first = before
            while i < end and data[i] >= 0x80:
                character, width = decode(data, i)
                if wanted[character] == 0:
                    break
                i += width
            if n < places.shape[0]:
                places[n, 0], places[n, 1], places[n, 2] = row, first - begin, i - begin
            n += 1
            before = i
    return n


@kernel
def distinct_pieces(data: Uint8, offsets: Int64, places: Int64, numbers: Int64) -> Value:
    """Write the number of the piece at each place, equal ones alike; return how many there are.

    Numbers are given in order of first occurrence. Pieces are compared byte by byte.

    Args:
        data: (bytes,), of the texts.
        offsets: (texts + 1,), into the bytes.
        places: (places, 3), as `find_places` gives them.
        numbers: (places,), filled.
    """
    size = 16
    while size < 2 * places.shape[0]:
        size *= 2
    table = np.full(size, -1, np.int64)
    n = 0
    for k in range(places.shape[0]):
        first, length = offsets[places[k, 0]] + places[k, 1], places[k, 2] - places[k, 1]
        state = np.uint64(length)
        for i in range(first, first + length):
            state = (state ^ np.uint64(data[i])) * _GOLDEN
        cell = np.int64(_mixed(state) & np.uint64(size - 1))
        while table[cell] >= 0 and not _equal(data, offsets, places[table[cell]], first, length):
            cell = (cell + 1) & (size - 1)
        if table[cell] < 0:
            table[cell] = k
            numbers[k] = n
            n += 1
        else:
            numbers[k] = numbers[table[cell]]
    return n


@inline
def _equal(data: Uint8, offsets: Int64, place: Int64, first: Value, length: Value) -> Value:
    """Tell whether the piece at a place has the bytes of another."""
    if place[2] - place[1] != length:
        return False
    start = offsets[place[0]] + place[1]
    for i in range(length):
        if data[start + i] != data[first + i]:
            return False
    return True


@kernel
def hash_forms(
    texts: tuple[Uint8, Int64],
    places: Int64,
    numbers: Int64,
    news: tuple[Uint8, Int64],
    out: Uint64,
) -> None:
    """Write a 64-bit hash of each text in which the pieces at some places are replaced.

    Args:
        texts: their bytes and offsets (texts + 1,).
        places: (places, 3): row, first byte in it, past the last one; ascending, apart.
        numbers: (places,), of the piece at each; below 0 where it stays.
        news: bytes of all new pieces, and offsets into them.
        out: (texts,), filled.
    """
    data, offsets = texts
    room = np.empty(1024, np.uint64)
    k = 0
    for row in range(out.size):
        longest = offsets[row + 1] - offsets[row]
        end = k
        while end < places.shape[0] and places[end, 0] == row:
            if numbers[end] >= 0:
                longest += news[1][numbers[end] + 1] - news[1][numbers[end]]
            end += 1
        if longest > 8 * room.size - 8:
            room = np.empty(longest // 4 + 2, np.uint64)
        size = _replaced(data[offsets[row] : offsets[row + 1]], places[k:end], numbers[k:end],
                         news, room.view(np.uint8))  # fmt: skip
        state = np.uint64(size)
        for i in range((size + 7) // 8):
            state = (state ^ room[i]) * _GOLDEN
            state ^= state >> np.uint64(32)
        out[row] = _mixed(state)
        k = end


@inline
def _replaced(
    text: Uint8, places: Int64, numbers: Int64, news: tuple[Uint8, Int64], room: Uint8
) -> Value:
    """Write a text with its new pieces, and zeros up to eight bytes; return its length."""
    pieces, bounds = news
    size = done = 0
    for k in range(places.shape[0]):
        if numbers[k] < 0:
            continue
        first, end = bounds[numbers[k]], bounds[numbers[k] + 1]
        same = places[k, 1] - done
        room[size : size + same] = text[done : done + same]
        size += same
        room[size : size + end - first] = pieces[first:end]
        size += end - first
        done = places[k, 2]
    rest = text.size - done
    room[size : size + rest] = text[done:]
    room[size + rest : size + rest + 8] = 0
    return size + rest
