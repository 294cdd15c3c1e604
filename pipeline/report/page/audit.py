"""The section "Self-audit and alarms": what the search for pairs could have missed."""

from __future__ import annotations

from pipeline.engine.tables import Row
from pipeline.report.html.charts import chart, number, rule, spec
from pipeline.report.html.markup import Html, figure, join, percent, table, tag
from pipeline.report.html.markup import number as shown_number
from pipeline.report.html.terms import term
from pipeline.report.page import opening

MOST_ALARMS = 25
CURVE_STEPS = 50


def audit(data: Row) -> Html:
    """Return the section "Self-audit and alarms" of the page."""
    raised = [*data["alarms"], *data["notes"]]
    listed = opening.alarms(raised, MOST_ALARMS, "") if raised else tag("p", "No alarm was raised.")
    charts = tag("div", _histogram(data), _s_curve(data), class_="two")
    return join([listed, _introduction(data), charts, _search(data)])


def _introduction(data: Row) -> Html:
    """Return the paragraph on the pairs that were proved, and those that were missed."""
    pairs, near, sketch = data["pairs"], data["config"]["near"], data["config"]["sketch"]
    return tag(
        "p",
        f"{shown_number(pairs['pairs'])} pairs of different texts were proved at ",
        term("Jaccard"),
        f" {near['count_threshold']:g} or above, {shown_number(pairs['near'])} of them at "
        f"{near['threshold']:g} or above. ",
        term("MinHash"),
        f" with {sketch['bands']} bands of {sketch['rows']} values proposes them; by its curve, "
        f"{_about(pairs['missed'])} more exist that it did not propose.",
        class_="prose",
    )


def _histogram(data: Row) -> Html:
    """Return the chart of verified pairs by exact Jaccard."""
    near, bins = data["config"]["near"], data["pairs"]["bins"]
    values = [
        {"from": row["from"], "to": min(1.0, row["from"] + 0.02), "pairs": row["pairs"]}
        for row in bins
        if row["from"] < 1
    ]
    ends = {"domain": [near["count_threshold"], 1], "nice": False}
    bars = {
        "mark": {"type": "bar", "binSpacing": 1},
        "encoding": {
            "x": number(
                "from",
                "exact Jaccard of the pair",
                scale=ends,
                axis={"format": ".2~f"},
                bin="binned",
            ),
            "x2": {"field": "to"},
            "y": number("pairs", "pairs", axis={"format": "~s", "tickMinStep": 1}),
            "tooltip": [
                number("from", "from"),
                number("to", "to"),
                number("pairs", "pairs", format=","),
            ],
        },
    }
    lines = [
        (f"{row['from']:g}", shown_number(row["pairs"]), percent(row["chance"], 1)) for row in bins
    ]
    caption = "Verified pairs by exact Jaccard, and the chance that such a pair is proposed."
    same = sum(row["pairs"] for row in bins if row["from"] >= 1)
    note = (
        f"Removed from {near['threshold']:g} on; "
        f"{shown_number(same)} more at 1: the same shingles, other bytes."
    )
    drawn = spec(values, layer=[bars, *rule(near["threshold"], "removed from here")])
    numbers = table(caption, ("Jaccard from", "pairs", "proposed"), lines)
    return chart("pairs", "Verified pairs by exact Jaccard", drawn, numbers, note)


def _s_curve(data: Row) -> Html:
    """Return the chart of the chance that a pair is proposed, with the planted copies."""
    near = data["config"]["near"]
    line = [
        {"jaccard": k / CURVE_STEPS, "chance": _chance(data, k / CURVE_STEPS)}
        for k in range(CURVE_STEPS + 1)
    ]
    planted = [
        {"jaccard": round(row["from"] + 0.05, 3), "chance": row["proposed"] / row["planted"], **row}
        for row in data["candidates"].get("planted", [])
        if row["planted"]
    ]
    x = number("jaccard", "Jaccard of a pair", scale={"domain": [0, 1]}, axis={"tickCount": 5})
    y = number("chance", "proposed", scale={"domain": [0, 1]}, axis={"format": "%", "tickCount": 5})
    tips = [number("jaccard", "Jaccard", format=".2f"), number("chance", "proposed", format=".1%")]
    counts = [number("planted", "planted"), number("proposed", "proposed")]
    layers = [
        {"mark": "line", "encoding": {"x": x, "y": y, "tooltip": tips}},
        {
            "data": {"values": planted},
            "mark": {"type": "point", "filled": True, "size": 60, "color": "var:cut"},
            "encoding": {"x": x, "y": y, "tooltip": [*tips, *counts]},
        },
        *rule(near["threshold"], "removed from here", low=True),
    ]
    rows = [
        (
            f"{row['from']:g} to {row['from'] + 0.1:g}",
            shown_number(row["planted"]),
            shown_number(row["proposed"]),
            percent(row["proposed"], row["planted"], 1),
            percent(_chance(data, row["from"] + 0.05), 1, 1),
        )
        for row in planted
    ]
    note = (
        "Dots: near copies of this corpus' own documents (words inserted, deleted, substituted, "
        "appended), planted in memory, and how many the search proposed."
        if planted
        else "No document was fit to plant near copies of."
    )
    head = ("exact Jaccard", "planted", "proposed", "share", "by the curve")
    numbers = table(f"Self-audit. {note}", head, rows)
    title = join([term("self-audit", "Self-audit"), ": chance that a pair is proposed"])
    return chart("audit", title, spec(line, layer=layers), numbers, note)


def _chance(data: Row, jaccard: float) -> float:
    """Return the chance that a pair of a Jaccard is proposed."""
    sketch = data["config"]["sketch"]
    return float(1 - (1 - jaccard ** sketch["rows"]) ** sketch["bands"])


def _search(data: Row) -> Html:
    """Return the table of the search for pairs and windows."""
    facts = data["candidates"]
    windows = data["corpus"]["windows"]
    lines = [
        (join([term("candidate", "candidates"), " verified"]), facts.get("candidates")),
        ("of them at or above the counting threshold", data["pairs"]["pairs"]),
        (join(["largest ", term("bucket"), ", documents"]), facts.get("largest_bucket")),
        ("buckets too large to pair in full", facts.get("capped_buckets")),
        ("documents whose near counts are lower bounds", data["corpus"]["near_capped"]),
        *(
            (f"near copies missed by that at {at} and above, estimated", count)
            for at, count in facts.get("estimated_missed", {}).items()
            if facts.get("capped_buckets")
        ),
        ("windows counted", windows),
    ]
    rows: list[tuple[object, object]] = [
        (name, shown_number(value)) for name, value in lines if value is not None
    ]
    rows.append(
        (
            join(
                [
                    "wrong counts to be expected from 64-bit hashes, n",
                    tag("sup", "2"),
                    "/2",
                    tag("sup", "65"),
                ]
            ),
            figure(f"{windows**2 / 2.0**65:.2g}", windows**2 / 2.0**65),
        )
    )
    return table("The search for pairs and windows.", ("", "number"), rows, class_="small")


def _about(missed: float) -> str:
    """Return an estimated number in words."""
    return "fewer than one" if missed < 1 else f"about {missed:,.0f}"
