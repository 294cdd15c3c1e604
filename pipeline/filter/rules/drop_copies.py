"""Remove the documents that have a keeper: exact copies, verified near copies and excerpts."""

from __future__ import annotations

import polars as pl

from pipeline.config.policy import PolicyConfig

NAME = "drop-copies"
REASONS = {"exact": "exact_copy", "near": "near_copy", "contained": "contained"}


def drop_copies(documents: pl.DataFrame, _policy: PolicyConfig) -> pl.DataFrame:
    """Return row_key, rule, reason and keeper of each document that a keeper stands for.

    Args:
        documents: the documents as `rules.prepared` returns them.
        _policy: not used; every rule takes one.
    """
    removed = documents.filter(
        pl.col("keeper").is_not_null(), pl.col(NAME), ~pl.col("spared"), pl.col("rule").is_null()
    )
    return as_copies(removed, NAME)


def as_copies(removed: pl.DataFrame, rule: str) -> pl.DataFrame:
    """Return row_key, rule, reason and keeper of rows that a rule removes for their keepers."""
    return removed.select(
        "row_key",
        pl.lit(rule).alias("rule"),
        pl.col("method").replace_strict(REASONS, return_dtype=pl.String).alias("reason"),
        "keeper",
    )
