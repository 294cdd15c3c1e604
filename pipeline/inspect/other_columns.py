"""In which of the user's columns removed copies differ from the row that stays in their place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.config.sections import InputConfig
from pipeline.corpus import Shard, read_documents, shard_columns
from pipeline.corpus.fields import top_of
from pipeline.engine.shards import row_keys, shard_of
from pipeline.text.arrays import Uint64

Values = dict[str, Any]


@dataclass(frozen=True)
class OtherColumns:
    """How many removed copies have another value than the row that stays.

    Attributes:
        compared: removed rows that were looked at.
        differing: how many of them differ, by column, the most first.
    """

    compared: int
    differing: tuple[tuple[str, int], ...]


def other_columns(
    shards: Sequence[Shard], config: InputConfig, kept: int, removed: Sequence[int]
) -> OtherColumns:
    """Compare the columns of removed rows with those of the row that stays, read from the corpus.

    Texts and ids are left out, since near copies and names differ anyway, and so are columns that
    one of the two files has not.

    Args:
        shards: those of the rows; each is read no further than its last one.
        config: the settings that the corpus was scanned with.
        kept: row_key of the row that stays.
        removed: row_keys of the removed ones.
    """
    wanted = np.unique(np.array([kept, *removed], np.uint64))
    rows: dict[int, Values] = {}
    for shard in shards:
        own = wanted[shard_of(wanted) == shard.number]
        if own.size:
            rows |= _rows_of_shard(shard, config, own)
    staying = rows.pop(kept, {})
    counted = Counter(
        name
        for values in rows.values()
        for name in values.keys() & staying.keys()
        if values[name] != staying[name]
    )
    ordered = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    return OtherColumns(len(rows), tuple(ordered))


def _rows_of_shard(shard: Shard, config: InputConfig, wanted: Uint64) -> dict[int, Values]:
    """Return the values of the wanted rows of a shard, by row_key."""
    columns = shard_columns(shard, config)
    own = {*columns.text, columns.id}
    found: dict[int, Values] = {}
    for batch in read_documents(shard, config, everything=True):
        keys = row_keys(shard.number, batch.rows)
        taken = np.flatnonzero(np.isin(keys, wanted))
        if taken.size and batch.columns is not None:
            known = batch.columns.schema.names
            tops = {top_of(name, known) for name in own if name is not None}
            names = [name for name in known if name not in tops]
            chosen = batch.columns.select(names).take(pa.array(taken))
            for place, key in enumerate(keys[taken].tolist()):
                found[key] = {name: _value(chosen[name][place]) for name in names}
        if keys.size and keys[-1] >= wanted[-1]:
            break
    return found


def _value(scalar: pa.Scalar) -> object:
    """Return a value as Python has it, or as Arrow does where Python has none: nanoseconds."""
    try:
        return scalar.as_py()
    except ValueError:
        return scalar
