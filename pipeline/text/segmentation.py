"""Words, shingles and windows of texts, straight over Arrow's string buffers.

The definition of a word: fold each character by itself to lower case, where that is one character
(Unicode 14.0), then take maximal runs of letters, marks, numbers and connectors; a Han, Kana or
Bopomofo character is a word by itself. Nothing here makes a Python object per word or per row, and
the loops (`pipeline.text.segmentation_kernels`) release the interpreter lock. All are *map* stages:
a document's words depend on its own bytes only, so that any batching and any slice give the same
rows.

Hashes are 64-bit and keyed by a seed; the expected number of equal hashes among n different words,
shingles or windows is n^2 / 2^65. What must be exact compares words, whose hashes are held against
their letters (`pipeline.scan.words`). Results may be views of larger, mostly untouched allocations:
keep what is needed, drop the rest with the batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.errors import InputError
from pipeline.text import segmentation_kernels as kernels
from pipeline.text import unicode14
from pipeline.text.arrays import Int64, Uint8, Uint32, Uint64
from pipeline.text.hashing import splitmix64

_TEXT = pa.large_string()


@dataclass(frozen=True)
class Words:
    """The words of a batch of n documents: document i owns words offsets[i] to offsets[i + 1].

    hashes: keyed hash of each folded word. starts, ends: its first byte and the one past its last,
    counted in the UTF-8 text of its own document.
    """

    offsets: Int64
    hashes: Uint64
    starts: Uint32
    ends: Uint32


def valid_utf8(array: pa.Array) -> npt.NDArray[np.bool_]:
    """Return per row whether its bytes are UTF-8: no surrogates, no overlong forms, up to U+10FFFF.

    Accepts binary and string types of any width, since Arrow's readers do not check string columns.
    Null rows are False. Costs Arrow's own check when all is valid, one more pass otherwise.
    """
    binary = array.cast(pa.large_binary())
    present: npt.NDArray[np.bool_] = binary.is_valid().to_numpy(zero_copy_only=False)
    try:
        binary.cast(_TEXT)
    except pa.ArrowInvalid:
        offsets, data = _buffers(binary)
        valid: npt.NDArray[np.bool_] = present & kernels.valid_rows(data, offsets)
        return valid
    return present


def words(texts: pa.LargeStringArray, seed: int) -> Words:
    """Return the words of each text, in order, with their keyed hashes and byte positions.

    Texts are valid UTF-8 without nulls, shorter than 4 GiB each (InputError otherwise).
    """
    offsets, data = text_buffers(texts)
    # A word takes a byte and one after it, unless it ends the text or stands alone: then 3 bytes.
    sink = word_sink(int(((np.diff(offsets) + 1) // 2).sum()) + 1, seed)
    out, place = np.zeros(offsets.size, np.int64), np.zeros(3, np.int64)
    count = kernels.scan_words(data, offsets, place, sink, out)
    return Words(out, sink.hashes[:count], sink.starts[:count], sink.ends[:count])


def word_sink(most: int, seed: int) -> kernels.WordSink:
    """Return room for `most` words, to be filled by `kernels.scan_words`."""
    room = most + kernels.ROOM
    return kernels.WordSink(
        unicode14.characters(),
        run_key(seed, 0),
        np.empty(room, np.uint64),
        np.empty(room, np.uint32),
        np.empty(room, np.uint32),
    )


def take(words: Words, documents: Int64) -> Words:
    """Return the word hashes of some documents, in that order; positions are left out."""
    lengths = words.offsets[documents + 1] - words.offsets[documents]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    hashes = np.empty(int(offsets[-1]), np.uint64)
    kernels.take_rows(words.offsets, words.hashes, documents, offsets, hashes)
    none = np.zeros(0, np.uint32)
    return Words(offsets, hashes, none, none)


def runs(words: Words, size: int, seed: int) -> tuple[Int64, Uint64]:
    """Return offsets and the hash of every `size` consecutive words of each document, in order.

    A document of fewer words has none; documents never run into one another.
    """
    lengths = np.diff(words.offsets)
    return _roll(words, size, seed, np.maximum(lengths - (size - 1), 0))


def shingles(words: Words, size: int, seed: int) -> tuple[Int64, Uint64]:
    """Return offsets and the shingle hashes of each document, in order and with repeats.

    As `runs`, but a document of 1 to size - 1 words has one shingle, all its words; the hash
    depends on their number.
    """
    lengths = np.diff(words.offsets)
    return _roll(words, size, seed, np.maximum(lengths - (size - 1), np.minimum(lengths, 1)))


def _roll(words: Words, size: int, seed: int, counts: Int64) -> tuple[Int64, Uint64]:
    offsets = np.zeros(counts.size + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    hashes = np.empty(int(offsets[-1]), np.uint64)
    keys = np.array([run_key(seed, length) for length in range(size + 1)], np.uint64)
    drop = np.uint64(pow(kernels.BASE, size, 2**64))
    kernels.roll_rows(words.offsets, words.hashes, keys, drop, offsets, hashes)
    return offsets, hashes


def run_key(seed: int, size: int) -> np.uint64:
    """Return the key of word hashes (size 0) or of runs of `size` words."""
    return np.uint64(splitmix64(splitmix64(seed) ^ size))


def text_buffers(texts: pa.LargeStringArray) -> tuple[Int64, Uint8]:
    """Return the offsets and the bytes of texts, each shorter than 4 GiB (InputError otherwise)."""
    offsets, data = _buffers(texts)
    longest, most = int(np.diff(offsets).max(initial=0)), 2**32
    if longest >= most:
        raise InputError(
            "A document is too long.",
            found=f"{longest} bytes",
            expected=f"less than {most} bytes of text in one row",
            fix="split it into several rows",
        )
    return offsets, data


def _buffers(array: pa.Array) -> tuple[Int64, Uint8]:
    """Return the 64-bit offsets of a large string or binary array and the bytes they point into."""
    _, places, data = array.buffers()
    if places is None or not len(array):
        return np.zeros(1, np.int64), np.zeros(0, np.uint8)
    offsets = np.frombuffer(places, np.int64, len(array) + 1, array.offset * 8)
    return offsets, np.zeros(0, np.uint8) if data is None else np.frombuffer(data, np.uint8)
