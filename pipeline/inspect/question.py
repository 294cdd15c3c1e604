"""Prepare one text for the search of a corpus, and search one chunk of words for it.

Only words of the text itself are hashed. A window that is found is compared word by word and words
letter by letter, so no count rests on a hash.
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
from pipeline.text.forms import folded
from pipeline.text.segmentation import Words
from pipeline.text.segmentation_kernels import BASE

MOST_HOLDERS = 5
Codes: TypeAlias = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]
FOLDED = np.uint32(0xFFFFFF)  # bits of a table entry: the folded character


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
        known: the hashes of its different words, sorted; a word's number is its place here + 1.
        sought: its windows, indexed by hash.
        ends: where the letters of each number end, in bytes.
        letters: the folded letters of its different words, one after the other, in UTF-8.
        sets: its shingle set.
    """

    data: bytes
    given: int
    words: Words
    known: Uint64  # (different words,)
    sought: Sought
    ends: Int64  # (different words + 1,)
    letters: Uint8  # (bytes,)
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
    words = text.words(pa.array([data.decode()], pa.large_string()), seed)
    if not words.hashes.size:
        raise ConfigError(
            "The text has no words." if given else "The text is empty.",
            where=name,
            found=f"{given:,} bytes",
            expected="at least one word",
            fix="give a text of one word or more; longer ones say more",
        )
    known, numbers = np.unique(words.hashes, return_inverse=True)
    ends, letters = _spelling(data, words, known, seed)
    sought = _sought(words, (numbers + 1).astype(np.uint32), known, min(most, numbers.size), seed)
    sets = shingle_sets(words, config.sketch)
    return Question(data, given, words, known, sought, ends, letters, sets)


def _sought(words: Words, numbers: Uint32, known: Uint64, size: int, seed: int) -> Sought:
    """Return the windows of `size` words of a text in a hash table, by the number of each word."""
    _, hashes = text.runs(words, size, seed)
    slots = np.zeros(2 << hashes.size.bit_length(), np.uint32)
    first, later = np.empty(hashes.size, np.int64), np.empty(hashes.size, np.int64)
    lookup_kernels.index(numbers, hashes, slots, first, later)
    spelled = np.concatenate([np.zeros(1, np.uint64), known])
    drop = np.uint64(pow(BASE, size, 2**64))
    return Sought(numbers, spelled, slots, hashes, first, later, text.run_key(seed, size), drop)


def _spelling(data: bytes, words: Words, known: Uint64, seed: int) -> tuple[Int64, Uint8]:
    """Return where the folded letters of each different word end, and the letters.

    A Python loop per word of the one text takes 0.3 us each.

    Raises:
        IntegrityError: When two words have one hash.
    """
    places = zip(words.starts.tolist(), words.ends.tolist(), strict=True)
    hash_of = dict(zip((data[a:b] for a, b in places), words.hashes.tolist(), strict=True))
    characters, spelled = unicode14.characters(), dict[int, bytes]()
    for word, word_hash in hash_of.items():
        folded = characters[[ord(character) for character in word.decode()]] & FOLDED
        letters = "".join(map(chr, folded.tolist())).encode()
        if spelled.setdefault(word_hash, letters) != letters:
            raise collision(seed)
    parts = [spelled[word_hash] for word_hash in known.tolist()]
    ends = np.cumsum([0, *map(len, parts)], dtype=np.int64)
    return ends, np.frombuffer(b"".join(parts), np.uint8)


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
    cells = _cells(place, ["row_keys", "counts", "hashes", "codes"])
    keys, hashes = cells["row_keys"].view(np.uint64), cells["hashes"].view(np.uint64)
    offsets = np.concatenate([[0], np.cumsum(cells["counts"].view(np.uint32), dtype=np.int64)])
    wide = cells["codes"].size == 4 * offsets[-1]
    codes: Codes = cells["codes"].view(np.uint32) if wide else cells["codes"].view(np.uint16)
    known = _numbered(question.known, hashes)
    counted = question.no_counts(keys.size)
    lookup_kernels.count(codes, offsets, known, question.sought, counted)
    chosen = np.flatnonzero(np.isin(keys, proposed))
    near: list[Near] = []
    if chosen.size:
        words = _spelled(codes, offsets, hashes, chosen)
        near = verified(question.sets, keys[chosen], words, sketch)
    holding = np.flatnonzero(counted.covered)
    if near or holding.size:
        _require_same_letters(question, known, place, sketch.seed)
    most = holding[np.argsort(-counted.covered[holding], kind="stable")[:MOST_HOLDERS]]
    best = list(zip(counted.covered[most].tolist(), keys[most].tolist(), strict=True))
    return TextMatches(counted, holding.size, best, near)


def _cells(place: tuple[Path, int], names: Sequence[str]) -> dict[str, Uint8]:
    """Return the bytes of some columns of one chunk of the table `words`."""
    table = read_group(*place, names)
    return {name: np.frombuffer(table[name].chunk(0)[0].as_buffer(), np.uint8) for name in names}


def _numbered(known: Uint64, hashes: Uint64) -> Uint32:
    """Return the number of each word of a vocabulary, 0 for a word that the text does not have."""
    place = np.minimum(np.searchsorted(known, hashes), known.size - 1)
    return np.where(known[place] == hashes, place + 1, 0).astype(np.uint32)


def _spelled(codes: Codes, offsets: Int64, hashes: Uint64, documents: Int64) -> Words:
    """Return the words of some documents of a chunk."""
    parts = [codes[offsets[row] : offsets[row + 1]] for row in documents.tolist()]
    ends = np.cumsum([0, *map(len, parts)], dtype=np.int64)
    none = np.zeros(0, np.uint32)
    return Words(ends, hashes[np.concatenate(parts)], none, none)


def _require_same_letters(
    question: Question, known: Uint32, place: tuple[Path, int], seed: int
) -> None:
    """Refuse a chunk in which a word of other letters has the hash of a word of the text.

    Raises:
        IntegrityError: When it has one.
    """
    cells = _cells(place, ["lengths", "letters"])
    ends = np.concatenate([[0], np.cumsum(cells["lengths"].view(np.uint32), dtype=np.int64)])
    own = question.ends, question.letters
    if not lookup_kernels.spelled_alike(known, ends, cells["letters"], *own):
        raise collision(seed)
