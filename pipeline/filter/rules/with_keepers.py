"""Remove rows for what they hold, each keeper among them with all rows that it stands for."""

from __future__ import annotations

import polars as pl


def with_keepers(documents: pl.DataFrame, rows: pl.Series, rule: str, reason: str) -> pl.DataFrame:
    """Return row_key, rule, reason and keeper of rows and of those that have one as their keeper.

    If one of the latter may not be removed, the keeper and all of them stay.

    Args:
        documents: as `rules.prepared` returns them.
        rows: keys of the rows to remove.
        rule: its name, and the column that says which rows it may remove.
        reason: why.
    """
    named = documents.filter(pl.col("keeper").is_in(rows.implode()))
    needed = named.filter(pl.col("spared") | ~pl.col(rule))["keeper"]
    going = rows.filter(~rows.is_in(needed.implode()))
    removed = documents.filter(
        pl.col("row_key").is_in(going.implode())
        | (pl.col("keeper").is_in(going.implode()) & pl.col(rule) & ~pl.col("spared"))
    )
    return removed.select(
        "row_key",
        pl.lit(rule).alias("rule"),
        pl.lit(reason).alias("reason"),
        pl.lit(None, pl.UInt64).alias("keeper"),
    )
