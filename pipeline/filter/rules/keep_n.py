"""Keep n copies of each text: its keeper and the best-ranked documents that have that keeper."""

from __future__ import annotations

import polars as pl

from pipeline.config.policy import PolicyConfig
from pipeline.filter.rules.drop_copies import as_copies

NAME = "keep-n"


def keep_n(documents: pl.DataFrame, _policy: PolicyConfig) -> pl.DataFrame:
    """Return row_key, rule, reason and keeper of the copies that are too many.

    Of the documents with one keeper the first `n - 1` by rank stay, those that no rule may remove
    before all others.

    Args:
        documents: as `rules.prepared` returns them, with `rank`; `n` is that of the row's source.
        _policy: not used; every rule takes one.
    """
    named = documents.filter(pl.col("keeper").is_not_null(), pl.col("rule").is_null())
    placed = named.sort("keeper", ~pl.col("spared"), "rank").with_columns(
        pl.int_range(pl.len()).over("keeper").alias("place")
    )
    removed = placed.filter(pl.col("place") >= pl.col("n") - 1, pl.col(NAME), ~pl.col("spared"))
    return as_copies(removed.sort("row_key"), NAME)
