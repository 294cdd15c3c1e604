"""The data of the report on evaluation items: which were found, in how many rows, how surely."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.engine.query import Limits
from pipeline.engine.query import run as query
from pipeline.engine.stage import Work
from pipeline.engine.tables import Row

TOP = 10


def contamination(work: Work, manifest: Mapping[str, Any], limits: Limits) -> Row | None:
    """Return `contamination` of report.json; None where no item was looked for."""
    paths = work.paths("contaminated")
    if not paths:
        return None
    facts = manifest["outputs"]["contaminated/all"]["facts"]
    items = query("report/items", {"contaminated": paths}, {"top": TOP}, limits=limits).to_pylist()
    for item in items:
        item["row_key"] = str(item["row_key"])
    return {
        "action": work.config.decontaminate.action,
        "words": work.config.decontaminate.words,
        "rows": facts["rows"],
        "sets": facts["sets"],
        "items": items,
    }
