"""Texts prepared to be held against a corpus: their runs of words and shingles, indexed by hash."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.config.sections import SketchConfig
from pipeline.matching import match_kernels
from pipeline.matching.match_kernels import COLLISION, RunTable
from pipeline.matching.spelling import Spelling, spelling_of
from pipeline.scan.pair_kernels import Sets
from pipeline.scan.shingle_sets import shingle_sets
from pipeline.scan.words import collision
from pipeline.text import segmentation as text
from pipeline.text.arrays import Int64, Uint64
from pipeline.text.segmentation import Words

WORD_BYTES = 160  # of a word of the texts, in all tables


@dataclass(frozen=True)
class Asked:
    """Some texts, prepared for the search.

    Attributes:
        words: their words.
        size: words of a window.
        spelling: the letters of their words; None for texts of the corpus itself, of which the scan
            has held all words against one another.
        runs: by number of words: the windows of the texts that have one, and each shorter text as
            a run of its own.
        sets: the shingle set of each.
        shingles: the distinct shingles of each.
    """

    words: Words
    size: int
    spelling: Spelling | None
    runs: dict[int, RunTable]
    sets: Sets
    shingles: RunTable

    @property
    def texts(self) -> int:
        """How many texts there are."""
        return self.words.offsets.size - 1

    @property
    def lengths(self) -> Int64:
        """How many words each text has, (texts,)."""
        return np.diff(self.words.offsets)


@dataclass(frozen=True)
class Searched:
    """Which texts are searched for, by their number of words.

    Attributes:
        size: words of a window.
        whole: shorter texts of at least so many words are searched for as a whole.
        compared: texts of at least so many words are compared by their shingles.
    """

    size: int
    whole: int = 1
    compared: int = 1


def asked(texts: pa.LargeStringArray, sketch: SketchConfig, searched: Searched) -> Asked:
    """Return texts prepared for the search.

    Args:
        texts: in the normal form that the words of the corpus have.
        sketch: the settings of the scan.
        searched: which of them are searched for.

    Raises:
        IntegrityError: When two words, or two runs of them, have one hash.
    """
    words = text.words(texts, sketch.seed)
    return of_words(words, sketch, searched, spelling_of(texts, words, sketch.seed))


def of_words(
    words: Words, sketch: SketchConfig, searched: Searched, spelling: Spelling | None = None
) -> Asked:
    """Return texts prepared for the search, given their words.

    Args:
        words: the words.
        sketch: the settings of the scan.
        searched: which of them are searched for.
        spelling: the letters of the words; None where they are words of the corpus.
    """
    lengths, size = np.diff(words.offsets), searched.size
    short = lengths[(lengths >= max(1, searched.whole)) & (lengths < size)]
    sizes = [*np.unique(short).tolist(), *([size] if np.any(lengths >= size) else [])]
    runs = {each: _windows(words, each, size, sketch.seed) for each in sizes}
    sets = shingle_sets(words, sketch)
    owners = np.repeat(np.arange(lengths.size), np.diff(sets.sets))
    kept = np.flatnonzero(lengths[owners] >= searched.compared)
    owners = owners[kept]
    table = _table(
        words,
        sets.hashes[kept],
        words.offsets[owners] + sets.places[kept],
        np.minimum(lengths, sketch.shingle_words)[owners],
        owners,
        sketch.seed,
    )
    return Asked(words, size, spelling, runs, sets, table)


def _windows(words: Words, own: int, size: int, seed: int) -> RunTable:
    """Return the runs of `own` words of the texts that are searched for such runs.

    They are the texts of at least `size` words where that is `own`, else those of just so many.
    """
    lengths = np.diff(words.offsets)
    chosen = np.flatnonzero(lengths >= size if own == size else lengths == own)
    bounds, hashes = text.runs(text.take(words, chosen), own, seed)
    counts = np.diff(bounds)
    owners = np.repeat(chosen, counts)
    within = np.arange(hashes.size) - np.repeat(bounds[:-1], counts)
    sizes = np.full(hashes.size, own, np.int64)
    return _table(words, hashes, words.offsets[owners] + within, sizes, owners, seed)


def _table(
    words: Words, hashes: Uint64, begins: Int64, sizes: Int64, owners: Int64, seed: int
) -> RunTable:
    """Return runs of words in a hash table.

    Raises:
        IntegrityError: When two different runs have one hash.
    """
    count = hashes.size
    table = RunTable(
        np.zeros(2 << count.bit_length(), np.int64),
        hashes,
        begins.astype(np.int64),
        sizes.astype(np.int64),
        owners.astype(np.int64),
        np.zeros(count, np.int64),
        np.zeros(count, np.int64),
        words.hashes,
    )
    groups = match_kernels.fill(table)
    if groups == COLLISION:
        raise collision(seed)
    return table._replace(last=table.last[:groups].copy())
