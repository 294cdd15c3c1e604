"""The section "Where it comes from": repetition and risk by source group."""

from __future__ import annotations

from pipeline.engine.tables import Row
from pipeline.report.data.alarms import GROUP_ROWS
from pipeline.report.data.headline import ordered
from pipeline.report.html.charts import chart, colour, name, number, spec
from pipeline.report.html.markup import Html, join, percent, size, table, tag
from pipeline.report.html.markup import number as shown_number
from pipeline.report.html.terms import term
from pipeline.report.page.risk import risk_figure
from pipeline.report.quotes.quotes import label

CHARTED = 15
STEP = 24
AXES = 80

_FATES = (
    ("kept", "kept", "bar"),
    ("exact_copies", "exact copies", "cut"),
    ("near_copies", "near copies", "third"),
    ("contained", "contained", "fourth"),
    ("others", "by other rules", "fifth"),
)


def sources(data: Row) -> Html:
    """Return the section "Where it comes from" of the page."""
    parts = [_by_fate(data)]
    if data["leakage"]:
        parts.append(_leakage(data))
    if data["risk"] and data["risk"]["sources"]:
        rows = data["risk"]["sources"]
        parts.append(_in_order(rows) if ordered(data) else _by_risk(rows))
    return join(parts)


def _leakage(data: Row) -> Html:
    """Return the table of the documents of each split that are in another one too."""
    lines = [
        (
            label(row["split"]),
            label(row["other_split"]),
            shown_number(row["documents"]),
            shown_number(row["exact"]),
            shown_number(row["near"]),
            percent(row["exact"] + row["near"], row["documents"]),
        )
        for row in data["leakage"]
    ]
    stay = "removed by their rank" if data["config"]["near"]["across_splits"] else "all kept"
    caption = (
        "Leakage: documents of a split of which another split has a copy; these are ",
        f"{stay} (near.across_splits). A test that the training data hold measures memory.",
    )
    head = (
        *("split", "also in", "its documents"),
        *(term("exact copy", "exact copies"), term("near copy", "near copies")),
        "of the split",
    )
    return table(join(caption), head, lines, (0, 1), data_sort=True)


def _shown_groups(data: Row) -> list[Row]:
    """Return the source groups with the names that the page shows."""
    found = data["sources"]
    rows = [{"name": label(row["source_group"], 60), **row} for row in found["shown"]]
    if found["others"]:
        rows.append({"name": f"{found['others']['groups']:,} smaller groups", **found["others"]})
    return [{"others": row["risk"] + row["other"], **row} for row in rows]


def _by_fate(data: Row) -> Html:
    """Return the chart of what became of the documents of each source group."""
    rows = _shown_groups(data)
    fates = [fate for fate in _FATES if any(row[fate[0]] for row in rows)]
    values = [
        {"source": row["name"], "fate": title, "documents": row[key]}
        | {"share": row[key] / row["documents"], "of": row["documents"]}
        for row in rows[:CHARTED]
        for key, title, _ in fates
    ]
    channels = {
        "y": name("source", None, axis={"labelLimit": 170}),
        "x": number(
            "share",
            "share of its documents",
            axis={"format": "%", "grid": True, "tickCount": 5},
            stack="zero",
        ),
        "color": colour("fate", [title for _, title, _ in fates], [tone for _, _, tone in fates]),
        "order": {"field": "place", "type": "quantitative"},
        "tooltip": [
            name("source", "source group"),
            name("fate", "fate"),
            number("documents", "documents", format=","),
            number("share", "share", format=".1%"),
            number("of", "of", format=","),
        ],
    }
    for place, value in enumerate(values):
        value["place"] = place % len(fates)
    height = STEP * min(CHARTED, len(rows)) + AXES
    drawn = spec(values, height, mark="bar", encoding=channels)
    title = join(["What became of the documents of each ", term("source group")])
    return chart(
        "sources", title, drawn, _table(data, rows),
        f"The {min(CHARTED, len(rows))} largest of {data['sources']['count']:,} groups.",
        opened=True,
    )  # fmt: skip


