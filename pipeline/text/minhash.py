"""MinHash signatures of shingle hashes, and the keys of their bands.

A signature value is the minimum over a document's shingles of a*x + b mod 2^32, where x is the high
half of the 64-bit shingle hash and a is odd, so that each of the maps is a permutation. This is
datasketch's scheme "affine32" with other constants and without its pre-mix of x, which the shingle
hash has had; `pipeline.scan.interchange` makes datasketch's objects of signatures. Two signatures
agree in a value with a probability of very nearly the Jaccard of the two shingle sets (Broder
1997); affine maps are not exactly min-wise independent, but x is already random, and the test of
the estimate over planted pairs finds no bias. Signatures only propose candidates: nothing is
removed by them.
"""

from __future__ import annotations

from typing import NamedTuple, overload

import numpy as np
from numba import njit

from pipeline.text.arrays import Float64, Int64, Uint32, Uint64
from pipeline.text.hashing import splitmix64
from pipeline.text.segmentation import run_key
from pipeline.text.segmentation_kernels import BASE, finish

EMPTY = 0xFFFFFFFF  # every value of a document without shingles
_STEP = 0x9E3779B97F4A7C15  # SplitMix64's increment
_LANES = 64  # permutations are padded to a multiple, so that vector code has no remainder
_BAND1 = np.uint64(0xFF51AFD7ED558CCD)  # MurmurHash3's 64-bit finalizer
_BAND2 = np.uint64(0xC4CEB9FE1A85EC53)


def permutations(count: int, seed: int) -> tuple[Uint32, Uint32]:
    """Return the odd multipliers and the addends of `count` permutations of 32-bit numbers.

    The high and the low half of SplitMix64's first outputs from `seed`: the same for every NumPy
    and machine, and the first values do not depend on `count`.
    """
    outputs = [splitmix64(seed + k * _STEP) for k in range(count)]
    multipliers = np.array([(value >> 32) | 1 for value in outputs], np.uint32)
    return multipliers, np.array([value & 0xFFFFFFFF for value in outputs], np.uint32)


def signatures(offsets: Int64, shingle_hashes: Uint64, count: int, seed: int) -> Uint32:
    """Return the signature of each document, n x count; all EMPTY for documents without shingles.

    Document i owns shingle hashes offsets[i] to offsets[i + 1]; repeats and order do not matter.
    """
    multipliers, addends = lanes(count, seed)
    out = np.empty((offsets.size - 1, count), np.uint32)
    _minimums(offsets, shingle_hashes, multipliers, addends, out)
    return out


