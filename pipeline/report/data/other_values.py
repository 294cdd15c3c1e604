"""In which of the user's columns removed copies differ from the rows that stay: labels, splits."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

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

    Texts and ids are left out, and so are lists and structs. Where one of the two has no value they
    do not differ: its file may lack the column. Values are compared by 64-bit hashes.
    None where there is nothing to compare: no filter, JSON Lines, no other column.
    """
    kept, removed = (work.paths(name) for name in ("kept", "removed"))
    own = work.config.emit.column
    if not kept or not removed or kept[0].suffix != ".parquet":
        return None
    names = _compared(pl.scan_parquet(kept), _texts_and_ids(work), own)
    if not names:
        return None
    key, keeper = (pl.col(own).struct.field(name) for name in ("row_key", "keeper"))
    schema = pl.scan_parquet(kept).collect_schema()
    coded = {name for name in names if schema[name] in (pl.Categorical, pl.Enum)}  # by each file
    hashed = [
        pl.when(pl.col(name).is_not_null())
        .then((pl.col(name).cast(pl.String) if name in coded else pl.col(name)).hash())
        .alias(f"{place}")
        for place, name in enumerate(names)
    ]
    gone = pl.scan_parquet(removed).select(keeper.alias("row"), *hashed)
    gone = gone.filter(pl.col("row").is_not_null()).head(MOST_ROWS)
    stay = pl.scan_parquet(kept).select(key.alias("row"), *hashed)
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


def _compared(rows: pl.LazyFrame, left_out: frozenset[str], own: str) -> Sequence[str]:
    """Return the columns that are compared."""
    return [
        name
        for name, kind in rows.collect_schema().items()
        if name not in left_out and name != own and not kind.is_nested() and kind != pl.Null
    ][:MOST_COLUMNS]


def _texts_and_ids(work: Work) -> frozenset[str]:
    """Return the columns that are read as text or id in some of the shards."""
    names: set[str] = set()
    for shard in work.shards[:LOOKED_AT]:
        columns = shard_columns(shard, work.config.input)
        own = [*columns.text, *([columns.id] if columns.id else [])]
        names |= {*own, *(name.partition(INSIDE)[0] for name in own)}
    return frozenset(names)
