"""Search one chunk of the words of a corpus for the runs and the shingles of some texts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipeline.config.sections import SketchConfig
from pipeline.matching import match_kernels
from pipeline.matching.asked import Asked
from pipeline.matching.match_kernels import COLLISION, Counter, RunTable, Spoken
from pipeline.matching.spelling import require_same_letters
from pipeline.scan.words import Chunk, ChunkPlace, cells, collision, read_chunk
from pipeline.text import segmentation as text
from pipeline.text.arrays import Int32, Int64, Uint64
from pipeline.text.segmentation import Words

ROOM = 1 << 12  # rows of a list, at first
NOBODY = np.uint64(2**64 - 1)  # a row_key that no document has


@dataclass(frozen=True)
class Best:
    """The nearest documents of some texts, so far.

    Attributes:
        shared: shingles that the document of the highest Jaccard shares; 0 where there is none.
        either: shingles that one of both has.
        near: row_key of that document.
        held: shingles of the text that the document with most of them has.
        holder: row_key of that document.
    """

    shared: Int64  # (texts,)
    either: Int64  # (texts,)
    near: Uint64  # (texts,)
    held: Int64  # (texts,)
    holder: Uint64  # (texts,)

    @classmethod
    def none(cls, texts: int) -> Best:
        """Return that no document shares anything with any of some texts."""
        counts, keys = np.zeros(texts, np.int64), np.full(texts, NOBODY)
        return cls(counts, counts, keys, counts, keys)

    def or_better(self, other: Best) -> Best:
        """Return the nearer document of both for each text; of equal ones this one's."""
        nearer = other.shared * self.either > self.shared * other.either
        nearer |= (self.shared == 0) & (other.shared > 0)
        more = other.held > self.held
        chosen = [
            np.where(nearer, b, a)
            for a, b in (
                (self.shared, other.shared),
                (self.either, other.either),
                (self.near, other.near),
            )
        ]
        chosen += [
            np.where(more, b, a) for a, b in ((self.held, other.held), (self.holder, other.holder))
        ]
        return Best(*chosen)


def chunk_of(asked: Asked, place: ChunkPlace, sketch: SketchConfig, *, positions: bool) -> Chunk:
    """Return a chunk of words, of which every word that the texts have is spelled as theirs.

    Args:
        asked: the texts.
        place: the chunk.
        sketch: the settings of the scan.
        positions: whether the places of the words are needed, too.

    Raises:
        IntegrityError: When one hash stands for two words.
    """
    if asked.spelling is not None:
        vocabulary = cells(place, ["hashes"])["hashes"].view(np.uint64)
        known = asked.spelling.numbered(vocabulary)
        if known.any():
            require_same_letters(asked.spelling, known, place, sketch.seed)
    return read_chunk(place, positions=positions)


def spoken(words: Words, size: int, seed: int) -> Spoken:
    """Return the words of some documents with their runs of `size` words."""
    bounds, hashes = text.runs(words, size, seed)
    return Spoken(words.offsets, words.hashes, bounds, hashes, size)


def found_runs(chunk: Spoken, table: RunTable, seed: int) -> Int32:
    """Return the group of each run of some documents, negative where the texts do not have it.

    Raises:
        IntegrityError: When one hash stands for two runs.
    """
    found = np.empty(chunk.hashes.size, np.int32)
    if not match_kernels.look_up(chunk, table, found):
        raise collision(seed)
    return found


def stretches(chunk: Spoken, found: Int32) -> Int64:
    """Return the first run and that past the last of each stretch of found ones, (n, 2)."""
    there = np.flatnonzero(found >= 0)
    if not there.size:
        return np.zeros((0, 2), np.int64)
    document = np.searchsorted(chunk.bounds, there, "right")
    apart = (np.diff(there) > 1) | (np.diff(document) > 0)
    cut = np.flatnonzero(apart)
    return np.stack([there[[0, *(cut + 1)]], there[[*cut, -1]] + 1], axis=1)


def shingled(words: Words, sketch: SketchConfig) -> Spoken:
    """Return the words of some documents with their shingles."""
    bounds, hashes = text.shingles(words, sketch.shingle_words, sketch.seed)
    return Spoken(words.offsets, words.hashes, bounds, hashes, sketch.shingle_words)


def _counter(chunk: Spoken, texts: int) -> Counter:
    longest = int(np.diff(chunk.bounds).max(initial=1))
    slots = np.zeros(4 << longest.bit_length(), np.int64)
    return Counter(slots, np.zeros(texts, np.int64), np.empty(texts, np.int64))


def nearest(asked: Asked, chunk: Chunk, sketch: SketchConfig, own: Uint64) -> Best:
    """Return the documents of a chunk that are nearest to each text, proved word by word.

    Args:
        asked: the texts.
        chunk: the documents.
        sketch: the settings of the scan.
        own: row_key of a document that is left out for each text, (texts,).

    Raises:
        IntegrityError: When one hash stands for two shingles.
    """
    documents = shingled(chunk.words, sketch)
    best = np.zeros((asked.texts, 5), np.int64)
    room = _counter(documents, asked.texts)
    if not match_kernels.nearest(documents, asked.shingles, room, chunk.keys, own, best):
        raise collision(sketch.seed)
    if not chunk.keys.size:
        return Best.none(asked.texts)
    near = np.where(best[:, 0] > 0, chunk.keys[best[:, 2]], NOBODY)
    holder = np.where(best[:, 3] > 0, chunk.keys[best[:, 4]], NOBODY)
    return Best(best[:, 0], best[:, 1], near, best[:, 3], holder)


def alike(
    asked: Asked,
    chunk: Chunk,
    sketch: SketchConfig,
    jaccard: tuple[int, int],
    share: tuple[int, int],
) -> Int64:
    """Return document, text, shared shingles and those in either of each near pair, (pairs, 4).

    Args:
        asked: the texts.
        chunk: the documents.
        sketch: the settings of the scan.
        jaccard: numerator and denominator of the Jaccard at or above which a pair is near.
        share: those of the share of the text's shingles.

    Raises:
        IntegrityError: When one hash stands for two shingles.
    """
    documents = shingled(chunk.words, sketch)
    least = np.array([*jaccard, *share], np.int64)

    def listed(out: Int64) -> int:
        room = _counter(documents, asked.texts)
        return int(match_kernels.alike(documents, asked.shingles, room, least, out))

    return _listed(listed, 4, sketch.seed)


def held(documents: Spoken, found: Int32, table: RunTable, texts: int, seed: int) -> Int64:
    """Return what each document holds of each text, as `match_kernels.hold` lists it, (rows, 6)."""
    return _listed(
        lambda out: int(match_kernels.hold(documents, found, table, texts, out)), 6, seed
    )


def _listed(make: Callable[[Int64], int], columns: int, seed: int) -> Int64:
    """Return the rows of a list whose length is known once it is made."""
    out = np.empty((ROOM, columns), np.int64)
    rows = make(out)
    if rows > len(out):
        out = np.empty((rows, columns), np.int64)
        rows = make(out)
    if rows == COLLISION:
        raise collision(seed)
    return out[:rows]
