"""The section "Shown apart": sources that are there to be found, and what was found of them."""

from __future__ import annotations

from pipeline.engine.tables import Row
from pipeline.report.html.markup import Html, join, number, table, tag
from pipeline.report.html.terms import term
from pipeline.report.quotes.quotes import label


def apart(data: Row) -> Html:
    """Return the section "Shown apart" of the page."""
    groups = ", ".join(label(name, 60) for name in data["config"]["report"]["apart"])
    intro = (
        f"The source groups {groups} are named in report.apart: the lists of what to remove first, "
        "of the worst clusters, passages and texts, and the alarms leave them out. They count in "
        "all totals. This is what was found in them, by source."
    )
    if not data["apart"]:
        return join([tag("p", intro, " No document is of one.", class_="prose")])
    keys = ("documents", "distinct_texts", "exact_count", "near_count", "max_window_count", "kept")
    lines = [
        (label(row["source"], 60), *(number(row[key]) for key in keys)) for row in data["apart"]
    ]
    head = (
        "source",
        "documents",
        "different texts",
        term("exact count"),
        term("near count"),
        term("window count"),
        "kept",
    )
    caption = "What was found in the sources that are shown apart; counts are the largest of each."
    return join([tag("p", intro, class_="prose"), table(caption, head, lines, class_="small")])
