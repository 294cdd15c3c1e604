"""Words, shingles and windows of texts, read from Arrow's string buffers.

The definition of a word: fold each character by itself to lower case, where that is one character
(Unicode 14.0), then take maximal runs of letters, marks, numbers and connectors; a Han, Kana or
Bopomofo character is a word by itself. Nothing here makes a Python object per word or per row, and
the loops (`pipeline.text.segmentation_kernels`) release the interpreter lock. A document's words
depend on its own bytes only, so any batching and any slice give the same rows.

Hashes are 64-bit and keyed by a seed; the expected number of equal hashes among n different words,
shingles or windows is n^2 / 2^65. What must be exact compares words, whose hashes are held against
their letters (`pipeline.scan.words`). Results may be views of larger, mostly untouched allocations:
keep what is needed, drop the rest with the batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    """The words of a batch of documents, one after another.

    Attributes:
        offsets: document i owns the words from offsets[i] to offsets[i + 1].
        hashes: keyed hash of each folded word.
        starts: first byte of each word in the UTF-8 text of its own document.
        ends: the byte after the last of each word, counted likewise.
    """

    offsets: Int64  # (documents + 1,)
    hashes: Uint64  # (words,)
    starts: Uint32  # (words,)
    ends: Uint32  # (words,)


def valid_utf8(array: pa.Array) -> npt.NDArray[np.bool_]:
    """Return for each row whether its bytes are well-formed UTF-8; a null row is not.

    Well-formed: no surrogates, no overlong forms, nothing above U+10FFFF. Binary and string types
    of any width are accepted, because Arrow's readers do not check string columns. Costs Arrow's
    own check when all is valid, one more pass otherwise.
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

    The texts must be valid UTF-8 without nulls.

    Raises:
        InputError: When a text has 4 GiB or more.
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
    """Return the word hashes of some documents, in the order asked for; positions are left out."""
    lengths = words.offsets[documents + 1] - words.offsets[documents]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    hashes = np.empty(int(offsets[-1]), np.uint64)
    kernels.take_rows(words.offsets, words.hashes, documents, offsets, hashes)
    none = np.zeros(0, np.uint32)
    return Words(offsets, hashes, none, none)


def runs(words: Words, size: int, seed: int) -> tuple[Int64, Uint64]:
    """Return the offsets and the hashes of all runs of `size` words of each document, in order.

    Offsets are (documents + 1,), hashes (runs,). A document of fewer words has no run; no run goes
    over the end of a document.
    """
    lengths = np.diff(words.offsets)
    return _roll(words, size, seed, np.maximum(lengths - (size - 1), 0))


def shingles(words: Words, size: int, seed: int) -> tuple[Int64, Uint64]:
    """Return the offsets and the hashes of the shingles of each document, in order, with repeats.

    As `runs`, but a document of 1 to size - 1 words has one shingle, all its words; the hash
    depends on their number.
    """
    lengths = np.diff(words.offsets)
    return _roll(words, size, seed, np.maximum(lengths - (size - 1), np.minimum(lengths, 1)))


def _roll(words: Words, size: int, seed: int, counts: Int64) -> tuple[Int64, Uint64]:
    """Return offsets and hashes of the runs of each document; `counts` says how many it has."""
    offsets = np.zeros(counts.size + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    hashes = np.empty(int(offsets[-1]), np.uint64)
    keys = np.array([run_key(seed, length) for length in range(size + 1)], np.uint64)
    kernels.roll_rows(words.offsets, words.hashes, keys, weight(size), offsets, hashes)
    return offsets, hashes


def run_key(seed: int, size: int) -> np.uint64:
    """Return the hash key of single words (size 0) or of runs of `size` words."""
    return np.uint64(splitmix64(splitmix64(seed) ^ size))


def weight(size: int) -> np.uint64:
    """Return what the word that leaves a run of `size` words counts in the hash of the next."""
    return np.uint64(pow(kernels.BASE, size, 2**64))


def text_buffers(texts: pa.LargeStringArray) -> tuple[Int64, Uint8]:
    """Return the offsets (texts + 1,) and the bytes of some texts, without a copy.

    Raises:
        InputError: When a text has 4 GiB or more.
    """
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


def are_compiled(first: Any = None) -> bool:  # noqa: ANN401 - a loop of Numba's
    """Tell whether loops were compiled and kept since this version was installed here.

    Args:
        first: the first of them; None for those that every scan needs.
    """
    loop = first or kernels.scan_words
    module = loop.__module__.rpartition(".")[2]
    return any(Path(loop.stats.cache_path).glob(f"{module}.{loop.__name__}-*.nbi"))
