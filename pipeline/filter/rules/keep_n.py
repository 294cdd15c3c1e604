"""Keep some of the copies: a keeper and the first of those that have it as their keeper."""

from __future__ import annotations

import polars as pl

from pipeline.config.policy import PolicyConfig
from pipeline.filter.rules.drop_copies import as_copies

NAME = "keep-n"


def keep_n(documents: pl.DataFrame, _policy: PolicyConfig) -> pl.DataFrame:
    """Return the documents that go to a keeper but for `n - 1` of them, the first by rank.

    Those that no rule may take come first and count. documents: see `decisions.frame`; `n` is of
    the row's own source.
    """
    named = documents.filter(pl.col("keeper").is_not_null(), pl.col("rule").is_null())
    placed = named.sort("keeper", ~pl.col("spared"), "rank").with_columns(
        pl.int_range(pl.len()).over("keeper").alias("place")
    )
    gone = placed.filter(pl.col("place") >= pl.col("n") - 1, pl.col(NAME), ~pl.col("spared"))
    return as_copies(gone.sort("row_key"), NAME)
