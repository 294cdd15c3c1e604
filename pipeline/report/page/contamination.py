"""The section "Evaluation items": which were found in the corpus, where, and how surely."""

from __future__ import annotations

from pipeline.engine.tables import Row
from pipeline.report.html.markup import Html, join, number, table, tag
from pipeline.report.quotes.quotes import label

ACTIONS = {
    "drop": "These rows were removed, each with the item that proves it.",
    "cut": "The items' words were cut out of these rows; a row with too little left was removed.",
    "flag": "These rows stay; each names its item in the column that is added.",
}
RULES = ("run", "whole", "near", "contained", "beside")
CERTAINTIES = ("all", "most", "part")


def contamination(data: Row) -> Html:
    """Return the section "Evaluation items" of the page."""
    told = data["contamination"]
    intro = (
        f"{number(told['rows'])} rows hold an evaluation item, by runs of {told['words']} words, "
        "as a short field that is there whole, or by most of its shingles, proved word by word. "
        f"{ACTIONS[told['action']]} A field that is too short to be found alone is told beside "
        "another one of its item."
    )
    return join([tag("p", intro, class_="prose"), _sets(told["sets"]), _items(told["items"])])


def _sets(sets: list[Row]) -> Html:
    lines = [
        (
            f"{label(row['file'])}: {label(row['field'])}",
            number(row["fields"]),
            number(row["found"]),
            number(row["rows"]),
            *(number(row[name]) for name in RULES),
            *(number(row[name]) for name in CERTAINTIES),
        )
        for row in sets
    ]
    head = ("set", "items", "found", "in rows", *RULES, *(f"{one} of it" for one in CERTAINTIES))
    caption = "Items by file and field; how rows were found to hold them, and how much of them."
    return table(caption, head, lines, class_="wide", data_sort=True)


def _items(items: list[Row]) -> Html:
    if not items:
        return join([])
    lines = [
        (
            f"{label(row['file'])}, row {row['item_row']:,}: {label(row['field'])}",
            number(row["documents"]),
            number(row["whole"]),
            number(row["most"]),
        )
        for row in items
    ]
    head = ("item", "rows", "all of it", "most of it")
    return table("The items that most rows hold.", head, lines, class_="small")
