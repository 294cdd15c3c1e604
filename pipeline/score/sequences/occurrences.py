"""Exact occurrences of the words of a sequence in the corpus."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.engine.stage import Work
from pipeline.scan.repeats.runs import runs_of
from pipeline.scan.words import Chunk, chunk_places, read_chunk
from pipeline.score.sequences.occurrence_kernels import Runs, count_runs, index_runs
from pipeline.text.arrays import Int64, Uint64
from pipeline.text.segmentation import Words
from pipeline.text.sorting import among

PLACES = 32  # bits of the number of a word in its document
WORDLESS = 3  # a sequence whose words are less than a third of its bytes counts as without words


@dataclass(frozen=True)
class Places:
    """The bytes of sequences in their documents, in order of row_key.

    Attributes:
        row_key: of the document, (sequences,).
        start_byte: first byte, (sequences,).
        end_byte: byte past the last, (sequences,).
    """

    row_key: Uint64
    start_byte: Int64
    end_byte: Int64


@dataclass(frozen=True)
class Spelled:
    """The words of sequences.

    Attributes:
        words: hashes of the whole words inside each, as bytes; none where they are less than a
            third of it, since symbols between the same few words differ.
        first: number of the first word that it touches in its document, (sequences,).
        last: number past the last one that it touches, (sequences,).
    """

    words: list[bytes]
    first: Int64
    last: Int64


def spelled(work: Work, places: Places) -> Spelled:
    """Return the words of each sequence, from the table `words`."""
    found = Spelled(
        [b""] * len(places.row_key),
        np.zeros(len(places.row_key), np.int64),
        np.zeros(len(places.row_key), np.int64),
    )
    for place in chunk_places(work.paths("words")):
        chunk = read_chunk(place, positions=True)
        for document in np.flatnonzero(among(chunk.keys, places.row_key)).tolist():
            _spell(chunk, document, places, found)
    return found


def _spell(chunk: Chunk, document: int, places: Places, found: Spelled) -> None:
    """Fill in the words of the sequences of one document."""
    own = slice(chunk.words.offsets[document], chunk.words.offsets[document + 1])
    starts, ends = chunk.words.starts[own], chunk.words.ends[own]
    key = chunk.keys[document]
    rows = np.arange(*(np.searchsorted(places.row_key, key, side) for side in ("left", "right")))
    begin, end = places.start_byte[rows], places.end_byte[rows]
    inside = np.searchsorted(starts, begin, "left"), np.searchsorted(ends, end, "right")
    raw = chunk.words.hashes[own].tobytes()
    covered = np.concatenate(([0], np.cumsum(ends - starts)))
    for row, first, last in zip(rows.tolist(), *(side.tolist() for side in inside), strict=True):
        if WORDLESS * (covered[last] - covered[first]) >= end[row - rows[0]] - begin[row - rows[0]]:
            found.words[row] = raw[8 * first : 8 * last]
    found.first[rows] = np.searchsorted(ends, begin, "right")
    found.last[rows] = np.searchsorted(starts, end, "left")


def distinct_runs(words: list[bytes]) -> tuple[Int64, Runs | None, int]:
    """Return which distinct run each run is, -1 for one without words, their table, and how many.

    Args:
        words: hashes of each run, as bytes.
    """
    numbers: dict[bytes, int] = {}
    place = np.array(
        [numbers.setdefault(run, len(numbers)) if run else -1 for run in words], np.int64
    )
    if not numbers:
        return place, None, 0
    begins = np.cumsum([0, *(len(run) // 8 for run in numbers)], dtype=np.int64)
    return place, index_runs(np.frombuffer(b"".join(numbers), np.uint64), begins), len(numbers)


def occurrences(work: Work, words: list[bytes]) -> Int64:
    """Return how often each run of words occurs in the corpus, (runs,); 0 for one without words.

    Args:
        work: of the stage, for the table `words`.
        words: hashes of each run, as bytes.
    """
    place, index, count = distinct_runs(words)
    counts = np.zeros((count + 1, 1), np.int64)
    if index is not None:
        for keys, batch in _corpus(work):
            count_runs(index, batch.offsets, batch.hashes, np.zeros(len(keys), np.int64), counts)
    return np.asarray(counts[place, 0])


def occurrences_by(work: Work, words: list[bytes], marked: Uint64) -> Int64:
    """Return how often each run occurs in documents that are not marked, and in others, (runs, 2).

    Args:
        work: of the stage, for the table `words`.
        words: hashes of each run, as bytes.
        marked: row keys of the marked documents, sorted, (marked,).
    """
    place, index, count = distinct_runs(words)
    counts = np.zeros((count + 1, 2), np.int64)
    if index is not None:
        for keys, batch in _corpus(work):
            groups = among(keys, marked).astype(np.int64)
            count_runs(index, batch.offsets, batch.hashes, groups, counts)
    return np.asarray(counts[place])


def _corpus(work: Work) -> Iterator[tuple[Uint64, Words]]:
    """Yield row_keys and words of all documents, a chunk at a time."""
    for place in chunk_places(work.paths("words")):
        chunk = read_chunk(place)
        yield chunk.keys, chunk.words


def window_counts(work: Work, places: Places, touched: Spelled) -> Int64:
    """Return the largest count of a window that shares a word with each sequence, (sequences,).

    0 where none is repeated.

    Args:
        work: of the stage, for the table `windows`.
        places: the sequences.
        touched: the words that each touches.
    """
    result = np.zeros(len(places.row_key), np.int64)
    keys = np.unique(places.row_key)
    runs = runs_of(work.paths("windows"), keys)
    starts = runs[:, 0] << PLACES | runs[:, 1]
    own = np.searchsorted(keys, places.row_key) << PLACES
    first = own | np.maximum(0, touched.first - work.config.window.words + 1)
    low = np.searchsorted(starts + runs[:, 2], first, side="right")
    high = np.searchsorted(starts, own | touched.last)
    for row in np.flatnonzero((low < high) & (touched.first < touched.last)).tolist():
        result[row] = runs[low[row] : high[row], 3].max()
    return result
