"""Which rows loaded proxies were trained on, as a column of the corpus says (`proxy.seen_column`).

Users who hold a part of their corpus back, or know what a checkpoint had seen, declare it by row.
What was not seen is the floor, and is forecast as text that no proxy saw.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config.sections import Config
from pipeline.corpus import Shard, read_documents
from pipeline.engine.manifest import load_manifest
from pipeline.engine.shards import row_keys
from pipeline.engine.stage import Work
from pipeline.errors import SchemaMismatch
from pipeline.score.sequences.catalogue import Catalogue
from pipeline.text.arrays import Flags, Int64

SEEN, NOT_SEEN = ("true", "yes", "1"), ("false", "no", "0", "")  # in columns of strings
WHERE = "proxy.seen_column"


def seen_rows(work: Work, known: Catalogue) -> Flags | None:
    """Return which documents the loaded proxies were trained on; None where no column says it.

    Args:
        work: of the stage; every shard is read once.
        known: the documents.

    Raises:
        SchemaMismatch: when a shard has no such column, or one of neither numbers nor yes and no.
    """
    column = work.config.proxy.seen_column
    if column is None or not work.config.proxy.models:
        return None
    parts = [np.zeros(0, np.uint64)]
    for shard in work.shards:
        for batch in read_documents(shard, work.config.input, everything=True):
            values = batch.columns
            if values is None or column not in values.schema.names:
                raise _unusable(shard, column, "no such column")
            flags = _flags(values[column], shard, column)
            parts.append(row_keys(shard.number, batch.rows)[flags])
    return np.isin(known.row_key, np.concatenate(parts))


def of_copies(known: Catalogue, seen: Flags) -> Int64:
    """Return how many copies of each document's text were not seen, and were, (documents, 2)."""
    _, place = np.unique(known.representative, return_inverse=True)
    times = np.column_stack([np.bincount(place, own) for own in (~seen, seen)])
    return np.asarray(times[place], np.int64)


def digests(folder: Path, config: Config) -> Any:  # noqa: ANN401 - JSON
    """Return what tells that the column changed though no text did; None where none is read."""
    if config.proxy.seen_column is None or not config.proxy.models:
        return None
    shards = load_manifest(folder)["corpus"]["shards"]
    return [shard["content_digest"] for shard in shards if shard["active"]]


def _flags(values: pa.Array, shard: Shard, column: str) -> Flags:
    """Return which values say that a row was seen; a null says that it was not."""
    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        words = pc.utf8_lower(pc.utf8_trim_whitespace(values)).fill_null("")
        flags = pc.is_in(words, pa.array(SEEN, kind))
        if not pc.all(pc.or_(flags, pc.is_in(words, pa.array(NOT_SEEN, kind)))).as_py():
            raise _unusable(shard, column, "words that are neither")
    elif pa.types.is_boolean(kind):
        flags = values.fill_null(False)
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
        flags = pc.greater(values.cast(pa.float64()), 0.0).fill_null(False)
    elif pa.types.is_null(kind):
        flags = pa.array([False] * len(values), pa.bool_())
    else:
        raise _unusable(shard, column, f"values of type {kind}")
    return np.asarray(flags.to_numpy(zero_copy_only=False), np.bool_)


def _unusable(shard: Shard, column: str, found: str) -> SchemaMismatch:
    return SchemaMismatch(
        "It is not told which rows the loaded models were trained on.",
        where=f"{shard.name}, column {column!r} ({WHERE})",
        found=found,
        expected="true or false, yes or no, or how often (0 for never), in every file",
        fix="name another column, or none: then they saw all of the corpus",
    )
