"""Drop the documents that have a keeper: exact copies, verified near copies and excerpts."""

from __future__ import annotations

import polars as pl

from pipeline.config.policy import PolicyConfig

NAME = "drop-copies"
REASONS = {"exact": "exact_copy", "near": "near_copy", "contained": "contained"}


def drop_copies(documents: pl.DataFrame, _policy: PolicyConfig) -> pl.DataFrame:
    """Return row_key, rule, reason and keeper of each document that goes to a keeper.

    documents: see `decisions.frame`.
    """
    gone = documents.filter(
        pl.col("keeper").is_not_null(), pl.col(NAME), ~pl.col("spared"), pl.col("rule").is_null()
    )
    return as_copies(gone, NAME)


def as_copies(gone: pl.DataFrame, rule: str) -> pl.DataFrame:
    """Return the removals of rows that a keeper stands for."""
    return gone.select(
        "row_key",
        pl.lit(rule).alias("rule"),
        pl.col("method").replace_strict(REASONS, return_dtype=pl.String).alias("reason"),
        "keeper",
    )
