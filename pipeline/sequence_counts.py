"""How often the words of a sequence occur in the corpus, exactly.

The same in each group of documents that proxies saw.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.candidates import limits
from pipeline.query import run as query
from pipeline.sampling import Int64, Uint64
from pipeline.sequence_kernels import count_runs, index_runs
from pipeline.stage import Work
from pipeline.store import read_batches
from pipeline.text import Words, decode_layouts


@dataclass(frozen=True)
class Places:
    """Sequences in order of row_key: the bytes that each covers in its document."""

    row_key: Uint64
    start_byte: Int64
    end_byte: Int64


@dataclass(frozen=True)
class Spelled:
    """The words of sequences.

    words: hashes of the whole words inside each. first, last: the words it touches at all.
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
    for path in work.paths("words"):
        for batch in read_batches(path, ["row_key", "hashes", "layout"]):
            wanted = np.flatnonzero(np.isin(batch["row_key"].to_numpy(), places.row_key))
            if len(wanted):
                _spell(batch.take(pa.array(wanted)), places, found)
    return found


def _spell(batch: pa.RecordBatch, places: Places, found: Spelled) -> None:
    offsets, starts, ends = decode_layouts(batch["layout"])
    keys = batch["row_key"].to_numpy()
    low, high = (np.searchsorted(places.row_key, keys, side) for side in ("left", "right"))
    for document, data in enumerate(batch["hashes"]):
        own = slice(offsets[document], offsets[document + 1])
        rows = np.arange(low[document], high[document])
        begin, end = places.start_byte[rows], places.end_byte[rows]
        inside = (
            np.searchsorted(starts[own], begin, "left"),
            np.searchsorted(ends[own], end, "right"),
        )
        raw = data.as_py()
        for row, first, last in zip(
            rows.tolist(), *(side.tolist() for side in inside), strict=True
        ):
            found.words[row] = raw[8 * first : 8 * last]
        found.first[rows] = np.searchsorted(ends[own], begin, "right")
        found.last[rows] = np.searchsorted(starts[own], end, "left")


def occurrences(work: Work, words: list[bytes], seen: tuple[Uint64, Int64], groups: int) -> Int64:
    """Return [sequence, group] how often each run of words occurs in the corpus.

    Zeros for a sequence without words.

    seen: row_keys, sorted, and the group of each; every other document is of group 0.
    """
    numbers: dict[bytes, int] = {}
    of_sequence = np.array(
        [numbers.setdefault(run, len(numbers)) if run else -1 for run in words], np.int64
    )
    counts = np.zeros((len(numbers) + 1, groups), np.int64)
    if numbers:
        begins = np.cumsum([0, *(len(run) // 8 for run in numbers)], dtype=np.int64)
        runs = index_runs(np.frombuffer(b"".join(numbers), np.uint64), begins)
        for keys, batch in _corpus(work):
            count_runs(runs, batch.offsets, batch.hashes, _groups(keys, *seen), counts)
    return counts[of_sequence]


def _groups(keys: Uint64, known: Uint64, groups: Int64) -> Int64:
    place = np.minimum(np.searchsorted(known, keys), max(0, len(known) - 1))
    if not len(known):
        return np.zeros(len(keys), np.int64)
    return np.where(known[place] == keys, groups[place], 0)


def _corpus(work: Work) -> Iterator[tuple[Uint64, Words]]:
    from pipeline.spans import word_hashes

    for path in work.paths("words"):
        for batch in read_batches(path, ["row_key", "hashes"]):
            yield batch["row_key"].to_numpy(), word_hashes(batch["hashes"])


def window_counts(work: Work, places: Places, touched: Spelled) -> Int64:
    """Return the largest count of a window that shares a word with each sequence.

    0 where none is repeated.
    """
    inputs = {
        "wanted": pa.table({"row_key": np.unique(places.row_key)}),
        "occurrences": work.paths("occurrences"),
        "windows": work.paths("windows"),
    }
    table = query("window_counts", inputs, limits=limits(work))
    keys, word, count = (table[name].to_numpy() for name in ("row_key", "word", "occurrences"))
    result = np.zeros(len(places.row_key), np.int64)
    low, high = (np.searchsorted(keys, places.row_key, side) for side in ("left", "right"))
    size = work.config.window.words
    for row in np.flatnonzero((high > low) & (touched.last > touched.first)).tolist():
        own = slice(low[row], high[row])
        first, last = np.searchsorted(word[own], [touched.first[row] - size + 1, touched.last[row]])
        result[row] = count[own][first:last].max(initial=0)
    return result
