"""All that is known of each document's repetitions before any removal threshold, in one row."""

from __future__ import annotations

import pyarrow as pa

from pipeline.engine.query import limits, stream
from pipeline.engine.stage import Receipt, Work
from pipeline.engine.tables import count_rows, write_table
from schemas.scan.counts import COUNTS

VERSION = 3


def counts(work: Work) -> Receipt:
    """Write the table `counts`: the scan's tables joined into one row per document.

    A *reduce* stage, in DuckDB.
    """
    tables = ("signatures", "copies", "pairs", "buckets", "repeats", "families")
    shards = pa.table(
        {
            "number": pa.array([shard.number for shard in work.shards], pa.uint64()),
            "name": pa.array([shard.name for shard in work.shards], pa.string()),
            "folder": pa.array([shard.source_group for shard in work.shards], pa.string()),
            "split": pa.array([shard.split for shard in work.shards], pa.string()),
        }
    )
    inputs = {"shards": shards, **{table: work.paths(table) for table in tables}}
    params = {"cap": work.config.near.bucket_cap, "window_words": work.config.window.words}
    with write_table(work.folder, "counts", work.key, COUNTS) as out:
        for batch in stream("scan/counts", inputs, params, limits(work)):
            out.write(batch)
    return Receipt((out.record,), count_rows(work.paths("signatures")), out.rows)
