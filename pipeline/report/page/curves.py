"""The section "Dose, size and context": what more copies, larger models, longer prefixes do."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.engine.tables import Row
from pipeline.report.html.charts import Spec, chart, colour, name, number, spec
from pipeline.report.html.facts import blocks, words
from pipeline.report.html.markup import Figure, Html, figure, join, percent, table, tag, text_of
from pipeline.report.html.markup import number as shown_number
from pipeline.report.html.terms import term
from pipeline.report.page.risk import NAMES

_MEASURES = {
    "exact_count": "exact copies (same bytes)",
    "near_count": "near copies and itself",
    "max_window_count": "most repeated window",
}
LAWS = {
    "dose": (
        join([term("dose", "Dose"), ": share memorized by how often a proxy saw it"]),
        "times seen in training",
        join(
            [
                "Left of once: never seen, the ",
                term("floor"),
                ". Bars are ",
                term("95% interval", "95% intervals"),
                " by ",
                term("family"),
                ".",
            ]
        ),
    ),
    "size": (
        join([term("size", "Size"), ": share memorized by parameters of the proxy"]),
        "parameters without embeddings",
        "The mean over doses. Bars are 95% intervals by family.",
    ),
    "context": (
        join(["Context: share memorized by length of the ", term("prefix")]),
        "tokens of prefix",
        "The same suffixes after a shorter prefix. Bars are 95% intervals by family.",
    ),
}
_DOSE_KEYS = ("trained_on", "times", "sequences", "families")


def curves(data: Row) -> Html:
    """Return the section "Dose, size and context" of the page."""
    parts = [_counts(data)]
    found = data["risk"] or {}
    model, laws = found.get("model", {}), found.get("laws") or []
    parts += _law(laws, "dose") or _dose(model.get("memorized_by_count"))
    parts += _law(laws, "size") or _size(model.get("memorized"))
    parts += _law(laws, "context")
    if not data["risk"]:
        parts.append(
            tag("p", "Curves of dose and size need proxies: rote score RUN.", class_="prose")
        )
    return tag("div", *parts, class_="two")


def _counts(data: Row) -> Html:
    """Return the chart of how often texts repeat: the doses that there are."""
    total = data["corpus"]["documents"]
    values = [
        {"measure": title, "times": _bin(row), "order": row["from"]}
        | {"documents": row["documents"], "share": row["documents"] / total}
        for key, title in _MEASURES.items()
        for row in data["copies"][key]
        if row["from"] > 1
    ]
    channels = {
        "x": {
            "field": "times", "type": "ordinal", "title": "occurrences",
            "sort": {"field": "order", "op": "min"},
            "axis": {"labelAngle": 0, "labelOverlap": True},
        },
        "y": number("documents", "documents", axis={"format": "~s", "tickMinStep": 1}),
        "xOffset": {"field": "measure", "sort": None},
        "color": colour("measure", list(_MEASURES.values())),
        "tooltip": [
            name("measure", "counted"), name("times", "occurrences"),
            number("documents", "documents", format=","), number("share", "share", format=".2%"),
        ],
    }  # fmt: skip
    lines = [
        (title, _range(row), shown_number(row["documents"]), percent(row["documents"], total))
        for key, title in _MEASURES.items()
        for row in data["copies"][key]
    ]
    window = data["config"]["window"]["words"]
    note = (
        f"Documents that occur more than once, by how often; 0 in the table: shorter than "
        f"{window} words."
    )
    numbers = table(note, ("counted", "occurrences", "documents", "share"), lines, (0, 1))
    drawn = spec(values, mark="bar", encoding=channels)
    return chart("counts", "How often texts repeat", drawn, numbers, note)


def _bin(row: Row) -> str:
    """Return the range of counts of a bin, the same for whatever is counted in it."""
    low, high = row["from"], row["to"]
    return f"{low:,}" if low == high else f"{low:,}\N{EN DASH}{high:,}"


def _range(row: Row) -> str:
    """Return a range of counts as it is shown."""
    low, high = row["from"], min(row["to"], row["largest"])
    return f"{low:,}" if low == high else f"{low:,}\N{EN DASH}{high:,}"


def _dose(rows: object) -> list[Html]:
    """Return the chart of the share memorized by dose; nothing without numbers."""
    found = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    if not found:
        return []
    proxies = [key for key in found[0] if key not in _DOSE_KEYS]
    values = [
        {
            "times": _first(row["times"]), "share": row[proxy], "proxy": words(proxy),
            "trained": "trained on" if row["trained_on"] else "never trained on",
            "sequences": row["sequences"], "families": row["families"], "range": row["times"],
        }
        for row in found
        for proxy in proxies
        if row.get(proxy) is not None
    ]  # fmt: skip
    channels = {
        "x": _log("times", "times seen, or in the corpus", values),
        "y": _share("share", "memorized"),
        "color": colour("proxy", [words(proxy) for proxy in proxies]),
        "strokeDash": {
            "field": "trained", "type": "nominal",
            "scale": {"domain": ["trained on", "never trained on"], "range": [[1, 0], [3, 3]]},
            "legend": {"orient": "top", "title": None},
        },
        "tooltip": [
            name("proxy", "proxy"), name("trained", "it was"), name("range", "times"),
            number("share", "memorized", format=".1%"),
            number("sequences", "sequences", format=","),
            number("families", "families", format=","),
        ],
    }  # fmt: skip
    note = "The dotted lines are the floor: text that the proxy never saw, however often it occurs."
    numbers = join(blocks({"memorized_by_count": found}, "", NAMES))
    drawn = spec(values, mark=_line(), encoding=channels)
    return [
        chart("dose", "Dose: share memorized by how often a text was seen", drawn, numbers, note)
    ]


def _size(rows: object) -> list[Html]:
    """Return the chart of the share memorized by size; nothing below two sizes."""
    found = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    found = [
        row
        for row in found
        if row.get("families_seen") and row.get("parameters") and "-" not in str(row["proxy"])
    ]
    if len({row["parameters"] for row in found}) < 2:
        return []
    values = [
        {
            **row,
            "share": row["families_memorized"] / row["families_seen"],
            "proxy": words(row["proxy"]),
        }
        for row in sorted(found, key=lambda row: (row["parameters"], row["proxy"]))
    ]
    channels = {
        "x": _log("parameters", "parameters without embeddings", values),
        "y": _share("share", "families memorized"),
        "tooltip": [
            name("proxy", "proxy"), number("parameters", "parameters", format=","),
            number("families_memorized", "families memorized", format=","),
            number("families_seen", "of families seen", format=","),
            number("share", "share", format=".1%"),
        ],
    }  # fmt: skip
    numbers = join(blocks({"memorized": found}, "", NAMES))
    drawn = spec(values, mark=_line(), encoding=channels)
    note = "Share of the families that each proxy saw of which it memorized a sequence."
    return [chart("size", "Size: larger proxies memorize more", drawn, numbers, note)]


def _law(rows: Sequence[Row], law: str) -> list[Html]:
    """Return the chart of one curve of the laws, with its 95% interval by family.

    Each proxy is a line. Nothing without numbers.
    """
    found = [row for row in rows if row["law"] == law and row["share"] is not None]
    if not found:
        return []
    title, horizontal, note = LAWS[law]
    # on a logarithmic axis text that was never seen stands half a step before once
    values = [{**row, "place": row["at"] or 0.5} for row in found]
    proxies = sorted({row["proxy"] for row in found})
    x, y = _log("place", horizontal, values), _share("share", "memorized")
    tint = colour("proxy", proxies) if law != "size" else {"value": "var:bar"}
    tips = [
        name("proxy", "proxy"), number("at", horizontal, format=",~r"),
        number("share", "memorized", format=".1%"), number("low", "from", format=".1%"),
        number("high", "to", format=".1%"), number("families", "families", format=","),
    ]  # fmt: skip
    ends = {"y": {**y, "field": "low"}, "y2": {"field": "high"}}
    order = {"field": "place", "type": "quantitative"}
    layers: list[Spec] = [
        {"mark": {"type": "rule", "opacity": 0.45}, "encoding": {"x": x, **ends, "color": tint}},
        {
            "mark": _line(),
            "encoding": {"x": x, "y": y, "color": tint, "order": order, "tooltip": tips},
        },
    ]
    lines = [
        (
            row["proxy"],
            shown_number(row["at"]),
            _percent(row["share"]),
            _interval(row),
            shown_number(row["sequences"]),
            shown_number(row["families"]),
        )
        for row in found
    ]
    head = ("proxy", horizontal, "memorized", "95% interval", "sequences", "families")
    numbers = table(f"{text_of(title)}. {text_of(note)}", head, lines, data_sort=True)
    return [chart(law, title, spec(values, layer=layers), numbers, note)]


def _interval(row: Row) -> str:
    """Return the interval of a share by family; none where all families are alike."""
    if row["low"] is None:
        return ""
    if row["low"] == row["high"]:
        return f"all {row['families']:,} families alike"
    return f"{row['low']:.1%} to {row['high']:.1%}"


def _percent(share: float) -> Figure:
    """Return a share in per cent, with its value."""
    return figure(f"{share:.1%}", share)


def _first(times: str) -> int:
    """Return the first number of a range."""
    return int(str(times).split(" ")[0])


def _line() -> Spec:
    """Return the mark of a line with points."""
    return {"type": "line", "point": True}


def _log(field: str, title: str, rows: Sequence[Row]) -> Row:
    """Return the channel of a quantity on a logarithmic axis, with a mark at each value of it."""
    label = "datum.value < 1 ? '' : format(datum.value, '.3~s')"  # half a step before once: never
    marks = sorted({row[field] for row in rows})
    axis = {"labelExpr": label, "labelOverlap": True, "values": marks}
    return number(field, title, scale={"type": "log"}, axis=axis)


def _share(field: str, title: str, low: Sequence[float] = (0, 1)) -> Row:
    """Return the channel of a share in per cent."""
    return number(field, title, scale={"domain": list(low)}, axis={"format": "%", "tickCount": 5})
