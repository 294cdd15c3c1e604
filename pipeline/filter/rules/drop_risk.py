"""Remove documents that are still likely to be memorized after the rules before this one."""

from __future__ import annotations

import polars as pl

from pipeline.config.policy import PolicyConfig
from pipeline.filter.rules.with_keepers import with_keepers

NAME = "drop-risk"


def drop_risk(documents: pl.DataFrame, policy: PolicyConfig) -> pl.DataFrame:
    """Return row_key, rule, reason and keeper of the risky documents.

    A keeper is removed with all rows that have it as their keeper. If one of these may not be
    removed, the keeper and all of them stay. A document without a forecast is not risky.

    Args:
        documents: as `rules.prepared` returns them, with `risk_after`; `risk` is the threshold of
            the row's own source, 0 for none.
        policy: its `risk_share` of the documents with a forecast is risky as well.
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
    return with_keepers(documents, risky, NAME, "risk")
