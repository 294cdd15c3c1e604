"""The excerpts of a report: names and short quotes of the documents that its lists show."""

from __future__ import annotations

from pipeline.engine.query import Limits
from pipeline.engine.query import run as query
from pipeline.engine.stage import Work
from pipeline.engine.tables import Row
from pipeline.report.quotes.quotes import RowPlace, quotes, shorten

TOP = 12
PASSAGE = 4000
PASSAGE_OVERLAP = 40


def add_excerpts(data: Row, work: Work, limits: Limits) -> None:
    """Add `document` and `quote` to the clusters, passages and risky texts of report.json.

    This is the only place of the report that reads text. Without `report.excerpts` none is read,
    and every quote is null; so is, always, that of a row that is to be forgotten.
    """
    risky = data["risk"]["top"] if data["risk"] else []
    placed = [
        *((row, RowPlace(int(row["keeper"]))) for row in data["clusters"]),
        *(
            (row, RowPlace(int(row["row_key"]), row["start_byte"], row["end_byte"]))
            for row in (*data["spans"]["top"], *risky)
        ),
    ]
    keys = sorted({place.row_key for _, place in placed})
    both = {name: work.paths(name) for name in ("documents", "decisions")}
    named = query("report/names", both, {"keys": keys}, limits=limits).to_pylist() if keys else []
    names = {row.pop("row_key"): row for row in named}
    hidden = {key for key, row in names.items() if row.pop("forgotten")}
    shown: dict[RowPlace, str] = {}
    if work.config.report.excerpts:
        open_places = (place for _, place in placed if place.row_key not in hidden)
        shown = quotes(work.shards, work.config, open_places, PASSAGE)
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
