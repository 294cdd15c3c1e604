"""One text, ready to be looked for, and what a chunk of words holds of it.

Only words of the text itself are hashed, a window that is found is compared word by word, and words
by their letters: no count rests on a hash.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.config.sections import Config, SketchConfig
from pipeline.engine.tables import read_group
from pipeline.errors import ConfigError
from pipeline.inspect import lookup_kernels
from pipeline.inspect.lookup_kernels import ChunkCounts, Sought
from pipeline.inspect.nearest import Near, verified
from pipeline.scan.pair_kernels import Sets
from pipeline.scan.shingle_sets import shingle_sets
from pipeline.scan.words import collision
from pipeline.text import segmentation as text
from pipeline.text import unicode14
from pipeline.text.arrays import Int64, Uint8, Uint32, Uint64
from pipeline.text.segmentation import Words
from pipeline.text.segmentation_kernels import BASE

MOST_HOLDERS = 5
Codes: TypeAlias = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]
FOLDED = np.uint32(0xFFFFFF)


@dataclass(frozen=True)
class TextMatches:
    """What some chunks hold of a text.

    holders: documents with a window of it. best: words covered and row_key of the first few. near:
    of the documents proposed.
    """

    counted: ChunkCounts
    holders: int
    best: list[tuple[int, int]]
    near: list[Near]

    def plus(self, other: TextMatches) -> TextMatches:
        """Return two shares as one; of equal documents the earlier comes first."""
        counted = ChunkCounts(
            self.counted.occurrences + other.counted.occurrences,
            self.counted.documents + other.counted.documents,
            self.counted.covered,
        )
        best = sorted([*self.best, *other.best], key=lambda held: (-held[0], held[1]))
        holders = self.holders + other.holders
        return TextMatches(counted, holders, best[:MOST_HOLDERS], [*self.near, *other.near])


@dataclass(frozen=True)
class Question:
    """The text, ready to be looked for."""

    data: bytes
    words: Words
    known: Uint64
    sought: Sought
    ends: Int64
    letters: Uint8
    sets: Sets

    @property
    def size(self) -> int:
        """Return the words of a window."""
        return self.sought.words.size - self.sought.hashes.size + 1

    def nothing(self) -> TextMatches:
        """Return the share of no chunks."""
        return TextMatches(self.room(0), 0, [], [])

    def room(self, documents: int) -> ChunkCounts:
        """Return counts of zero, for a chunk of so many documents."""
        windows = self.sought.hashes.size
        return ChunkCounts(*(np.zeros(size, np.int64) for size in (windows, windows, documents)))


def ask(data: bytes, config: Config, name: str) -> Question:
    """Cut a text into words and windows, and index these."""
    try:
        decoded = data.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(
            "The text is not UTF-8.",
            where=name,
            found=f"{error.reason} at byte {error.start:,}",
            expected="text in UTF-8",
            fix="convert it to UTF-8",
        ) from error
    seed, most = config.sketch.seed, config.window.words
    words = text.words(pa.array([decoded], pa.large_string()), seed)
    if not words.hashes.size:
        raise ConfigError(
            "The text has no words." if data else "The text is empty.",
            where=name,
            found=f"{len(data):,} bytes",
            expected="at least one word",
            fix="give a text of one word or more; longer ones say more",
        )
    known, numbers = np.unique(words.hashes, return_inverse=True)
    ends, letters = _spelling(data, words, known, seed)
    sought = _sought(words, (numbers + 1).astype(np.uint32), known, min(most, numbers.size), seed)
    sets = shingle_sets(words, config.sketch)
    return Question(data, words, known, sought, ends, letters, sets)


def _sought(words: Words, numbers: Uint32, known: Uint64, size: int, seed: int) -> Sought:
    _, hashes = text.runs(words, size, seed)
    slots = np.zeros(2 << hashes.size.bit_length(), np.uint32)
    first, later = np.empty(hashes.size, np.int64), np.empty(hashes.size, np.int64)
    lookup_kernels.index(numbers, hashes, slots, first, later)
    spelled = np.concatenate([np.zeros(1, np.uint64), known])
    drop = np.uint64(pow(BASE, size, 2**64))
    return Sought(numbers, spelled, slots, hashes, first, later, text.run_key(seed, size), drop)


def _spelling(data: bytes, words: Words, known: Uint64, seed: int) -> tuple[Int64, Uint8]:
    """Return the folded letters of each different word of a text, and where they end.

    A Python loop per word of the one text: 0.3 us each.
    """
    places = zip(words.starts.tolist(), words.ends.tolist(), strict=True)
    written = dict(zip((data[a:b] for a, b in places), words.hashes.tolist(), strict=True))
    characters, spelled = unicode14.characters(), dict[int, bytes]()
    for word, own in written.items():
        folded = characters[[ord(character) for character in word.decode()]] & FOLDED
        letters = "".join(map(chr, folded.tolist())).encode()
        if spelled.setdefault(own, letters) != letters:
            raise collision(seed)
    parts = [spelled[own] for own in known.tolist()]
    ends = np.cumsum([0, *map(len, parts)], dtype=np.int64)
    return ends, np.frombuffer(b"".join(parts), np.uint8)


def look(
    asked: Question, proposed: Uint64, sketch: SketchConfig, place: tuple[Path, int]
) -> TextMatches:
    """Count the windows of the text in one chunk, and verify the documents proposed in it."""
    cells = _cells(place, ["row_keys", "counts", "hashes", "codes"])
    keys, hashes = cells["row_keys"].view(np.uint64), cells["hashes"].view(np.uint64)
    offsets = np.concatenate([[0], np.cumsum(cells["counts"].view(np.uint32), dtype=np.int64)])
    wide = cells["codes"].size == 4 * offsets[-1]
    codes: Codes = cells["codes"].view(np.uint32) if wide else cells["codes"].view(np.uint16)
    known = _numbered(asked.known, hashes)
    counted = asked.room(keys.size)
    lookup_kernels.count(codes, offsets, known, asked.sought, counted)
    chosen = np.flatnonzero(np.isin(keys, proposed))
    near: list[Near] = []
    if chosen.size:
        words = _spelled(codes, offsets, hashes, chosen)
        near = verified(asked.sets, keys[chosen], words, sketch)
    holding = np.flatnonzero(counted.covered)
    if near or holding.size:
        _hold_letters(asked, known, place, sketch.seed)
    best = holding[np.argsort(-counted.covered[holding], kind="stable")[:MOST_HOLDERS]]
    held = list(zip(counted.covered[best].tolist(), keys[best].tolist(), strict=True))
    return TextMatches(counted, holding.size, held, near)


def _cells(place: tuple[Path, int], names: Sequence[str]) -> dict[str, Uint8]:
    """Return the bytes of some columns of one chunk of `words`."""
    table = read_group(*place, names)
    return {name: np.frombuffer(table[name].chunk(0)[0].as_buffer(), np.uint8) for name in names}


def _numbered(known: Uint64, hashes: Uint64) -> Uint32:
    """Return the number of each word of a vocabulary among those of the text, 0 for another."""
    at = np.minimum(np.searchsorted(known, hashes), known.size - 1)
    return np.where(known[at] == hashes, at + 1, 0).astype(np.uint32)


def _spelled(codes: Codes, offsets: Int64, hashes: Uint64, documents: Int64) -> Words:
    """Return the words of some documents of a chunk."""
    parts = [codes[offsets[row] : offsets[row + 1]] for row in documents.tolist()]
    ends = np.cumsum([0, *map(len, parts)], dtype=np.int64)
    none = np.zeros(0, np.uint32)
    return Words(ends, hashes[np.concatenate(parts)], none, none)


def _hold_letters(asked: Question, known: Uint32, place: tuple[Path, int], seed: int) -> None:
    cells = _cells(place, ["lengths", "letters"])
    ends = np.concatenate([[0], np.cumsum(cells["lengths"].view(np.uint32), dtype=np.int64)])
    if not lookup_kernels.spelled_alike(known, ends, cells["letters"], asked.ends, asked.letters):
        raise collision(seed)
