"""Texts of some rows by their keys, read again from the shards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from pipeline.config.sections import InputConfig
from pipeline.corpus import Shard, read_documents
from pipeline.engine.shards import key_range, row_keys, row_of
from pipeline.text.arrays import Uint64


def texts_of_rows(
    shards: Iterable[Shard], config: InputConfig, keys: Uint64
) -> Iterator[tuple[int, str]]:
    """Yield (row_key, text) of the wanted rows, in the order of the shards and then of the rows.

    Only shards that hold a wanted row are read, each no further than the batch of its last one, and
    of Parquet only the row groups that hold one; one batch of documents is in memory at a time. A
    row that a shard does not have is passed over.
    Raises CorruptFile where a shard is damaged before its last wanted row.

    Args:
        shards: the shards to look in.
        config: the settings that the corpus was scanned with.
        keys: the wanted row keys, in any order, (rows,).
    """
    wanted = np.unique(keys)
    for shard in shards:
        low, high = (np.uint64(key) for key in key_range(shard.number))
        own = wanted[np.searchsorted(wanted, low) : np.searchsorted(wanted, high, "right")]
        if own.size:
            yield from _texts_of_shard(shard, config, own)


def _texts_of_shard(shard: Shard, config: InputConfig, wanted: Uint64) -> Iterator[tuple[int, str]]:
    for batch in read_documents(shard, config, wanted=row_of(wanted).astype(np.int64)):
        keys = row_keys(shard.number, batch.rows)
        taken = np.flatnonzero(np.isin(keys, wanted))
        if taken.size:
            texts = batch.texts.take(pa.array(taken)).to_pylist()
            yield from zip(keys[taken].tolist(), texts, strict=True)
        if keys.size and keys[-1] >= wanted[-1]:
            return
