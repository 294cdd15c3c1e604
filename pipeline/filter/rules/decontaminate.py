"""Remove or cut rows that hold an item of an evaluation set."""

from __future__ import annotations

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config.sections import Config
from pipeline.engine.stage import Work
from pipeline.engine.tables import conform, read_table
from pipeline.filter.rules.cuts import Cut
from schemas.filter.contaminated import PASSAGES
from schemas.filter.decisions import CUTS

NAME, REASON, CUT_REASON = "decontaminate", "contaminated", "item_cut"


def cuts_items(config: Config) -> bool:
    """Tell whether the words of items are cut out of rows."""
    return bool(config.decontaminate.files) and config.decontaminate.action == "cut"


def item_cuts(work: Work, state: pl.DataFrame) -> Cut:
    """Return what is cut out of the rows that stay, since it is an item's.

    Args:
        work: the unit of work of the decisions.
        state: the documents after all rules.
    """
    free = state.filter(pl.col("rule").is_null(), ~pl.col("spared"))["row_key"]
    ranges = read_table(work.paths("passages"), PASSAGES)
    own = pc.is_in(ranges["row_key"], pa.array(free.to_numpy(), pa.uint64()))
    ranges = ranges.filter(own)
    ranges = conform(ranges.append_column("instead", pa.nulls(len(ranges), pa.string())), CUTS)
    facts = {
        "documents": len(ranges["row_key"].unique()),
        "ranges": ranges.num_rows,
        "words": sum(ranges["words"].to_pylist()),
        "bytes": sum(ranges["end_byte"].to_pylist()) - sum(ranges["start_byte"].to_pylist()),
        "too_short_and_left": 0,
        "too_short_and_dropped": 0,
    }
    return Cut(ranges, Cut.nothing().short, {"cut": facts})


def with_item_cuts(state: pl.DataFrame, cut: Cut) -> pl.DataFrame:
    """Return the documents with the rule entered where it cuts."""
    keys = pl.Series(cut.ranges["row_key"].unique().to_numpy(), dtype=pl.UInt64)
    here = pl.col("row_key").is_in(keys.implode())
    return state.with_columns(
        rule=pl.when(here).then(pl.lit(NAME)).otherwise("rule"),
        reason=pl.when(here).then(pl.lit(CUT_REASON)).otherwise("reason"),
    )
