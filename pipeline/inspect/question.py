"""Prepare one text for the search of a corpus, and search one chunk of words for it.

Only words of the text itself are hashed. A window that is found is compared word by word and words
letter by letter, so no count rests on a hash.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.config.sections import Config, SketchConfig
from pipeline.errors import ConfigError
from pipeline.inspect import lookup_kernels
from pipeline.inspect.lookup_kernels import ChunkCounts, Sought
from pipeline.inspect.nearest import Near, verified
from pipeline.matching.spelling import Spelling, require_same_letters, spelling_of
from pipeline.scan.pair_kernels import Sets
from pipeline.scan.shingle_sets import shingle_sets
from pipeline.scan.words import cells
from pipeline.text import segmentation as text
from pipeline.text.arrays import Int64, Uint32, Uint64
from pipeline.text.forms import folded
from pipeline.text.segmentation import Words
from pipeline.text.segmentation_kernels import BASE

MOST_HOLDERS = 5
Codes: TypeAlias = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]


@dataclass(frozen=True)
class TextMatches:
    """What some chunks of the corpus have of a text.

    Attributes:
        counted: the occurrences of each of its windows.
        holders: how many documents have a window of it.
        best: words covered and row_key of the few holders that cover most.
        near: the proposed documents that are near it, verified.
    """

    counted: ChunkCounts
    holders: int
    best: list[tuple[int, int]]
    near: list[Near]

    def plus(self, other: TextMatches) -> TextMatches:
        """Return the matches of both; of documents that cover equally the earlier comes first."""
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
    """A text that is prepared for the search.

    Attributes:
        data: the text in UTF-8, normalized as the corpus was for its words.
        given: bytes of the text as it was given.
        words: its words.
        spelling: its different words and their letters.
        sought: its windows, indexed by hash.
        sets: its shingle set.
    """

    data: bytes
    given: int
    words: Words
    spelling: Spelling
    sought: Sought
    sets: Sets

    @property
    def size(self) -> int:
        """How many words a window has."""
        return self.sought.words.size - self.sought.hashes.size + 1

    def nothing(self) -> TextMatches:
        """Return the matches in no chunks."""
        return TextMatches(self.no_counts(0), 0, [], [])

    def no_counts(self, documents: int) -> ChunkCounts:
        """Return counts of zero, for a chunk of so many documents."""
        windows = self.sought.hashes.size
        return ChunkCounts(*(np.zeros(size, np.int64) for size in (windows, windows, documents)))


def ask(data: bytes, config: Config, name: str) -> Question:
    """Return a text prepared for the search: cut into words and windows, and indexed.

    Args:
        data: the text.
        config: the settings of the run.
        name: what the text is called in messages.

    Raises:
        ConfigError: When the text is not UTF-8 or has no words.
    """
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
    given, data = len(data), folded(decoded, config.text.normalize).encode()
    own = pa.array([data.decode()], pa.large_string())
    words = text.words(own, seed)
    if not words.hashes.size:
        raise ConfigError(
            "The text has no words." if given else "The text is empty.",
            where=name,
            found=f"{given:,} bytes",
            expected="at least one word",
            fix="give a text of one word or more; longer ones say more",
        )
    known, numbers = np.unique(words.hashes, return_inverse=True)
    sought = _sought(words, (numbers + 1).astype(np.uint32), known, min(most, numbers.size), seed)
    sets = shingle_sets(words, config.sketch)
    return Question(data, given, words, spelling_of(own, words, seed), sought, sets)


def _sought(words: Words, numbers: Uint32, known: Uint64, size: int, seed: int) -> Sought:
    """Return the windows of `size` words of a text in a hash table, by the number of each word."""
    _, hashes = text.runs(words, size, seed)
    slots = np.zeros(2 << hashes.size.bit_length(), np.uint32)
    first, later = np.empty(hashes.size, np.int64), np.empty(hashes.size, np.int64)
    lookup_kernels.index(numbers, hashes, slots, first, later)
    spelled = np.concatenate([np.zeros(1, np.uint64), known])
    drop = np.uint64(pow(BASE, size, 2**64))
    return Sought(numbers, spelled, slots, hashes, first, later, text.run_key(seed, size), drop)


def look(
    question: Question, proposed: Uint64, sketch: SketchConfig, place: tuple[Path, int]
) -> TextMatches:
    """Return what one chunk has of a text: counts of its windows, and proposals verified.

    Args:
        question: the text.
        proposed: row keys of documents that may be near it, in all chunks.
        sketch: the settings of the scan.
        place: the chunk.

    Raises:
        IntegrityError: When one hash stands for two words.
    """
    found = cells(place, ["row_keys", "counts", "hashes", "codes"])
    keys, hashes = found["row_keys"].view(np.uint64), found["hashes"].view(np.uint64)
    offsets = np.concatenate([[0], np.cumsum(found["counts"].view(np.uint32), dtype=np.int64)])
    wide = found["codes"].size == 4 * offsets[-1]
    codes: Codes = found["codes"].view(np.uint32) if wide else found["codes"].view(np.uint16)
    known = question.spelling.numbered(hashes)
    counted = question.no_counts(keys.size)
    lookup_kernels.count(codes, offsets, known, question.sought, counted)
    chosen = np.flatnonzero(np.isin(keys, proposed))
    near: list[Near] = []
    if chosen.size:
        words = _spelled(codes, offsets, hashes, chosen)
        near = verified(question.sets, keys[chosen], words, sketch)
    holding = np.flatnonzero(counted.covered)
    if near or holding.size:
        require_same_letters(question.spelling, known, place, sketch.seed)
    most = holding[np.argsort(-counted.covered[holding], kind="stable")[:MOST_HOLDERS]]
    best = list(zip(counted.covered[most].tolist(), keys[most].tolist(), strict=True))
    return TextMatches(counted, holding.size, best, near)


def _spelled(codes: Codes, offsets: Int64, hashes: Uint64, documents: Int64) -> Words:
    """Return the words of some documents of a chunk."""
    parts = [codes[offsets[row] : offsets[row + 1]] for row in documents.tolist()]
    ends = np.cumsum([0, *map(len, parts)], dtype=np.int64)
    none = np.zeros(0, np.uint32)
    return Words(ends, hashes[np.concatenate(parts)], none, none)
