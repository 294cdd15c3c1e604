"""The data of the report on personal data: how much of each kind, and the values most at risk."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pipeline.engine.query import Limits
from pipeline.engine.query import run as query
from pipeline.engine.stage import Work
from pipeline.engine.tables import Row, read_table
from pipeline.engine.texts import texts_of_rows
from pipeline.report.data.priorities import LIKELY
from pipeline.report.quotes.values import value_mask
from schemas.filter.decisions import CUTS
from schemas.score.risk import RISK

TOP = 15


def personal(work: Work, apart: pa.Table, limits: Limits) -> Row | None:
    """Return `personal` of report.json; None where none was looked for.

    No value is in it: a mask, null without `report.excerpts`, and where to look.

    Args:
        work: the unit of work of the report.
        apart: row_key of the documents that lists leave out.
        limits: of DuckDB.
    """
    if not work.paths("personal"):
        return None
    inputs = {
        "personal": work.paths("personal"),
        "decisions": work.paths("decisions"),
        "risk": read_table(work.paths("risk"), RISK, ["row_key", "start_byte", "end_byte", "risk"]),
        "apart": apart,
        "cuts": read_table(work.paths("cuts"), CUTS, ["row_key", "start_byte", "end_byte"]),
    }
    of_all = {name: rows for name, rows in inputs.items() if name != "apart"}
    kinds = query("report/personal_kinds", of_all, {"likely": LIKELY}, limits=limits).to_pylist()
    top = query("report/personal_top", inputs, {"top": TOP}, limits=limits).to_pylist()
    for place, row in enumerate(top, 1):
        row["place"] = None if row["risk"] is None else place
    _place(top, work, limits)
    return {"kinds": kinds, "top": top}


def _place(top: list[Row], work: Work, limits: Limits) -> None:
    """Add the document and the mask of each value, and take its place in the text away."""
    keys = sorted({row["row_key"] for row in top})
    both = {name: work.paths(name) for name in ("documents", "decisions")}
    named = query("report/names", both, {"keys": keys}, limits=limits).to_pylist() if keys else []
    names = {row["row_key"]: row for row in named}
    texts: dict[int, bytes] = {}
    if work.config.report.excerpts and keys:
        wanted = np.array(keys, np.uint64)
        found = texts_of_rows(work.shards, work.config.input, wanted)
        texts = {key: text.encode() for key, text in found}
    for row in top:
        key, start, end = (row.pop(name) for name in ("row_key", "start_byte", "end_byte"))
        of = names[key]
        row["document"] = {"row_key": str(key), **{n: of[n] for n in ("doc_id", "shard")}}
        row["document"]["shard_row"] = of["shard_row"]
        value = texts[key][start:end].decode(errors="replace") if key in texts else ""
        row["mask"] = value_mask(row["kind"], value) if value else None
