"""Drop the documents that have a keeper: exact copies, verified near copies and excerpts."""

from __future__ import annotations

import polars as pl

REASONS = {"exact": "exact_copy", "near": "near_copy", "contained": "contained"}


def drop_copies(documents: pl.DataFrame) -> pl.DataFrame:
    """Return row_key, rule, reason and keeper of each document that goes to a keeper."""
    return documents.filter(pl.col("keeper").is_not_null()).select(
        "row_key",
        pl.lit("drop-copies").alias("rule"),
        pl.col("method").replace_strict(REASONS, return_dtype=pl.String).alias("reason"),
        "keeper",
    )
