"""The table `words`: every word of the corpus, so that no later stage needs the text.

A chunk is a run of whole documents of a group of shards. It holds a vocabulary (hash and folded
letters of each different word) and, per word, its place in that and the gap before it: about 3.3
bytes a word, half a byte per byte of text. Where a chunk ends depends on the words alone, never on
batches. A hash is held against the letters whenever a word is looked up, so within a chunk equal
hashes are equal words; `pipeline.scan.vocabulary` shows the same across all chunks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from pipeline.engine.tables import TableWriter, groups_of, read_group
from pipeline.errors import IntegrityError
from pipeline.scan import word_kernels
from pipeline.scan.word_kernels import (
    COLLISION,
    ENTRIES,
    GAPS,
    LETTERS,
    PADDING,
    PREVIOUS,
    ROW,
    WORDS,
)
from pipeline.text import unicode14
from pipeline.text.arrays import Flags, Int64, Uint8, Uint32, Uint64
from pipeline.text.segmentation import Words
from pipeline.text.segmentation_kernels import WordSink

FULL = np.array([1 << 20, 57_344], np.int64)  # words, entries: then 16 bits do for a code
SMALL_CODES = 1 << 16
ChunkPlace: TypeAlias = tuple[Path, int]


@dataclass(frozen=True)
class Chunk:
    """Some documents and their words; what was not asked for is empty.

    Attributes:
        keys: row_key of each document, ascending.
        words: the words of each.
    """

    keys: Uint64  # (documents,)
    words: Words


class WordWriter:
    """A writer of rows of `words`, which takes words piece by piece.

    `finish` writes what is left.
    """

    def __init__(self, out: TableWriter, seed: int) -> None:
        self._out = out
        self._seed = seed
        self._keys: list[Uint64] = []
        self._counts: list[Uint32] = []
        self._arrays: dict[str, Any] = {
            "slots": np.zeros(1 << 17, np.uint32),
            "records": np.empty(4 << 16, np.uint64),
            "ends": np.zeros((1 << 16) + 1, np.int64),
            "letters": np.empty(1 << 19, np.uint8),
            "codes": np.empty(1 << 21, np.uint32),
            "gaps": np.empty(1 << 21, np.uint8),
        }
        self._state = np.zeros(6, np.int64)
        self._documents = 0

    def begin(self, keys: Uint64) -> None:
        """Go on with the documents of another batch; the last one of the former is whole."""
        self._batch = keys
        self._open = np.uint32(0)  # words so far of the document that the last piece ended in
        self._state[ROW] = -1

    def add(
        self,
        data: Uint8,
        offsets: Int64,
        rows: Int64,
        bounds: Int64,
        sink: WordSink,
        places: tuple[Uint32, Uint32] | None = None,
    ) -> None:
        """Add a piece of words, and write a chunk when one is full.

        Args:
            data: (bytes,), of the texts.
            offsets: (texts + 1,), into the bytes.
            rows: the first row, the row after the last, whether the last is whole.
            bounds: (texts + 1,), row r owns the words from bounds[r] to bounds[r + 1].
            sink: the words.
            places: where each begins and ends in the text as it came; None for as in `data`.

        Raises:
            IntegrityError: When two words have the same hash.
        """
        rows, first = rows.copy(), int(bounds[rows[0]])
        while rows[0] < rows[1]:
            last = int(bounds[rows[1]])
            self._make_room(last - first, sink, first, last)
            encoder = word_kernels.Encoder(
                characters=unicode14.characters(), **self._arrays, state=self._state
            )
            lows, highs = places or (sink.starts, sink.ends)
            words = (first, sink.hashes, sink.starts, sink.ends, lows, highs)
            done = word_kernels.encode_words(data, offsets, rows, bounds, words, encoder, FULL)
            if done == COLLISION:
                raise collision(self._seed)
            self._note(rows, bounds, int(done))
            full = self._state[WORDS] >= FULL[0] or self._state[ENTRIES] >= FULL[1]
            if full and (done < rows[1] or rows[2]):
                self._write()
            rows[0], first = done, int(bounds[done])

    def _note(self, rows: Int64, bounds: Int64, done: int) -> None:
        """Take down which documents became whole, and how many words they have."""
        counts = np.diff(bounds[rows[0] : done + 1])
        counts[0] += self._open
        whole = len(counts) if done < rows[1] or rows[2] else len(counts) - 1
        self._open = counts[whole] if whole < len(counts) else np.uint32(0)
        self._keys.append(self._batch[rows[0] : rows[0] + whole])
        self._counts.append(counts[:whole].astype(np.uint32))

    def _make_room(self, words: int, sink: WordSink, first: int, last: int) -> None:
        """Grow the arrays for that many more words, all of them new to the vocabulary."""
        size = int((sink.ends[first:last].astype(np.int64) - sink.starts[first:last]).sum())
        state = self._state
        # two bytes fold to three at most
        self._grow("letters", int(state[LETTERS]) + 2 * size + PADDING)
        self._grow("codes", int(state[WORDS]) + words)
        self._grow("gaps", int(state[GAPS]) + 5 * words)
        entries = int(state[ENTRIES]) + words
        self._grow("records", 4 * entries)
        self._grow("ends", entries + 1)
        if entries > self._arrays["slots"].size:
            slots = np.zeros(4 << entries.bit_length(), np.uint32)
            word_kernels.find_slots(self._arrays["records"], int(state[ENTRIES]), slots)
            self._arrays["slots"] = slots

    def _grow(self, name: str, size: int) -> None:
        """Double an array until it has room."""
        held = self._arrays[name]
        if held.size < size:
            self._arrays[name] = np.empty(max(size, 2 * held.size), held.dtype)
            self._arrays[name][: held.size] = held

    def _write(self) -> None:
        """Write the open chunk as one row, and begin another."""
        words, entries, gaps, letters = (
            int(self._state[register]) for register in (WORDS, ENTRIES, GAPS, LETTERS)
        )
        held = self._arrays
        kind = np.uint16 if entries <= SMALL_CODES else np.uint32
        columns = {
            "row_keys": np.concatenate(self._keys),
            "counts": np.concatenate(self._counts),
            "hashes": held["records"][: 4 * entries : 4],
            "sizes": held["records"][1 : 4 * entries : 4].astype(np.uint32),
            "lengths": np.diff(held["ends"][: entries + 1]).astype(np.uint32),
            "letters": held["letters"][:letters],
            "codes": held["codes"][:words].astype(kind, copy=False),
            "gaps": held["gaps"][:gaps],
        }
        self._out.write(pa.table({name: _cell(values) for name, values in columns.items()}))
        self._documents += len(columns["row_keys"])
        self._keys, self._counts = [], []
        held["slots"][:] = 0
        self._state[[WORDS, ENTRIES, GAPS, LETTERS, PREVIOUS]] = 0

    def finish(self) -> int:
        """Write the last chunk; return how many documents all chunks hold."""
        if any(len(keys) for keys in self._keys):
            self._write()
        return self._documents


def _cell(values: np.ndarray) -> pa.Array:
    """Return one large_binary value over the bytes of an array."""
    data = np.ascontiguousarray(values).view(np.uint8)
    ends = pa.py_buffer(np.array([0, data.size], np.int64))
    return pa.Array.from_buffers(pa.large_binary(), 1, [None, ends, pa.py_buffer(data)])


def chunk_places(paths: Sequence[Path]) -> list[ChunkPlace]:
    """Return where the chunks of the files of `words` lie, in order: file and row group."""
    return [(path, group) for path in paths for group in range(groups_of(path))]


def chunk_keys(place: ChunkPlace) -> Uint64:
    """Return the row_key of each document of one chunk, ascending."""
    return cells(place, ["row_keys"])["row_keys"].view(np.uint64)


def read_positions(place: ChunkPlace, rows: Uint32) -> Chunk:
    """Return one chunk with the bytes that the words of some of its documents cover.

    Those of the other documents are not set.

    Args:
        place: of the chunk.
        rows: places of the documents in it, in any order, again and again if need be.

    Raises:
        IntegrityError: When the positions of the chunk do not fit its words.
    """
    found = cells(place, ["row_keys", "counts", "codes", "sizes", "gaps"])
    offsets, numbers = _coded(found)
    wanted = np.zeros(len(offsets) - 1, np.bool_)
    wanted[rows] = True
    none = np.zeros(0, np.uint64)
    words = Words(offsets, none, *_placed(place, found, offsets, numbers, wanted))
    return Chunk(found["row_keys"].view(np.uint64), words)


def _placed(
    place: ChunkPlace, found: dict[str, Uint8], offsets: Int64, numbers: np.ndarray, wanted: Flags
) -> tuple[Uint32, Uint32]:
    """Return where the words of the wanted documents of a chunk begin and end."""
    starts, ends = np.empty(numbers.size, np.uint32), np.empty(numbers.size, np.uint32)
    sizes = found["sizes"].view(np.uint32)
    if not word_kernels.place_words(numbers, sizes, found["gaps"], offsets, wanted, starts, ends):
        raise IntegrityError(
            "A stored chunk of words is damaged.",
            where=str(place[0]),
            fix="remove the run folder and scan again",
        )
    return starts, ends


def read_documents_of(place: ChunkPlace, rows: Int64) -> Chunk:
    """Return some documents of one chunk, by their places in it, with the hash of each word."""
    found = cells(place, ["row_keys", "counts", "codes", "hashes"])
    offsets, numbers = _coded(found)
    bounds = np.concatenate([[0], np.cumsum(offsets[rows + 1] - offsets[rows])])
    spelled = np.empty(int(bounds[-1]), np.uint64)
    word_kernels.spell_rows(numbers, found["hashes"].view(np.uint64), offsets, rows, spelled)
    none = np.zeros(0, np.uint32)
    return Chunk(found["row_keys"].view(np.uint64)[rows], Words(bounds, spelled, none, none))


def _coded(found: dict[str, Uint8]) -> tuple[Int64, np.ndarray]:
    """Return where the words of each document begin, and the place of each in the vocabulary."""
    counts = found["counts"].view(np.uint32)
    offsets = np.zeros(counts.size + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    wide = found["codes"].size == 4 * offsets[-1]
    return offsets, found["codes"].view(np.uint32 if wide else np.uint16)


def read_chunk(place: ChunkPlace, *, positions: bool = False) -> Chunk:
    """Return one chunk, decoded: the hash of each word, and if asked the bytes that it covers.

    Raises:
        IntegrityError: When the positions of the chunk do not fit its words.
    """
    names = ["row_keys", "counts", "codes", "hashes"]
    names += ["sizes", "gaps"] if positions else []
    found = cells(place, names)
    offsets, numbers = _coded(found)
    spelled = np.empty(numbers.size, np.uint64)
    word_kernels.spell(numbers, found["hashes"].view(np.uint64), spelled)
    starts, ends = np.zeros(0, np.uint32), np.zeros(0, np.uint32)
    if positions:
        every = np.ones(len(offsets) - 1, np.bool_)
        starts, ends = _placed(place, found, offsets, numbers, every)
    return Chunk(found["row_keys"].view(np.uint64), Words(offsets, spelled, starts, ends))


def cells(place: ChunkPlace, names: Sequence[str]) -> dict[str, Uint8]:
    """Return the bytes of some columns of one chunk, aligned to eight."""
    table = read_group(*place, names)
    return {name: np.frombuffer(table[name].chunk(0)[0].as_buffer(), np.uint8) for name in names}


def collision(seed: int) -> IntegrityError:
    """Return the error for two different words or shingles of one hash."""
    return IntegrityError(
        "Two different words or shingles have the same 64-bit hash, so counts cannot be trusted.",
        where=f"sketch.seed = {seed}",
        fix=f"run again with --set sketch.seed={seed + 1}",
    )
