"""Maximal runs of repeated windows, cut out of one chunk of documents."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pipeline.scan.repeats import span_kernels
from pipeline.scan.words import Chunk
from schemas.scan.windows import WINDOWS


def cut_spans(chunk: Chunk, counted: tuple[np.ndarray, ...], size: int) -> tuple[pa.Table, ...]:
    """Return the rows of `windows`, `spans` and `repeats` of one chunk.

    Args:
        chunk: documents with the positions of their words.
        counted: document (its place in the chunk), word, hash, occurrences and documents of each
            repeated window, in text order, each (windows,).
        size: words of a window.
    """
    rows, repeated, largest = span_kernels.cut(
        *counted, chunk.words.offsets, chunk.words.starts, chunk.words.ends, size
    )
    document, word, _, *numbers = counted
    runs = span_kernels.runs(document, word, *numbers)
    windows = [chunk.keys[runs[:, 0]], *(runs[:, n] for n in range(1, 5))]
    spans = pa.table(
        {
            "row_key": chunk.keys[rows[:, 0]],
            "start_byte": rows[:, 1],
            "end_byte": rows[:, 2],
            "words": rows[:, 3],
            "max_count": rows[:, 4],
            "documents": rows[:, 5],
            "window": rows[:, 6].view(np.uint64) if len(rows) else np.zeros(0, np.uint64),
        }
    )
    holders = np.flatnonzero(largest)
    repeats = pa.table(
        {
            "row_key": chunk.keys[holders],
            "max_window_count": largest[holders],
            "repeated_words": repeated[holders],
        }
    )
    return pa.table(windows, names=WINDOWS.names), spans, repeats
