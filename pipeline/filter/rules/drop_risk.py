"""Drop what is still likely to be memorized from the rows that the rules before leave."""

from __future__ import annotations

import polars as pl

from pipeline.config.policy import PolicyConfig

NAME = "drop-risk"


def drop_risk(documents: pl.DataFrame, policy: PolicyConfig) -> pl.DataFrame:
    """Return the risky documents, each keeper with all rows that have it as their keeper.

    A keeper with a row that may not go stays, and so do the rows that name it. Without a forecast
    no document is risky. documents: see `decisions.frame`; `risk` is the threshold of the row's
    own source, 0 for none.
    """
    standing = documents.filter(pl.col("rule").is_null(), pl.col("risk_after").is_not_null())
    most = int(policy.risk_share * standing.height)
    placed = standing.sort(pl.col("risk_after"), "rank", descending=[True, False]).with_columns(
        (pl.int_range(pl.len()) < most).alias("among")
    )
    risky = placed.filter(
        pl.col("among") | ((pl.col("risk") > 0) & (pl.col("risk_after") >= pl.col("risk"))),
        pl.col(NAME),
        ~pl.col("spared"),
    )["row_key"]
    named = documents.filter(pl.col("keeper").is_in(risky.implode()))
    held = named.filter(pl.col("spared") | ~pl.col(NAME))["keeper"]
    heads = risky.filter(~risky.is_in(held.implode()))
    gone = documents.filter(
        pl.col("row_key").is_in(heads.implode())
        | (pl.col("keeper").is_in(heads.implode()) & pl.col(NAME) & ~pl.col("spared"))
    )
    return gone.select(
        "row_key",
        pl.lit(NAME).alias("rule"),
        pl.lit("risk").alias("reason"),
        pl.lit(None, pl.UInt64).alias("keeper"),
    )