def lanes(count: int, seed: int) -> tuple[Uint32, Uint32]:
    """Return the permutations with the first ones repeated up to a whole number of vectors."""
    padded = -(-count // _LANES) * _LANES
    multipliers, addends = permutations(count, seed)
    return np.resize(multipliers, padded), np.resize(addends, padded)


class Shingler(NamedTuple):
    """What the shingle loop uses, and what it knows of a document that is cut between two pieces.

    keys: of runs of 0 to `size` words. drop: B^size. state: words of the document, at most
    size - 1, that stand before the piece; its shingles so far. least: its minimums so far.
    """

    keys: Uint64
    drop: np.uint64
    multipliers: Uint32
    addends: Uint32
    state: Int64
    least: Uint32
    halves: Uint32


def shingler(size: int, count: int, seed: int, room: int) -> Shingler:
    """Return the state of a signature loop over pieces of at most `room` words."""
    keys = np.array([run_key(seed, length) for length in range(size + 1)], np.uint64)
    multipliers, addends = lanes(count, seed)
    return Shingler(
        keys,
        np.uint64(pow(BASE, size, 2**64)),
        multipliers,
        addends,
        np.zeros(2, np.int64),
        np.full(multipliers.size, EMPTY, np.uint32),
        np.empty(room, np.uint32),
    )


@njit(nogil=True, cache=True)
def sketch_piece(
    hashes: Uint64, rows: Int64, bounds: Int64, s: Shingler, few: Uint64, out: Uint32
) -> int:
    """Write the signatures of the documents that end in a piece, return how many have one.

    rows, bounds: see `pipeline.scan.signatures`. few[r]: the only shingle of a document of fewer
    words than a shingle has, which gets no signature.
    """
    base, size, made = np.uint64(BASE), s.keys.size - 1, 0
    begin = bounds[rows[0]] - s.state[0]
    for row in range(rows[0], rows[1]):
        last = bounds[row + 1]
        length = last - begin
        if length >= size:
            total = np.uint64(0)
            for j in range(begin, begin + size - 1):
                total = total * base + hashes[j]
            for j in range(begin + size - 1, last):
                total = total * base + hashes[j]
                if j >= begin + size:
                    total -= hashes[j - size] * s.drop
                s.halves[j - begin - size + 1] = finish(total ^ s.keys[size]) >> np.uint64(32)
            _lower(s.halves, 0, length - size + 1, s.multipliers, s.addends, s.least)
            s.state[1] += length - size + 1
        if row + 1 < rows[1] or rows[2] == 1:
            if s.state[1] > 0:
                out[made] = s.least[: out.shape[1]]
                made += 1
            elif length > 0:
                total = np.uint64(0)
                for j in range(begin, last):
                    total = total * base + hashes[j]
                few[row] = finish(total ^ s.keys[length])
            s.least[:] = EMPTY
            s.state[1] = 0
            s.state[0] = 0
        else:
            s.state[0] = min(length, size - 1)
        begin = last
    return made


def band_keys(signatures: Uint32, bands: int, rows: int) -> Uint64:
    """Return the 64-bit key of each band of `rows` values, n x bands, its number mixed in.

    Documents without shingles all share their keys, so they must be left out before keys are
    compared.
    """
    out = np.empty((signatures.shape[0], bands), np.uint64)
    starts = np.array([splitmix64(band) for band in range(bands)], np.uint64)
    _keys(signatures, rows, starts, out)
    return out


@overload
def s_curve(similarity: float, bands: int, rows: int) -> float: ...
@overload
def s_curve(similarity: Float64, bands: int, rows: int) -> Float64: ...
def s_curve(similarity: float | Float64, bands: int, rows: int) -> float | Float64:
    """Return the probability that a pair of this Jaccard shares a band: 1 - (1 - s^rows)^bands."""
    return 1.0 - (1.0 - similarity**rows) ** bands


@njit(nogil=True, cache=True)
def _minimums(
    offsets: Int64, hashes: Uint64, multipliers: Uint32, addends: Uint32, out: Uint32
) -> None:
    """Write the minimum of each permutation over each document's shingles."""
    least = np.empty(multipliers.size, np.uint32)
    halves = (hashes >> np.uint64(32)).astype(np.uint32)
    for row in range(offsets.size - 1):
        least[:] = EMPTY
        _lower(halves, offsets[row], offsets[row + 1], multipliers, addends, least)
        for k in range(out.shape[1]):
            out[row, k] = least[k]


@njit(nogil=True, cache=True)
def _lower(
    halves: Uint32, first: int, last: int, multipliers: Uint32, addends: Uint32, least: Uint32
) -> None:
    """Lower the running minimums by shingles first to last.

    Two shingles a round halve the traffic to the minimums; the arithmetic stays in 32-bit lanes.
    """
    for j in range(first, last - 1, 2):
        x, y = halves[j], halves[j + 1]
        for k in range(least.size):
            v = np.uint32(multipliers[k] * x + addends[k])
            w = np.uint32(multipliers[k] * y + addends[k])
            least[k] = min(least[k], min(v, w))
    if (last - first) % 2:
        x = halves[last - 1]
        for k in range(least.size):
            least[k] = min(least[k], np.uint32(multipliers[k] * x + addends[k]))


@njit(nogil=True, cache=True)
def _keys(signatures: Uint32, rows: int, starts: Uint64, out: Uint64) -> None:
    for i in range(out.shape[0]):
        for band in range(out.shape[1]):
            key = starts[band]
            for k in range(band * rows, (band + 1) * rows):
                key = (key ^ np.uint64(signatures[i, k])) * _BAND1
                key = (key ^ (key >> np.uint64(33))) * _BAND2
                key ^= key >> np.uint64(29)
            out[i, band] = key
