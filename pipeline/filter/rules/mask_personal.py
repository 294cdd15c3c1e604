"""Write what it is in place of each piece of personal data, in the rows that stay."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config.policy import MASK_PERSONAL
from pipeline.config.sections import Config
from pipeline.engine.stage import Work
from pipeline.engine.tables import conform, read_table
from pipeline.filter.rules.cuts import Cut
from schemas.filter.decisions import CUTS
from schemas.filter.personal import PERSONAL

NAME, REASON = MASK_PERSONAL, "personal_masked"
Range = tuple[int, int]


def masks_personal(config: Config) -> bool:
    """Tell whether personal data is masked in what stays."""
    return NAME in config.policy.rules


def personal_masks(work: Work, state: pl.DataFrame, cut: Cut) -> Cut:
    """Return all that is cut or masked: what the rules before cut, and the finds outside of it.

    Args:
        work: the unit of work of the decisions.
        state: the documents after all rules, cuts included.
        cut: what was cut before.
    """
    staying = pl.col("rule").is_null() | pl.col("row_key").is_in(
        pl.Series(cut.ranges["row_key"].unique().to_numpy(), dtype=pl.UInt64).implode()
    )
    free = state.filter(staying, pl.col(NAME), ~pl.col("spared"))["row_key"]
    names = ["row_key", "start_byte", "end_byte", "kind"]
    finds = read_table(work.paths("personal"), PERSONAL, names)
    finds = finds.filter(pc.is_in(finds["row_key"], pa.array(free.to_numpy(), pa.uint64())))
    masks = list(_outside(finds, _by_row(cut.ranges)))
    columns = [pa.array([row[k] for row in masks], CUTS.types[k]) for k in range(len(CUTS))]
    own = pa.Table.from_arrays(columns, schema=CUTS)
    ranges = pa.concat_tables([conform(cut.ranges, CUTS), own]).sort_by(
        [("row_key", "ascending"), ("start_byte", "ascending")]
    )
    return Cut(ranges, cut.short, {**cut.facts, "masked": _facts(own)})


def _facts(own: pa.Table) -> dict[str, Any]:
    bytes_of = pc.sum(pc.subtract(own["end_byte"], own["start_byte"])).as_py() or 0
    return {
        "documents": len(own["row_key"].unique()),
        "ranges": own.num_rows,
        "bytes": bytes_of,
    }


def _by_row(ranges: pa.Table) -> dict[int, list[Range]]:
    """Return the ranges of each row, in order."""
    found: dict[int, list[Range]] = {}
    columns = (ranges[name].to_pylist() for name in ("row_key", "start_byte", "end_byte"))
    for key, start, end in zip(*columns, strict=True):
        found.setdefault(key, []).append((start, end))
    return found


def _outside(
    finds: pa.Table, cut: dict[int, list[Range]]
) -> Iterator[tuple[int, int, int, int, str | None]]:
    """Yield a row of `cuts` for each part of a find that is not cut; the first part is named."""
    for find in finds.to_pylist():
        name: str | None = f"[{find['kind']}]"
        whole = (find["start_byte"], find["end_byte"])
        for start, end in outside(whole, cut.get(find["row_key"], ())):
            yield find["row_key"], start, end, 0, name
            name = None


def outside(whole: Range, cut: Sequence[Range]) -> list[Range]:
    """Return the parts of a range that no other range covers; these are in order and apart."""
    parts, at = [], whole[0]
    for start, end in cut:
        if end <= at or start >= whole[1]:
            continue
        if start > at:
            parts.append((at, start))
        at = max(at, end)
    return [*parts, (at, whole[1])] if at < whole[1] else parts


def with_masks(state: pl.DataFrame, cut: Cut) -> pl.DataFrame:
    """Return the documents with the rule entered where it alone changes the text."""
    masked = cut.ranges.filter(pc.is_valid(cut.ranges["instead"]))["row_key"].unique()
    here = pl.col("rule").is_null() & pl.col("row_key").is_in(
        pl.Series(masked.to_numpy(), dtype=pl.UInt64).implode()
    )
    return state.with_columns(
        rule=pl.when(here).then(pl.lit(NAME)).otherwise("rule"),
        reason=pl.when(here).then(pl.lit(REASON)).otherwise("reason"),
    )
