"""The compiled loops behind `pipeline.text.segmentation`: words, rolling hashes, UTF-8.

Flat arrays in, flat arrays out; nothing is checked here, `pipeline.text.segmentation` does. All
release the interpreter lock and none starts threads. Above the usual file length because the loops
share the hash and the decoder, and Numba's cache notices a changed function only in its own file.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from pipeline.text.arrays import Int64, Uint8, Uint32, Uint64, Value

# Base of the rolling hash. Odd, so that no word's weight is lost, and 3 mod 8: then v2(B^k - 1),
# the number of factors 2 in it, is 1 for odd k and 2 + v2(k) for even k, the least possible.
# Exchanging two words k apart changes the sum by a multiple of B^k - 1, so that at most 2 + log2(k)
# of its 64 bits are lost; with B = 1 mod 2^32 it would be half of them. (Thue-Morse arrangements of
# two words lose more, 19 bits in 32 words; texts do not hold them.)
BASE = 0xA0761D6478BD642B

ROOM = 128  # places of a sink that one step of the word loop may need
_BLOCK = 64  # bytes classified at once
_REACH = _BLOCK + 8  # bytes read from a block's first: a word's last 8 may begin at its end
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
LOWER = np.uint64(0x2020202020202020)
_MIX1 = np.uint64(0x9E3779B97F4A7C15)  # odd: 2^64 / golden ratio
_MIX2 = np.uint64(0xD6E8FEB86659FD93)  # odd: multiplier of Pelle Evensen's rrmxmx
_MUR1 = np.uint64(0xFF51AFD7ED558CCD)  # the multipliers of MurmurHash3's 64-bit finalizer
_MUR2 = np.uint64(0xC4CEB9FE1A85EC53)

kernel: Any = njit(nogil=True, cache=True)
# Inlined by Numba itself: across a call it counts references to every array of a sink, which halves
# the speed of the word loop (950 -> 520 MB/s).
inline: Any = njit(nogil=True, cache=True, inline="always")
_machine: Any = intrinsic


class WordSink(NamedTuple):
    """What the word loops look up, and the arrays that they write words to.

    Attributes:
        table: folded character and word class of each code point, see `unicode14.characters`.
        key: hash key of single words.
        hashes: of each word.
        starts: first byte of each word in its document.
        ends: the byte after the last of each word in its document.
    """

    table: Uint32  # (code points,)
    key: np.uint64
    hashes: Uint64  # (room,)
    starts: Uint32  # (room,)
    ends: Uint32  # (room,)


def _load(context: Value, builder: Value, array: Value, place: Value, kind: Value) -> Value:
    """Return the LLVM load of a machine value of any width from a place of an array, unaligned."""
    data = cgutils.create_struct_proxy(array[0])(context, builder, array[1]).data  # type: ignore[no-untyped-call, unused-ignore]
    load = builder.load(builder.bitcast(builder.gep(data, [place]), kind.as_pointer()))
    load.align = 1
    return load


@_machine
def _lowest(_context: Value, _word: Value) -> Value:
    """Return the place of the lowest set bit of a 64-bit number, 64 when it has none."""

    def build(_target: Value, builder: Value, _signature: Value, args: Value) -> Value:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), build


@_machine
def load8(_context: Value, array: Value, _index: Value) -> Value:
    """Return 8 bytes of an array from an index on, the first one lowest.

    The caller keeps within the array.
    """

    def build(context: Value, builder: Value, signature: Value, args: Value) -> Value:
        where = (signature.args[0], args[0])
        return _load(context, builder, where, args[1], ir.IntType(64))

    return types.uint64(array, types.int64), build


@_machine
def _classify(_context: Value, array: Value, _index: Value) -> Value:
    """Return two bits for each of 64 bytes: it is an ASCII word character; it is not ASCII.

    As LLVM vectors, since no loop is turned into the two or three instructions that collect bits.
    """

    def build(context: Value, builder: Value, signature: Value, args: Value) -> Value:
        kind, bits = ir.VectorType(ir.IntType(8), _BLOCK), ir.IntType(_BLOCK)

        def every(value: int) -> Value:
            return ir.Constant(kind, [value] * _BLOCK)

        block = _load(context, builder, (signature.args[0], args[0]), args[1], kind)
        lower = builder.or_(block, every(0x20))
        letter = builder.icmp_unsigned("<", builder.sub(lower, every(ord("a"))), every(26))
        digit = builder.icmp_unsigned("<", builder.sub(block, every(ord("0"))), every(10))
        joint = builder.icmp_unsigned("==", block, every(ord("_")))
        word = builder.or_(builder.or_(letter, digit), joint)
        high = builder.icmp_signed("<", block, every(0))
        masks = [builder.bitcast(word, bits), builder.bitcast(high, bits)]
        return context.make_tuple(builder, signature.return_type, masks)

    pair: Any = types.UniTuple
    return pair(types.uint64, 2)(array, types.int64), build


# The hash of a word is taken over its folded characters as bytes, 8 at a time, the last piece
# filled up with zeros. A character below 128 is one byte, with bit 5 set: that lowers letters,
# leaves digits, and moves "_" to 127, which is in no word. Any other is three bytes of 7 bits each
# with bit 7 set. So different words have different pieces, and words of one piece different hashes.
@inline
def _mix(state: Value, piece: Value) -> Value:
    """Return the hash state of a word after 8 more of its bytes."""
    state ^= piece * _MIX1
    return ((state << np.uint64(29)) | (state >> np.uint64(35))) * _MIX2


@inline
def finish(state: Value) -> Value:
    """Return a hash whose every bit depends on the whole state.

    Different states have different hashes. Source: the 64-bit finalizer of MurmurHash3.
    """
    state = (state ^ (state >> np.uint64(33))) * _MUR1
    state = (state ^ (state >> np.uint64(33))) * _MUR2
    return state ^ (state >> np.uint64(33))


@inline
def _below(bit: Value) -> Value:
    """Return the mask of all bits below one."""
    return (np.uint64(1) << np.uint64(bit)) - np.uint64(1)


@inline
def decode(data: Uint8, i: Value) -> Value:
    """Return the code point at a byte of valid UTF-8, and its length in bytes."""
    b = np.int64(data[i])
    if b < 0x80:
        return b, 1
    if b < 0xE0:
        return ((b & 0x1F) << 6) | (data[i + 1] & 0x3F), 2
    if b < 0xF0:
        return ((b & 0x0F) << 12) | ((data[i + 1] & 0x3F) << 6) | (data[i + 2] & 0x3F), 3
    high = ((b & 0x07) << 18) | ((data[i + 1] & 0x3F) << 12)
    return high | ((data[i + 2] & 0x3F) << 6) | (data[i + 3] & 0x3F), 4


@inline
def _put(sink: WordSink, n: Value, base: Value, start: Value, end: Value) -> Value:
    """Write where a word starts and ends in its document; return the number of words then."""
    sink.starts[n] = start - base
    sink.ends[n] = end - base
    return n + 1


@kernel
def scan_words(data: Uint8, offsets: Int64, place: Int64, sink: WordSink, out: Int64) -> Value:
    """Write words from a place in the texts on until all are written or the sink is nearly full.

    Returns the place after the last word in the sink; `place` then tells where to go on.

    Args:
        data: (bytes,), of all texts.
        offsets: (texts + 1,), into the bytes.
        place: row, byte, and the place in the sink to begin at; the first two are changed.
        sink: filled with words.
        out: (texts + 1,), out[row + 1] becomes where the words of a row end so far.
    """
    n, room = place[2], sink.hashes.size - ROOM
    row, i = place[0], place[1]
    while row < offsets.size - 1:
        base, end = offsets[row], offsets[row + 1]
        i = max(i, base)
        while i < end and n < room:
            limit = end
            if i + _REACH <= data.size:
                i, limit, n = _scan_ascii(data, i, (base, end), n, sink)
            if i < limit:
                i, n = _scan_any(data, i, limit, (base, end), n, sink)
        out[row + 1] = n
        if i < end:
            break
        row += 1
        if n >= room:
            break
    place[0], place[1] = row, i
    return n


@kernel
def _scan_ascii(data: Uint8, i: Value, span: Value, n: Value, sink: WordSink) -> Value:
    """Write the words that end in the ASCII at the head of a block of 64 bytes.

    `i` is not inside a word. Returns where to go on, up to where `_scan_any` must take over (0: not
    at all), and the count.
    """
    base, end = span
    bits, high = _classify(data, i)
    stop = min(np.int64(_BLOCK), end - i)
    if stop < _BLOCK:
        bits, high = bits & _below(stop), high & _below(stop)
    if high:
        stop = np.int64(_lowest(high))
        bits &= _below(stop)
    final = high == 0 and i + stop == end
    while bits:
        first = _lowest(bits)
        length = np.int64(_lowest(~(bits >> first)))
        start = i + np.int64(first)
        if start + length == i + stop and not final:  # it may go on: take it again, whole
            return start, np.int64(0) if first and not high else i + stop + 1, n
        bits &= bits + (bits & (~bits + np.uint64(1)))  # clears the lowest run of ones
        sink.hashes[n] = _hash_ascii(data, start, length, sink.key)
        n = _put(sink, n, base, start, start + length)
    if not high:
        return i + stop, np.int64(0), n
    # A block that begins with other characters goes on with them: not one block for each of those.
    return i + stop, i + stop + (1 if stop > 8 else _BLOCK // 2), n


@inline
def _hash_ascii(data: Uint8, place: Value, length: Value, state: Value) -> Value:
    """Return the hash of an ASCII word, its letters lowered."""
    while length > 8:
        state = _mix(state, load8(data, place) | LOWER)
        place += 8
        length -= 8
    piece = (load8(data, place) | LOWER) & (_ALL >> np.uint64(64 - 8 * length))
    return finish(_mix(state, piece))


@inline
def _token(character: Value) -> Value:
    """Return the bytes that a folded character is hashed as, and how many they are."""
    token = np.uint64(character)
    if token < 0x80:
        return token | np.uint64(0x20), 1
    low, middle = token & np.uint64(0x7F), (token << np.uint64(1)) & np.uint64(0x7F00)
    return low | middle | ((token << np.uint64(2)) & np.uint64(0x7F0000)) | np.uint64(0x808080), 3


@kernel
def _scan_any(data: Uint8, i: Value, limit: Value, span: Value, n: Value, sink: WordSink) -> Value:
    """Write words character by character, up to the first place outside a word from `limit` on."""
    base, end = span
    state, piece, held, start = sink.key, np.uint64(0), 0, np.int64(-1)
    while i < end and (i < limit or start >= 0):
        character, width = decode(data, i)
        entry = sink.table[character]
        kind = entry >> np.uint32(24)
        if start >= 0 and kind != 1:
            sink.hashes[n] = finish(_mix(state, piece))
            n = _put(sink, n, base, start, i)
            start = np.int64(-1)
        if kind == 1:
            if start < 0:
                state, piece, held, start = sink.key, np.uint64(0), 0, i
            token, size = _token(entry & np.uint32(0xFFFFFF))
            if held < 8:
                piece |= token << np.uint64(8 * held)
            if held + size > 8:
                state = _mix(state, piece)
                piece = token >> np.uint64(64 - 8 * held)
                held -= 8
            held += size
        elif kind == 2:
            token, size = _token(entry & np.uint32(0xFFFFFF))
            sink.hashes[n] = finish(_mix(sink.key, token))
            n = _put(sink, n, base, i, i + width)
        i += width
    if start >= 0:
        sink.hashes[n] = finish(_mix(state, piece))
        n = _put(sink, n, base, start, i)
    return i, n


@kernel
def roll_rows(
    offsets: Int64, hashes: Uint64, keys: Uint64, drop: Value, out_offsets: Int64, out: Uint64
) -> None:
    """Write the hash of each run of words of each document.

    The hash of a run is sum(w[j] * BASE^(size - 1 - j)) mod 2^64, kept up in O(1) a word, finished
    with the key of its length (Karp and Rabin 1987). Where a document has fewer words and room for
    one run, that of all its words is written.

    Args:
        offsets: (documents + 1,), into the words.
        hashes: (words,), of single words.
        keys: (size + 1,), of runs of 0 to size words.
        drop: BASE^size, the weight of the word that leaves a run.
        out_offsets: (documents + 1,), into the runs.
        out: (runs,), filled.
    """
    base, size = np.uint64(BASE), keys.size - 1
    for row in range(offsets.size - 1):
        first, last = offsets[row], offsets[row + 1]
        place = out_offsets[row]
        if out_offsets[row + 1] == place:
            continue
        length = min(size, last - first)
        key = keys[length]
        total = np.uint64(0)
        for j in range(first, first + length):
            total = total * base + hashes[j]
        out[place] = finish(total ^ key)
        for j in range(first + length, last):
            place += 1
            total = total * base + (hashes[j] - hashes[j - size] * drop)
            out[place] = finish(total ^ key)


@kernel
def take_rows(offsets: Int64, values: Uint64, rows: Int64, out_offsets: Int64, out: Uint64) -> None:
    """Copy the values of some rows one after another.

    Args:
        offsets: (all rows + 1,), into the values.
        values: of all rows.
        rows: numbers of those wanted.
        out_offsets: (rows + 1,), into `out`.
        out: filled.
    """
    for k in range(rows.size):
        first = offsets[rows[k]]
        for j in range(out_offsets[k + 1] - out_offsets[k]):
            out[out_offsets[k] + j] = values[first + j]


@inline
def encode(c: Value, out: Uint8, at: Value) -> Value:
    """Write a code point in UTF-8; return the place after it."""
    if c < 0x80:
        out[at] = c
        return at + 1
    size = 2 if c < 0x800 else 3 if c < 0x10000 else 4
    for k in range(size - 1, 0, -1):
        out[at + k] = 0x80 | (c & 0x3F)
        c >>= 6
    out[at] = c | (0xF0 if size == 4 else 0xE0 if size == 3 else 0xC0)
    return at + size


@kernel
def valid_rows(data: Uint8, offsets: Int64) -> Value:
    """Return for each row whether it is UTF-8, (rows,).

    Source: the Unicode Standard, table 3-7 of well-formed byte sequences.
    """
    valid = np.ones(offsets.size - 1, np.bool_)
    for row in range(offsets.size - 1):
        i, end = offsets[row], offsets[row + 1]
        while i < end:
            if data[i] < 0x80:
                i += 1
                continue
            more, low, high = _follow(data[i])
            good = more > 0 and i + more < end and low <= data[i + 1] <= high
            for k in range(2, more + 1):
                good = good and 0x80 <= data[i + k] <= 0xBF
            if not good:
                valid[row] = False
                break
            i += more + 1
    return valid


@inline
def _follow(b: Value) -> Value:
    """Return how many bytes follow a lead byte (0: it leads nothing) and the range of the first."""
    if 0xC2 <= b <= 0xDF:
        return 1, 0x80, 0xBF
    if 0xE0 <= b <= 0xEF:
        return 2, 0xA0 if b == 0xE0 else 0x80, 0x9F if b == 0xED else 0xBF
    if 0xF0 <= b <= 0xF4:
        return 3, 0x90 if b == 0xF0 else 0x80, 0x8F if b == 0xF4 else 0xBF
    return 0, 0, 0
