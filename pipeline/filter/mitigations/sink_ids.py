"""Number texts for memory sinks (MemSinks): one number for all copies and near copies of a text.

The number is the first 64 bits of the hash of the text that was seen first. Rows keep their keys as
long as the run folder lives and those of later shards are larger. So a cluster keeps its number
when shards are added; when clusters join, the number of the oldest stays.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.engine.shards import key_range
from pipeline.scan.components import components
from pipeline.text.arrays import Uint64


def sink_ids(documents: pa.Table, near: pa.Table) -> Uint64:
    """Return the sink id of each document, (documents,).

    Args:
        documents: row_key (sorted), representative and text_hash.
        near: the columns a and b of the verified near copies.
    """
    keys = documents["row_key"].to_numpy()
    labels = components(keys, [documents.select(["row_key", "representative"]), near])
    _, first = np.unique(labels, return_index=True)  # keys are sorted: the oldest of each
    hashes = documents["text_hash"].combine_chunks().take(pa.array(first))
    numbers = np.array([int.from_bytes(h[:8], "big") for h in hashes.to_pylist()], np.uint64)
    return np.asarray(numbers[labels])


def changed_sinks(documents: pa.Table, near: pa.Table, known_shards: int) -> int:
    """Return how many documents have another sink id since the last shards were added.

    Args:
        documents: row_key (sorted), representative and text_hash.
        near: the columns a and b of the verified near copies.
        known_shards: how many shards there were before.
    """
    edge = pa.scalar(key_range(known_shards)[0], pa.uint64())
    old = documents.filter(pc.less(documents["row_key"], edge))
    if not old.num_rows or old.num_rows == documents.num_rows:
        return 0
    among = pc.and_(pc.less(near["a"], edge), pc.less(near["b"], edge))
    before = sink_ids(old, near.filter(among))
    return int((before != sink_ids(documents, near)[: old.num_rows]).sum())
