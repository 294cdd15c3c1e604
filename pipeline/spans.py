"""Which runs of words occur more than once: windows counted exactly, spans cut in text order.

Two passes over the table `words`: a two-bit table (seen once, seen twice) of every window finds
those that may repeat, DuckDB counts exactly what is left, and a kernel joins repeated windows into
spans of the original text.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from pipeline import span_kernels, text
from pipeline.candidates import limits
from pipeline.progress import current
from pipeline.query import stream
from pipeline.stage import Receipt, Work
from pipeline.store import read_batches, write_table
from schemas.spans import REPEATS, SPANS
from schemas.windows import OCCURRENCES, WINDOWS

VERSION = 1
CELLS_PER_WINDOW = 8
CELLS_PER_BYTE = 4
SMALLEST_TABLE_BITS = 16


def windows(work: Work) -> Receipt:
    """Reduce: count every window that occurs more than once in the corpus."""
    total = sum(
        int(np.sum(np.maximum(0, words - work.config.window.words + 1)))
        for words in _word_counts(work)
    )
    seen = _two_bit_table(work, total)
    with write_table(work.folder, "occurrences", work.key, OCCURRENCES) as occurrences:
        for keys, offsets, hashes in _window_hashes(work):
            occurrences.write(_may_repeat(keys, offsets, hashes, seen))
    inputs = {"occurrences": [work.folder / occurrences.record.path]}
    with write_table(work.folder, "windows", work.key, WINDOWS) as out:
        for batch in stream("windows", inputs, limits=limits(work)):
            out.write(batch)
    return Receipt(
        (occurrences.record, out.record),
        total,
        out.rows,
        {
            "windows": total,
            "repeated": out.rows,
            "expected_wrong_counts": float(f"{total**2 / 2.0**65:.3g}"),
        },
    )


def _word_counts(work: Work) -> Iterator[np.ndarray]:
    for path in work.paths("signatures"):
        for batch in read_batches(path, ["words"]):
            yield batch["words"].to_numpy()


def _window_hashes(work: Work) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield (row_key uint64[n], offsets int64[n+1], window hashes) over the documents, in order."""
    config = work.config
    for path in work.paths("words"):
        for batch in read_batches(path, ["row_key", "hashes"]):
            offsets, hashes = text.runs(
                word_hashes(batch["hashes"]), config.window.words, config.sketch.seed
            )
            yield batch["row_key"].to_numpy(), offsets, hashes


