"""Compute sampling weights: instead of removing copies, each of them is drawn less often."""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa

from pipeline.engine.query import limits, run
from pipeline.engine.stage import Work
from pipeline.text.arrays import Uint64


def weights(work: Work, documents: pa.Table, gone: Uint64) -> pl.Series:
    """Return the sampling weight of each document that stays, null for a removed one, (documents,).

    The weight is one over the document's count among the rows that stay. With `exact` the weights
    of a group of equal texts add up to one, with `effective` to less where it has near copies.

    Args:
        work: the unit of work of the decisions.
        documents: the columns row_key and representative.
        gone: keys of the removed rows, sorted.
    """
    texts = documents["representative"].unique().sort()
    counts = run(
        "filter/effective_after",
        {
            "copies": work.paths("documents"),
            "pairs": work.paths("pairs"),
            "gone": pa.table({"row_key": gone}),
            "wanted": pa.table({"representative": texts}),
        },
        limits=limits(work),
    )
    name = "exact_count" if work.config.mitigation.weights == "exact" else "effective_count"
    place = np.searchsorted(counts["representative"].to_numpy(), documents["representative"])
    count = np.maximum(1.0, counts[name].to_numpy()[place])
    keys = documents["row_key"].to_numpy()
    return pl.Series(np.where(np.isin(keys, gone), np.nan, 1.0 / count)).fill_nan(None)
