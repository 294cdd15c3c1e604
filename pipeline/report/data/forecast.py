"""The forecast as the report shows it: how risk spreads, its validation, the riskiest documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.engine.query import Limits
from pipeline.engine.query import run as query
from pipeline.engine.stage import Work
from pipeline.engine.tables import Row
from pipeline.report.data.finite import finite

LAW = ("law", "proxy", "at", "sequences", "families", "share", "low", "high")
TRIED = 60
TOP_SOURCES = 15
BINS = 10


def forecast(
    work: Work, manifest: Mapping[str, Any], apart: pa.Table, limits: Limits
) -> Row | None:
    """Return `risk` of report.json; None for a run that was never scored.

    Args:
        work: the unit of work of the report.
        manifest: of the run.
        apart: row_key of the documents that lists leave out.
        limits: of DuckDB.
    """
    risk, of_documents = work.paths("risk"), work.paths("document_risk")
    if not risk or not of_documents:
        return None
    both = {"risk": risk, "document_risk": of_documents}
    histogram: dict[str, list[int]] = {name: [0] * BINS for name in ("sequences", "documents")}
    without = dict.fromkeys(histogram, 0)
    for row in query("report/risk", both, {"bins": BINS}, limits=limits).to_pylist():
        if row["bucket"] is None:
            without[row["measure"]] = row["scored"]
        else:
            histogram[row["measure"]][row["bucket"]] = row["scored"]
    documents = {"documents": work.paths("documents")}
    decisions = {"decisions": work.paths("decisions")}
    hidden = work.config.report.apart
    sources = query(
        "report/risk_sources",
        {**documents, "document_risk": of_documents},
        {"top": TOP_SOURCES + len(hidden)},
        limits=limits,
    ).to_pylist()
    return {
        "bins": BINS,
        "histogram": histogram,
        "without": without,
        "kinds": query("report/risk_kinds", {"risk": risk}, limits=limits).to_pylist(),
        "sources": [row for row in sources if row["source_group"] not in hidden][:TOP_SOURCES],
        "top": query(
            "report/risk_top",
            {**both, **documents, **decisions, "apart": apart},
            {"top": TRIED},
            limits=limits,
        ).to_pylist(),
        "model": _facts(manifest, "risk"),
        "proxies": _facts(manifest, "sequences"),
        "laws": _laws(work),
    }


def _laws(work: Work) -> list[Row]:
    """Return `risk.laws`: points of the curves of dose, size and context; empty without a table."""
    rows = [row for path in work.paths("laws") for row in pq.ParquetFile(path).read().to_pylist()]
    return [{key: finite(row.get(key)) for key in LAW} for row in rows]


def _facts(manifest: Mapping[str, Any], stage: str) -> Row:
    """Return the facts that a stage recorded."""
    facts: Row = finite(manifest["outputs"].get(f"{stage}/all", {}).get("facts", {}))
    return facts