def word_hashes(column: pa.Array) -> text.Words:
    """Return the words of a batch of rows of the table `words`; byte positions are left out."""
    ends = np.frombuffer(column.buffers()[1], np.int64)[
        column.offset : column.offset + len(column) + 1
    ]
    data = column.buffers()[2]
    hashes = (
        np.frombuffer(data, np.uint64)[ends[0] // 8 : ends[-1] // 8]
        if data is not None
        else np.zeros(0, np.uint64)
    )
    none = np.zeros(0, np.uint32)
    return text.Words((ends - ends[0]) // 8, hashes, none, none)


def _two_bit_table(work: Work, total: int) -> np.ndarray:
    """Return cells of two bits, indexed by the top bits of a window's hash.

    0 never, 1 once, 2 more often. Each thread owns a range of hashes and reads all of them, so the
    table does not depend on the threads.
    """
    bits = max(SMALLEST_TABLE_BITS, int(np.ceil(np.log2(max(1, total * CELLS_PER_WINDOW)))))
    if work.memory:
        bits = min(bits, max(SMALLEST_TABLE_BITS, int(np.log2(work.memory / 8 * CELLS_PER_BYTE))))
    cells = np.zeros(2**bits // CELLS_PER_BYTE, np.uint8)
    bounds = np.linspace(0, len(cells), work.cores + 1).astype(np.int64)
    done = 0
    with ThreadPoolExecutor(work.cores) as threads:
        for _, _, hashes in _window_hashes(work):
            parts = [
                threads.submit(span_kernels.mark, hashes, np.uint64(64 - bits), cells, low, high)
                for low, high in pairwise(bounds)
            ]
            for part in parts:
                part.result()
            done += len(hashes)
            current().advance(done, total, "windows")
    return cells


def _may_repeat(
    keys: np.ndarray, offsets: np.ndarray, hashes: np.ndarray, cells: np.ndarray
) -> pa.Table:
    """Return the rows of `occurrences` of a batch.

    Every window whose cell was seen more than once.
    """
    bits = int(np.log2(len(cells) * CELLS_PER_BYTE))
    kept, document, word, first = span_kernels.select(offsets, hashes, np.uint64(64 - bits), cells)
    return pa.table({"hash": kept, "row_key": keys[document], "word": word, "first": first})


@dataclass(frozen=True)
class _Counted:
    """Occurrences of repeated windows in text order.

    columns: row_key, word, hash, occurrences, documents.
    """

    columns: tuple[np.ndarray, ...]

    def until(self, key: int) -> int:
        """Return how many rows are of documents up to `key`."""
        return int(np.searchsorted(self.columns[0], np.uint64(key), "right"))


class _Cursor:
    """Gives the counted occurrences of one range of documents after another, from one stream."""

    def __init__(self, batches: Iterator[pa.RecordBatch]) -> None:
        self._batches = batches
        self._held = [self._empty()]

    @staticmethod
    def _empty() -> _Counted:
        kinds = (np.uint64, np.uint32, np.uint64, np.int64, np.int64)
        return _Counted(tuple(np.zeros(0, kind) for kind in kinds))

    def up_to(self, key: int) -> tuple[np.ndarray, ...]:
        """Return the rows of documents up to `key` that were not given yet."""
        while not len(self._held[-1].columns[0]) or self._held[-1].columns[0][-1] <= np.uint64(key):
            batch = next(self._batches, None)
            if batch is None:
                break
            self._held.append(_Counted(tuple(column.to_numpy() for column in batch.columns)))
        joined = tuple(
            np.concatenate(parts)
            for parts in zip(*(held.columns for held in self._held), strict=True)
        )
        cut = _Counted(joined).until(key)
        self._held = [_Counted(tuple(column[cut:] for column in joined))]
        return tuple(column[:cut] for column in joined)


def spans(work: Work) -> Receipt:
    """Reduce: find each document's maximal runs of repeated windows, and sum them up."""
    inputs = {"occurrences": work.paths("occurrences"), "windows": work.paths("windows")}
    cursor = _Cursor(stream("counted_occurrences", inputs, limits=limits(work)))
    rows_in = 0
    with (
        write_table(work.folder, "spans", work.key, SPANS) as out,
        write_table(work.folder, "repeats", work.key, REPEATS) as repeats,
    ):
        for path in work.paths("words"):
            for batch in read_batches(path, ["row_key", "layout"]):
                if not batch.num_rows:
                    continue
                keys = batch["row_key"].to_numpy()
                counted = cursor.up_to(int(keys[-1]))
                rows_in += len(counted[0])
                if len(counted[0]):
                    one, other = cut_spans(keys, batch["layout"], counted, work.config.window.words)
                    out.write(one)
                    repeats.write(other)
    return Receipt((out.record, repeats.record), rows_in, out.rows)


def cut_spans(
    keys: np.ndarray, layout: pa.Array, counted: tuple[np.ndarray, ...], size: int
) -> tuple[pa.Table, pa.Table]:
    """Return the rows of `spans` and `repeats` for a batch of documents.

    keys uint64[n] sorted; layout: the packed word positions of each; counted: see `_Counted`,
    sorted, all of these documents.
    """
    holders = np.unique(counted[0])
    place = np.searchsorted(keys, holders)
    offsets, starts, ends = text.decode_layouts(layout.take(pa.array(place)))
    document = np.searchsorted(holders, counted[0])
    rows, repeated, largest = span_kernels.cut(
        document, counted[1], counted[2], counted[3], counted[4], offsets, starts, ends, size
    )
    one = pa.table(
        {
            "row_key": holders[rows[:, 0]],
            "start_byte": rows[:, 1],
            "end_byte": rows[:, 2],
            "words": rows[:, 3],
            "max_count": rows[:, 4],
            "documents": rows[:, 5],
            "window": rows[:, 6].view(np.uint64),
        }
    )
    return one, pa.table(
        {"row_key": holders, "max_window_count": largest, "repeated_words": repeated}
    )
