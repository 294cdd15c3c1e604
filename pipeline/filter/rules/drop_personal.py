"""Remove documents that hold personal data."""

from __future__ import annotations

import polars as pl

from pipeline.config.policy import DROP_PERSONAL, PolicyConfig
from pipeline.filter.rules.with_keepers import with_keepers

NAME, REASON = DROP_PERSONAL, "personal"


def drop_personal(documents: pl.DataFrame, policy: PolicyConfig) -> pl.DataFrame:
    """Return row_key, rule, reason and keeper of the documents with `policy.personal` finds.

    A keeper is removed with all rows that have it as their keeper. If one of these may not be
    removed, the keeper and all of them stay.

    Args:
        documents: as `rules.prepared` returns them, with `finds`, the finds in each.
        policy: how many are too many.
    """
    holding = documents.filter(
        pl.col("rule").is_null(),
        pl.col("finds") >= policy.personal,
        pl.col(NAME),
        ~pl.col("spared"),
    )
    return with_keepers(documents, holding["row_key"], NAME, REASON)
