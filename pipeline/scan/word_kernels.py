"""Compiled loops behind the table `words`: vocabularies, codes, gaps, the letters of a hash.

Nothing is checked here and no array grows, `pipeline.scan.words` does both.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pipeline.text.arrays import Flags, Int64, Uint8, Uint32, Uint64, Value
from pipeline.text.segmentation_kernels import LOWER, decode, encode, kernel, load8

COLLISION = -1
LONG = 255  # first byte of a gap that takes five
PADDING = 16  # bytes after the letters, so that eight can be read from any of them

# registers of an encoder
WORDS, ENTRIES, GAPS, LETTERS, PREVIOUS, ROW = range(6)

_HIGH = np.uint64(0x8080808080808080)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_SPREAD = np.uint64(0x9E3779B97F4A7C15)


class Encoder(NamedTuple):
    """What the encoding loop looks up and fills.

    Frequent words come early in a vocabulary, so what most words need lies close together.

    Attributes:
        characters: folded character and word class of each code point.
        slots: open addressing over a power of two of places, entry + 1 in each.
        records: four numbers of each entry: its hash, its size in the text, its folded letters if
            it is an
        ASCII word of at most eight, a spare one.
        ends: of each entry's folded letters.
        letters: folded letters of all entries, UTF-8.
        codes: entry of each word.
        gaps: bytes before each word since the one before, see `LONG`.
        state: the registers WORDS to ROW.
    """

    characters: Uint32  # (code points,)
    slots: Uint32  # (2^bits,)
    records: Uint64  # (4 * entries,)
    ends: Int64  # (entries + 1,)
    letters: Uint8  # (bytes,)
    codes: Uint32  # (words,)
    gaps: Uint8  # (bytes,)
    state: Int64  # (6,)


@kernel
def encode_words(  # noqa: C901, PLR0912, PLR0915 - one loop: a call a word costs half the speed
    data: Uint8, offsets: Int64, rows: Int64, bounds: Int64, words: Value, e: Encoder, full: Int64
) -> Value:
    """Add the words of some rows to the vocabulary and the codes of a chunk.

    Returns the row after the one that closed the chunk, rows[1] when none did, COLLISION when a
    word has the hash of another.

    Args:
        data: (bytes,), of the texts.
        offsets: (texts + 1,), into the bytes.
        rows: the first row, the row after the last, whether the last is whole.
        bounds: (texts + 1,), the words of a row end at bounds[row + 1].
        words: place of the first word in the arrays that follow it: hashes, starts, ends, and the
            starts and ends that are stored, which differ where a text was normalized.
        e: what is looked up and filled.
        full: words and entries at which a chunk closes, at the end of a document.
    """
    first, hashes, starts, ends, lows, highs = words
    # names of their own: through the tuple, every access would count references
    slots, records, spelled, letters = e.slots, e.records, e.ends, e.letters
    codes, gaps, characters, state = e.codes, e.gaps, e.characters, e.state
    mask, readable = np.uint64(slots.size - 1), data.size - 8
    n, entries, at, previous = state[WORDS], state[ENTRIES], state[GAPS], state[PREVIOUS]
    if rows[0] != state[ROW]:
        previous = np.int64(0)
    row = rows[0]
    while row < rows[1]:
        for j in range(first, bounds[row + 1]):
            start, end, key = np.int64(starts[j]), np.int64(ends[j]), hashes[j]
            place, size = offsets[row] + start, end - start
            low_end, high_end = np.int64(lows[j]), np.int64(highs[j])
            stored = high_end - low_end
            piece = np.uint64(0)
            if size <= 8 and place <= readable:
                low = _ALL >> np.uint64(64 - 8 * size)
                piece = load8(data, place) & low
                piece = (piece | LOWER) & low if (piece & _HIGH) == 0 else np.uint64(0)
            slot = (key ^ (np.uint64(stored) * _SPREAD)) & mask
            while True:
                entry = np.int64(slots[slot]) - 1
                record = entry * 4
                if entry < 0:
                    entry = entries
                    slots[slot] = entry + 1
                    record = entry * 4
                    records[record], records[record + 1] = key, np.uint64(stored)
                    records[record + 2] = piece
                    begin = spelled[entry]
                    spelled[entry + 1] = _write(data, place, size, characters, letters, begin)
                    entries += 1
                    break
                if records[record] == key and records[record + 1] == np.uint64(stored):
                    if (piece == 0 or records[record + 2] != piece) and not _same(
                        data, place, size, characters, letters, spelled[entry], spelled[entry + 1]
                    ):
                        return np.int64(COLLISION)
                    break
                slot = (slot + np.uint64(1)) & mask
            codes[n] = entry
            n += 1
            gap = low_end - previous
            previous = high_end
            if gap < LONG:
                gaps[at] = gap
                at += 1
            else:
                gaps[at] = LONG
                for k in range(4):
                    gaps[at + 1 + k] = (gap >> (8 * k)) & 0xFF
                at += 5
        first = bounds[row + 1]
        row += 1
        if row < rows[1] or rows[2] == 1:
            previous = np.int64(0)
            if n >= full[0] or entries >= full[1]:
                break
    state[WORDS], state[ENTRIES], state[GAPS], state[PREVIOUS] = n, entries, at, previous
    state[LETTERS], state[ROW] = spelled[entries], row - 1
    return row


@kernel
def _write(
    data: Uint8, place: Value, size: Value, characters: Uint32, letters: Uint8, at: Value
) -> Value:
    """Write the folded letters of a word; return the place after them."""
    i = place
    while i < place + size:
        character, width = decode(data, i)
        at = encode(np.int64(characters[character] & np.uint32(0xFFFFFF)), letters, at)
        i += width
    return at


@kernel
def _same(
    data: Uint8, i: Value, size: Value, characters: Uint32, letters: Uint8, at: Value, end: Value
) -> Value:
    """Tell whether a word has the folded letters from `at` to `end`."""
    last = i + size
    while i < last and at < end:
        character, width = decode(data, i)
        other, length = decode(letters, at)
        if np.int64(characters[character] & np.uint32(0xFFFFFF)) != other:
            return False
        at += length
        i += width
    return i == last and at == end


@kernel
def find_slots(records: Uint64, entries: int, slots: Uint32) -> None:
    """Put the entries of an encoder into an empty, larger hash table."""
    mask = np.uint64(slots.size - 1)
    for entry in range(entries):
        slot = (records[4 * entry] ^ (records[4 * entry + 1] * _SPREAD)) & mask
        while slots[slot] != 0:
            slot = (slot + np.uint64(1)) & mask
        slots[slot] = entry + 1


@kernel
def spell(codes: Value, hashes: Uint64, out: Uint64) -> None:
    """Write the hash of each word of a chunk, looked up by its code."""
    for j in range(codes.size):
        out[j] = hashes[codes[j]]


@kernel
def spell_rows(codes: Value, hashes: Uint64, offsets: Int64, rows: Int64, out: Uint64) -> None:
    """Write the hash of each word of some documents of a chunk, one document after another."""
    n = 0
    for row in rows:
        for j in range(offsets[row], offsets[row + 1]):
            out[n] = hashes[codes[j]]
            n += 1


@kernel
def place_words(
    codes: Value,
    sizes: Uint32,
    gaps: Uint8,
    offsets: Int64,
    wanted: Flags,
    starts: Uint32,
    ends: Uint32,
) -> Value:
    """Write where each word lies in its document; return whether the gaps fit the words.

    Args:
        codes: (words,), entry of each.
        sizes: (entries,), bytes of each entry in the text.
        gaps: (bytes,), see `LONG`.
        offsets: (documents + 1,), into the words.
        wanted: (documents,), those of which it is written.
        starts: (words,), filled.
        ends: (words,), filled.
    """
    at = 0
    for row in range(offsets.size - 1):
        place = np.int64(0)
        for j in range(offsets[row], offsets[row + 1]):
            if at >= gaps.size:
                return False
            gap = np.int64(gaps[at])
            at += 1
            if gap == LONG:
                if at + 4 > gaps.size:
                    return False
                gap = np.int64(0)
                for k in range(4):
                    gap |= np.int64(gaps[at + k]) << (8 * k)
                at += 4
            if wanted[row]:
                starts[j] = place + gap
                place += gap + np.int64(sizes[codes[j]])
                ends[j] = place
    return at == gaps.size


@kernel
def take_letters(order: Int64, ends: Int64, letters: Uint8) -> Uint8:
    """Return the letters of entries in another order.

    Args:
        order: (entries,), numbers of the entries.
        ends: (entries + 1,), cuts the letters as they are.
        letters: (bytes,), of all entries.
    """
    out = np.empty(letters.size, np.uint8)
    at = 0
    for entry in order:
        for k in range(ends[entry], ends[entry + 1]):
            out[at] = letters[k]
            at += 1
    return out[:at]


@kernel
def enter(hashes: Uint64, lengths: Uint32, letters: Uint8) -> tuple[Value, Uint32, Int64]:
    """Compare the letters of all entries of one hash.

    Returns the number of different hashes, or COLLISION; a hash table of these, (slots,), each the
    number of an entry and one, 0 for none; where the letters of each entry begin, (entries + 1,).

    Args:
        hashes: (entries,), of each.
        lengths: (entries,), bytes of each.
        letters: (bytes,), of all entries, one after another.
    """
    bits = 4
    while (1 << bits) < 2 * hashes.size:
        bits += 1
    slots, mask = np.zeros(1 << bits, np.uint32), np.uint64((1 << bits) - 1)
    begins = np.empty(hashes.size + 1, np.int64)
    begins[0] = 0
    different = 0
    for entry in range(hashes.size):
        begins[entry + 1] = begins[entry] + lengths[entry]
        slot = hashes[entry] & mask
        while True:
            other = np.int64(slots[slot]) - 1
            if other < 0:
                slots[slot] = entry + 1
                different += 1
                break
            if hashes[other] == hashes[entry]:
                if lengths[other] != lengths[entry]:
                    return np.int64(COLLISION), slots, begins
                for k in range(lengths[entry]):
                    if letters[begins[other] + k] != letters[begins[entry] + k]:
                        return np.int64(COLLISION), slots, begins
                break
            slot = (slot + np.uint64(1)) & mask
    return np.int64(different), slots, begins


@kernel
def agree(
    slots: Uint32,
    begins: Int64,
    hashes: Uint64,
    letters: Uint8,
    others: Uint64,
    lengths: Uint32,
    spelled: Uint8,
) -> tuple[Value, Flags]:
    """Tell whether other entries have the letters of those of their hash that were entered.

    Which of these there are is told too, (entries,), while all agree.

    Args:
        slots: the hash table of entries, as `enter` returns it.
        begins: (entries + 1,), cuts the letters of these.
        hashes: (entries,), of each.
        letters: (bytes,), of all of them.
        others: (others,), hash of each of the others.
        lengths: (others,), bytes of each.
        spelled: (bytes,), letters of the others, one after another.
    """
    mask, at = np.uint64(slots.size - 1), 0
    met = np.zeros(hashes.size, np.bool_)
    for entry in range(others.size):
        slot = others[entry] & mask
        while slots[slot] != 0:
            own = np.int64(slots[slot]) - 1
            if hashes[own] == others[entry]:
                if begins[own + 1] - begins[own] != lengths[entry]:
                    return False, met
                for k in range(lengths[entry]):
                    if letters[begins[own] + k] != spelled[at + k]:
                        return False, met
                met[own] = True
                break
            slot = (slot + np.uint64(1)) & mask
        at += lengths[entry]
    return True, met
