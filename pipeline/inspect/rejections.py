"""Find rejected rows by name: by shard and row, or by the id in the user's columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.engine.tables import Row


def rejections(
    paths: Sequence[Path],
    id_columns: Sequence[str],
    names: Sequence[str],
    place: tuple[str, int] | None,
    most: int,
) -> list[Row]:
    """Return doc_id, shard, shard_row, reason and text_bytes of the rejected rows of a name.

    Args:
        paths: the files of the table `rejected`.
        id_columns: names that the id's column may have; the first that is there counts.
        names: the ids that it may be; the first is what was typed.
        place: shard and row, if the name is one.
        most: rows to return at most.
    """
    found: list[Row] = []
    for path in paths:
        table = pq.ParquetFile(path).read(columns=None)
        wanted = _at_place(table, place) if place else None
        ids = _ids(table, id_columns)
        if ids is not None:
            with_id = pc.is_in(ids, pa.array(names, pa.string()))
            wanted = with_id if wanted is None else pc.or_kleene(wanted, with_id)
        if wanted is None:
            continue
        for row in table.filter(wanted).to_pylist():
            text = row["text"]
            found.append(
                {
                    "doc_id": names[0],
                    "shard": row["shard"],
                    "shard_row": row["row"],
                    "reason": row["reason"],
                    "text_bytes": None if text is None else len(text),
                }
            )
    return found[:most]


def _at_place(table: pa.Table, place: tuple[str, int]) -> pa.ChunkedArray:
    return pc.and_(pc.equal(table["shard"], place[0]), pc.equal(table["row"], place[1]))


def _ids(table: pa.Table, columns: Sequence[str]) -> pa.ChunkedArray | None:
    """Return the user's ids as strings, from the first such column; None without one."""
    if "record" not in table.schema.names:
        return None
    kind = table.schema.field("record").type
    known = [name for name in columns if kind.get_field_index(name) >= 0]
    if not known:
        return None
    column = known[0]
    ids = pc.struct_field(table["record"], column)
    return pc.cast(ids, pa.string()) if not pa.types.is_nested(ids.type) else None
