"""In which of the user's columns removed copies differ from the rows that stay: labels, splits."""

from __future__ import annotations

from collections.abc import Sequence, Set
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.corpus import shard_columns
from pipeline.corpus.fields import INSIDE
from pipeline.engine.stage import Work
from pipeline.engine.tables import Row

MOST_ROWS = 1_000_000  # removed ones, the first
MOST_COLUMNS = 40
LISTED = 10
LOOKED_AT = 20  # shards whose columns of text and id are asked for


def other_values(work: Work) -> Row | None:
    """Return in how many removed copies each column has another value than in the row that stays.

    Texts and ids are left out, and so are lists, structs and columns
    of several types. Where one of the two has no value they
    do not differ: its file may lack the column. Values are compared by 64-bit hashes.
    None where there is nothing to compare: no filter, JSON Lines, no other column.
    """
    kept, removed = (work.paths(name) for name in ("kept", "removed"))
    own = work.config.emit.column
    if not kept or not removed or kept[0].suffix != ".parquet":
        return None
    names = _compared([*kept, *removed], _texts_and_ids(work) | {own})
    if not names:
        return None
    gone = _hashed(removed, names, pl.col(own).struct.field("keeper"))
    gone = gone.filter(pl.col("row").is_not_null()).head(MOST_ROWS)
    stay = _hashed(kept, names, pl.col(own).struct.field("row_key"))
    differs = [
        (pl.col(f"{place}") != pl.col(f"{place}_right")).sum().alias(name)
        for place, name in enumerate(names)
    ]
    met = gone.join(stay, on="row").select(pl.len().alias(""), *differs)
    [found] = met.collect(engine="streaming").to_dicts()
    rows = int(found.pop(""))
    columns = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return {
        "rows": rows,
        "columns": [
            {"column": name, "rows": int(count)} for name, count in columns[:LISTED] if count
        ],
    }


def _compared(paths: Sequence[Path], left_out: Set[str]) -> list[str]:
    """Return the columns that are compared: those that are of one type in all files."""
    schemas = [pq.read_schema(path) for path in paths]
    return [
        field.name
        for field in schemas[0]
        if field.name not in left_out
        and not pa.types.is_nested(field.type)
        and not pa.types.is_null(field.type)
        and all(field.name in own.names and own.field(field.name).type == field.type
                for own in schemas)
    ][:MOST_COLUMNS]  # fmt: skip


def _hashed(paths: Sequence[Path], names: Sequence[str], key: pl.Expr) -> pl.LazyFrame:
    """Return a row's key and the hash of each column, null where it has no value."""
    columns = [
        pl.when(pl.col(name).is_not_null()).then(pl.col(name).hash()).alias(f"{place}")
        for place, name in enumerate(names)
    ]
    coded = pl.selectors.by_dtype(pl.Categorical, pl.Enum)  # by each file in its own way
    return pl.concat(
        pl.scan_parquet(path).with_columns(coded.cast(pl.String)).select(key.alias("row"), *columns)
        for path in paths
    )


def _texts_and_ids(work: Work) -> frozenset[str]:
    """Return the columns that are read as text or id in some of the shards."""
    names: set[str] = set()
    for shard in work.shards[:LOOKED_AT]:
        columns = shard_columns(shard, work.config.input)
        own = [*columns.text, *([columns.id] if columns.id else [])]
        names |= {*own, *(name.partition(INSIDE)[0] for name in own)}
    return frozenset(names)
