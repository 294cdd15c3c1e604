"""Source groups that are shown apart: what was planted for a check is not a corpus's worst."""

from __future__ import annotations

import pyarrow as pa

from pipeline.engine.query import Limits
from pipeline.engine.query import run as query
from pipeline.engine.stage import Work
from pipeline.engine.tables import Row

TOP = 60


def apart_rows(work: Work, limits: Limits) -> pa.Table:
    """Return the row_key of each document of the groups in `report.apart`."""
    groups = list(work.config.report.apart)
    if not groups:
        return pa.table({"row_key": pa.array([], pa.uint64())})
    documents = {"documents": work.paths("documents")}
    return query("report/apart_rows", documents, {"groups": groups}, limits=limits)


def apart(work: Work, limits: Limits) -> list[Row]:
    """Return `apart` of report.json: what was found in each source of these groups."""
    groups = list(work.config.report.apart)
    if not groups:
        return []
    both = {name: work.paths(name) for name in ("documents", "decisions")}
    found = query("report/apart", both, {"groups": groups, "top": TOP}, limits=limits)
    return list(found.to_pylist())
