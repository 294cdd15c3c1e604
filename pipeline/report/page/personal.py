"""The section "Personal data": how much of each kind, what stays, what is likely to be recited."""

from __future__ import annotations

from pipeline.config.policy import DROP_PERSONAL, MASK_PERSONAL
from pipeline.engine.tables import Row
from pipeline.report.data.headline import ordered
from pipeline.report.html.markup import DASH, Html, join, number, table, tag
from pipeline.report.html.phrases import PERSONAL, SEARCHED
from pipeline.report.html.terms import term
from pipeline.report.page.risk import risk_figure
from pipeline.report.page.worst import document

MISSED = (
    "Found by form and check digit: names, addresses of houses, dates of birth and other "
    "attributes are not, nor is what has another form. A find is no proof that it is of a person."
)


def personal(data: Row) -> Html:
    """Return the section "Personal data" of the page."""
    found = data["personal"]
    if not found["kinds"]:
        return join([tag("p", "None was found. ", MISSED, class_="prose")])
    intro = tag("p", sentence(data), " ", MISSED, class_="prose")
    return join([intro, _kinds(data), _top(data)])


def sentence(data: Row) -> str:
    """Return how much was found, how much of it stays, and how much is likely to be recited."""
    kinds = data["personal"]["kinds"]
    finds, stays = (sum(row[key] for row in kinds) for key in ("finds", "left_in_kept"))
    text = (
        f"{finds:,} pieces of personal data were found; {stays:,} are in the texts of kept/; "
        f"{SEARCHED}."
    )
    if stays and not {MASK_PERSONAL, DROP_PERSONAL} & set(data["config"]["policy"]["rules"]):
        text += f" The rules {MASK_PERSONAL} and {DROP_PERSONAL} take them."
    if data["risk"] and not ordered(data):
        scored, likely = (sum(row[key] for row in kinds) for key in ("scored", "likely"))
        text += f" Of {scored:,} in scored sequences {likely:,} are likely to be recited."
    return text


def _kinds(data: Row) -> Html:
    """Return the table of the kinds."""
    scored = bool(data["risk"]) and not ordered(data)
    head = ["kind", "finds", "different values", "documents", "left in kept/"]
    head += ["in scored sequences", "at risk 0.5 or above"] if scored else []
    keys = ["finds", "distinct_values", "documents", "left_in_kept"]
    keys += ["scored", "likely"] if scored else []
    lines = [
        (PERSONAL.get(row["kind"], row["kind"]), *(number(row[key]) for key in keys))
        for row in data["personal"]["kinds"]
    ]
    caption = "Personal data in texts by kind, before the filter and after it."
    return table(caption, head, lines, data_sort=True)


def _top(data: Row) -> Html:
    """Return the table of the values of highest risk, then of those that occur most."""
    order = ordered(data)
    lines = [
        (
            PERSONAL.get(row["kind"], row["kind"]),
            row["mask"] or DASH,
            _risk(row["place"] if order else row["risk"], order=order),
            number(row["finds"]),
            number(row["left_in_kept"]),
            document(row["document"]),
        )
        for row in data["personal"]["top"]
    ]
    rest = (
        " of a scored sequence that holds them, then by how often they occur. Masked; where to "
        "look is the first place."
    )
    caption = join(["Values most likely to be recited first, by the ", term("risk"), rest])
    head = ("kind", "mask", "place" if order else "risk", "finds", "left in kept/", "where to look")
    return table(caption, head, lines, (0, 1, 5), class_="wide", data_sort=True)


def _risk(value: float | None, *, order: bool) -> str:
    """Return the risk of a value; its place where risks are an order, a dash where it has none."""
    if value is None:
        return DASH
    return number(value) if order else risk_figure(value)
