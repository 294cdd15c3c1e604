"""The rows that go for what they hold, whatever else is decided about them.

Such a row is no keeper: what is removed has a keeper among the rows that do not go so. Nor does it
go for one, so that its own proof is what is told.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
import pyarrow.compute as pc

from pipeline.engine.stage import Work
from pipeline.engine.tables import read_table
from pipeline.filter.rules import decontaminate
from pipeline.text.arrays import Uint64
from schemas.filter.contaminated import CONTAMINATED
from schemas.filter.held import HELD

MINUS, HELD_REASON = "minus", "held"


def kept_out(work: Work) -> Iterator[tuple[str, str, Uint64]]:
    """Yield the name of a rule, its reason, and the keys of the rows that go by it, sorted."""
    if paths := work.paths("held"):
        yield MINUS, HELD_REASON, read_table(paths, HELD, ["row_key"])["row_key"].to_numpy()
    if paths := work.paths("contaminated"):
        table = read_table(paths, CONTAMINATED, ["row_key", "action"])
        going = table.filter(pc.equal(table["action"], "drop"))["row_key"]
        yield decontaminate.NAME, decontaminate.REASON, np.unique(going.to_numpy())


def apart(work: Work) -> Uint64:
    """Return the keys of all rows that go for what they hold, sorted, (rows,)."""
    return np.unique(np.concatenate([np.zeros(0, np.uint64), *(k for _, _, k in kept_out(work))]))


def removals(work: Work) -> list[tuple[str, pl.DataFrame]]:
    """Return the name of each rule and its removals, as a rule returns its own."""
    return [
        (
            rule,
            pl.DataFrame({"row_key": keys}, schema={"row_key": pl.UInt64}).select(
                "row_key",
                pl.lit(rule).alias("rule"),
                pl.lit(reason).alias("reason"),
                pl.lit(None, pl.UInt64).alias("keeper"),
            ),
        )
        for rule, reason, keys in kept_out(work)
    ]