def _table(data: Row, rows: list[Row]) -> Html:
    """Return the table of source groups."""
    window = data["config"]["window"]["words"]
    others = any(row["others"] for row in rows)
    contained = any(row["contained"] for row in rows)
    caption = (
        f"Documents of {data['sources']['count']:,} source groups, the largest first: those ",
        term("kept"),
        " and those removed, and why. ",
        term("repeated word", "Repeated words"),
        " lie in a ",
        term("window"),
        f" of {window} words that occurs more than once in the corpus.",
    )
    head = ["source group", "documents", "kept", "exact copies", "near copies"]
    head += ["contained"] if contained else []
    head += ["by risk, other"] if others else []
    head += ["rows removed", "bytes removed", "text", "repeated words"]
    lines = [_line(row, contained=contained, others=others) for row in rows]
    return table(join(caption), head, lines, data_sort=True)


def _line(row: Row, *, contained: bool, others: bool) -> list[object]:
    """Return one row of the table of source groups."""
    return [
        row["name"],
        shown_number(row["documents"]),
        shown_number(row["kept"]),
        shown_number(row["exact_copies"]),
        shown_number(row["near_copies"]),
        *([shown_number(row["contained"])] if contained else []),
        *([shown_number(row["others"])] if others else []),
        _removed(row),
        percent(row["removed_bytes"], row["text_bytes"]),
        size(row["text_bytes"]),
        percent(row["repeated_words"], row["words"]),
    ]


def _removed(row: Row) -> object:
    """Return the share removed, marked when it raises an alarm."""
    share = percent(row["removed"], row["documents"])
    alarms = row["documents"] >= GROUP_ROWS and 2 * row["removed"] > row["documents"]
    return (
        tag("span", share, class_="warn") if alarms and row["source_group"] is not None else share
    )


def _in_order(rows: list[Row]) -> Html:
    """Return the source groups in the order of the tokens at risk."""
    lines = [
        (place, label(row["source_group"], 60), shown_number(row["documents"]))
        for place, row in enumerate(rows, 1)
    ]
    caption = (
        "Source groups with the most ",
        term("tokens at risk"),
        " first; how many is not told, since the target is over ten times the proxies.",
    )
    return table(join(caption), ("place", "source group", "documents scored"), lines, (1,))


def _by_risk(rows: list[Row]) -> Html:
    """Return the chart of the source groups with most tokens at risk."""
    values = [{"source": label(row["source_group"], 60), **row} for row in rows]
    channels = {
        "y": name("source", None, axis={"labelLimit": 170}),
        "x": number(
            "expected_tokens",
            "tokens at risk",
            axis={"grid": True, "format": "~s", "tickCount": 5, "tickMinStep": 1},
            scale={"domain": [0, max(1, *(row["expected_tokens"] for row in rows))]},
        ),
        "tooltip": [
            name("source", "source group"),
            number("expected_tokens", "tokens at risk", format=","),
            number("risky", "documents at risk 0.5 or above", format=","),
            number("documents", "documents scored", format=","),
            number("largest", "largest risk", format=".3f"),
        ],
    }
    lines = [
        (
            row["source"],
            shown_number(row["documents"]),
            shown_number(row["risky"]),
            percent(row["risky"], row["documents"]),
            risk_figure(row["largest"]),
            shown_number(row["expected_tokens"]),
        )
        for row in values
    ]
    head = (
        "source group",
        "documents scored",
        "risk 0.5 or above",
        "share",
        "largest risk",
        "tokens at risk",
    )
    caption = (
        "Source groups with the most ",
        term("tokens at risk"),
        ".",
    )
    numbers = table(join(caption), head, lines, data_sort=True)
    drawn = spec(values, STEP * len(values) + AXES, mark="bar", encoding=channels)
    return chart("risk-sources", "Where text that would be memorized comes from", drawn, numbers)
