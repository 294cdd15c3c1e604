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

    They are the high and the low half of SplitMix64's first outputs from `seed`: the same for every
    NumPy and machine, and the first values do not depend on `count`.
    """
    outputs = [splitmix64(seed + k * _STEP) for k in range(count)]
    multipliers = np.array([(value >> 32) | 1 for value in outputs], np.uint32)
    return multipliers, np.array([value & 0xFFFFFFFF for value in outputs], np.uint32)


def signatures(offsets: Int64, shingle_hashes: Uint64, count: int, seed: int) -> Uint32:
    """Return the MinHash signature of each document, (documents, count).

    Repeats and order of a document's shingles do not matter; a document without shingles has EMPTY
    in every value.

    Args:
        offsets: (documents + 1,), document i owns the shingles from offsets[i] to offsets[i + 1].
        shingle_hashes: (shingles,), of all documents.
        count: values in a signature.
        seed: chooses the permutations.
    """
    multipliers, addends = lanes(count, seed)
    out = np.empty((offsets.size - 1, count), np.uint32)
    _minimums(offsets, shingle_hashes, multipliers, addends, out)
    return out


def lanes(count: int, seed: int) -> tuple[Uint32, Uint32]:
    """Return the permutations, padded to whole vectors by repeating the first ones."""
    padded = -(-count // _LANES) * _LANES
    multipliers, addends = permutations(count, seed)
    return np.resize(multipliers, padded), np.resize(addends, padded)


class Shingler(NamedTuple):
    """The working arrays of the signature loop, and its state between two pieces of a document.

    Attributes:
        keys: hash keys of runs of 0 to `size` words.
        drop: BASE^size, the weight of the word that leaves a run.
        multipliers: of the permutations.
        addends: of the permutations.
        state: words of the document, at most size - 1, that stand before the piece; its shingles so
            far.
        least: minimum of each permutation over the document's shingles so far.
        halves: room for the high halves of the shingle hashes of a piece.
    """

    keys: Uint64  # (size + 1,)
    drop: np.uint64
    multipliers: Uint32  # (lanes,)
    addends: Uint32  # (lanes,)
    state: Int64  # (2,)
    least: Uint32  # (lanes,)
    halves: Uint32  # (words of a piece,)


def shingler(size: int, count: int, seed: int, room: int) -> Shingler:
    """Return fresh working arrays for a signature loop over pieces of at most `room` words."""
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
    """Write the signatures of the documents that end in a piece; return how many have one.

    Args:
        hashes: (words,), of the words of the piece.
        rows: the first row, the row after the last, whether the last is whole.
        bounds: (rows + 1,), row r owns the words from bounds[r] to bounds[r + 1].
        s: the working arrays, changed in place.
        few: (rows,), few[r] becomes the only shingle of a document of fewer words than a shingle
            has.
        out: (signatures, values), filled from the top.
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
    """Return the 64-bit key of each band of each signature, (documents, bands).

    A band is `rows` consecutive values, and its number is mixed into its key. Documents without
    shingles all share their keys, so they must be left out before keys are compared.
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
    """Return the probability that a pair of this Jaccard shares a band: 1 - (1 - s^rows)^bands.

    Source: Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, section 3.4.2.
    """
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
    """Lower the running minimums of each permutation by the shingles from `first` to `last`.

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
    """Write the key of each band of each signature."""
    for i in range(out.shape[0]):
        for band in range(out.shape[1]):
            key = starts[band]
            for k in range(band * rows, (band + 1) * rows):
                key = (key ^ np.uint64(signatures[i, k])) * _BAND1
                key = (key ^ (key >> np.uint64(33))) * _BAND2
                key ^= key >> np.uint64(29)
            out[i, band] = key
