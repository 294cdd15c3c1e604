"""The table `pairs`: every candidate pair that is near enough, with its exact Jaccard.

The shared shingles are counted from the table `words` (`pipeline.scan.shingle_sets`), so that no
text is read again.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from pipeline.engine.progress import current
from pipeline.engine.spill import spilling
from pipeline.engine.stage import Receipt, Work
from pipeline.engine.tables import ROW_GROUP, count_rows, evenly, read_batches, write_table
from pipeline.scan.shingle_sets import ROWS_AT_ONCE, Criterion, shared_shingles, slabs
from pipeline.scan.words import ChunkPlace, chunk_places, hold_words
from pipeline.text.arrays import Uint64
from schemas.scan.pairs import PAIRS

VERSION = 3


def pairs(work: Work) -> Receipt:
    """Write the table `pairs`: every candidate at or above `near.count_threshold`, verified.

    A *reduce* stage.
    """
    seed, places = work.config.sketch.seed, chunk_places(work.paths("words"))
    tried = count_rows(work.paths("candidates"))
    with write_table(work.folder, "pairs", work.key, PAIRS) as out:
        for batch in evenly(_found(work, places), ROW_GROUP):
            out.write(batch)
    vocabulary = 0
    if out.rows:
        with spilling(work.folder, work.memory // 3 or 2**62) as spill:
            vocabulary = hold_words(places, seed, spill, work.cores)
    facts = {"candidates": tried, "pairs": out.rows, "vocabulary": vocabulary}
    return Receipt((out.record,), tried, out.rows, facts)


def _found(work: Work, places: list[ChunkPlace]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of `pairs` in order."""
    tried = 0
    listed = (
        batch for path in work.paths("candidates") for batch in read_batches(path, ["a", "b"])
    )
    for a, b in slabs(work, listed):
        for table in verified(work, places, a, b):
            yield from table.to_batches()
        tried += len(a)
        current().advance(tried, 0, "pairs verified")


def verified(work: Work, places: list[ChunkPlace], a: Uint64, b: Uint64) -> Iterator[pa.Table]:
    """Yield the rows of `pairs` for some candidates, in their order."""
    test = Criterion(work.config.near.count_threshold)
    inter, size_a, size_b = shared_shingles(work, places, a, b, test)
    union = size_a + size_b - inter
    near = np.flatnonzero(inter)
    for low in range(0, len(near), ROWS_AT_ONCE):
        rows = near[low : low + ROWS_AT_ONCE]
        yield pa.table(
            {
                "a": a[rows],
                "b": b[rows],
                "inter": inter[rows].astype(np.uint32),
                "union": union[rows].astype(np.uint32),
                "size_a": size_a[rows].astype(np.uint32),
                "size_b": size_b[rows].astype(np.uint32),
                "jaccard": inter[rows] / union[rows],
            }
        )
