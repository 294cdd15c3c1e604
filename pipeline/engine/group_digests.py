"""Digests of a table's rows by group of shards, so that a change stops where it changes no row.

A reduce writes one table over the whole corpus. A map that reads the rows of its own group alone is
current as long as these are the same, whatever became of the others.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.corpus import Shard
from pipeline.engine.shards import shard_of

GROUPS = "groups"
"""The fact of a stage that holds its digests, by the key of a group."""
NO_ROWS = hashlib.blake2b(digest_size=16).hexdigest()
"""The digest of a group without rows, which may be newer than the table."""
FIVE_DIGITS = 100_000


def group_key(group: int) -> str:
    """Return the key of the unit of work over one group of shards; keys order as groups do."""
    return f"g{group:05d}" if group < FIVE_DIGITS else f"h{group:08d}"


def group_digests(
    shards: Sequence[Shard], *tables: Iterable[pa.Table | pa.RecordBatch]
) -> dict[str, str]:
    """Return a digest of the rows that each group has in some tables, by the group's key.

    It depends on the values alone, not on batches. The rows of one group are held at a time; rows
    of other shards are left out.

    Args:
        shards: those of the corpus, whose groups are wanted.
        tables: each in parts, whose first column is a row_key, or the number of a shard, and
            ascends.
    """
    hashes = {group_key(shard.group): hashlib.blake2b(digest_size=16) for shard in shards}
    of_shard = {shard.number: group_key(shard.group) for shard in shards}
    for place, parts in enumerate(tables):
        for key, rows in _by_group(of_shard, parts):
            hashes[key].update(b"%d:%d" % (place, rows.num_rows))
            for column in rows.columns:
                feed(hashes[key].update, column.combine_chunks())
    return {key: digest.hexdigest() for key, digest in sorted(hashes.items())}


def _by_group(
    of_shard: dict[int, str], parts: Iterable[pa.Table | pa.RecordBatch]
) -> Iterator[tuple[str, pa.Table]]:
    """Yield the rows of each group, once, with the group's key."""
    held: list[pa.Table] = []
    current = ""
    for part in parts:
        table = pa.table(part)
        first = table.column(0)
        keys = first.to_numpy()
        numbers = keys if table.schema.names[0] == "number" else shard_of(keys)
        starts = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]
        for low, high in itertools.pairwise(starts):
            if low == high:
                continue
            key = of_shard.get(int(numbers[low]), "")
            if key != current and held:
                yield current, pa.concat_tables(held)
                held = []
            current = key
            if key:
                held.append(table.slice(low, high - low))
    if held:
        yield current, pa.concat_tables(held)


def feed(update: Callable[[bytes | memoryview], None], array: pa.Array) -> None:
    """Give the values of a column to a hash, nulls apart from them.

    Args:
        update: of the hash.
        array: of a type that is primitive or holds bytes.
    """
    update(np.packbits(array.is_valid().to_numpy(zero_copy_only=False)).data)
    kind = array.type
    if pa.types.is_boolean(kind):
        array, kind = array.cast(pa.uint8()), pa.uint8()
    if pa.types.is_primitive(kind):
        update(_filled(array, 0).to_numpy(zero_copy_only=False).tobytes())
        return
    data = _filled(array.cast(pa.large_binary()), b"")
    ends = np.frombuffer(data.buffers()[1], np.int64)[data.offset : data.offset + len(data) + 1]
    update(np.diff(ends).tobytes())
    if len(data) and ends[-1] > ends[0]:
        update(memoryview(data.buffers()[2])[ends[0] : ends[-1]])


def _filled(array: pa.Array, value: object) -> pa.Array:
    """Return a column with a value in place of nulls."""
    return pc.fill_null(array, value) if array.null_count else array
