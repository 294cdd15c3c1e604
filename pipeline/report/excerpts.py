"""The excerpts of a report: names and short quotes of the documents that its lists show."""

from __future__ import annotations

from typing import Any

from pipeline.query import Limits
from pipeline.query import run as query
from pipeline.report.quotes import Place, quotes, shorten
from pipeline.stage import Work

Row = dict[str, Any]

TOP = 12
PASSAGE = 4000
PASSAGE_OVERLAP = 40


def add_excerpts(data: Row, work: Work, limits: Limits) -> None:
    """Add names and quotes to clusters, passages and risks; the only place that reads text.

    Without `report.excerpts` no text is read, and every quote is null.
    """
    risky = data["risk"]["top"] if data["risk"] else []
    placed = [
        *((row, Place(int(row["keeper"]))) for row in data["clusters"]),
        *(
            (row, Place(int(row["row_key"]), row["start_byte"], row["end_byte"]))
            for row in (*data["spans"]["top"], *risky)
        ),
    ]
    keys = sorted({place.row_key for _, place in placed})
    documents = {"documents": work.paths("documents")}
    named = (
        query("report_names", documents, {"keys": keys}, limits=limits).to_pylist() if keys else []
    )
    names = {row.pop("row_key"): row for row in named}
    shown: dict[Place, str] = {}
    if work.config.report.excerpts:
        shown = quotes(work.shards, work.config, (place for _, place in placed), PASSAGE)
    for row, place in placed:
        row["quote"] = shown.get(place)
        row["document"] = {"row_key": str(place.row_key), **names[place.row_key]}
        row.pop("keeper", None)
        row.pop("row_key", None)
    data["spans"]["top"] = _distinct(data["spans"]["top"])[:TOP]
    if risky:
        risky = data["risk"]["top"] = _distinct(risky)[:TOP]
    for row in (*data["clusters"], *data["spans"]["top"], *risky):
        row["quote"] = None if row["quote"] is None else shorten(row["quote"])


def _distinct(passages: list[Row]) -> list[Row]:
    """Return the passages that share no run of letters with one before them."""
    seen: set[str] = set()
    kept = []
    for row in passages:
        if row["quote"] is None:
            kept.append(row)
            continue
        text = "".join(row["quote"].casefold().split())
        runs = {
            text[at : at + PASSAGE_OVERLAP] for at in range(max(1, len(text) - PASSAGE_OVERLAP + 1))
        }
        if seen.isdisjoint(runs):
            kept.append(row)
        seen |= runs
    return kept
