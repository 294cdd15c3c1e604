"""The section about the forecast: its base rate and floor first, then what it says, then what it was tested on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.report.charts import meter
from pipeline.report.markup import Html, join, number, percent, table, tag
from pipeline.report.quotes import label
from pipeline.report.repeats import document, quoted

Data = dict[str, Any]
Section = tuple[str, str, Html]


def sections(data: Data) -> list[Section]:
    """Return the section on the forecast."""
    title = "What a model would learn by rote"
    return [("risk", title, _risk(data) if data["risk"] else _unscored())]


def tile(data: Data) -> tuple[str, str, str, str]:
    """Return name, figure, note and kind of the forecast's tile."""
    name = "documents at risk"
    if not data["risk"]:
        return name, "not scored", "rote score makes a forecast", ""
    histogram = data["risk"]["histogram"]["documents"]
    scored = sum(histogram)
    if not scored:
        return name, "no forecast", "too little was memorized to fit one", ""
    risky = sum(histogram[len(histogram) // 2 :])
    return name, number(risky), f"risk 0.5 or above, of {number(scored)} scored", ""


def _unscored() -> Html:
    return tag(
        "p",
        "risk: not scored. This run has no forecast; ",
        tag("code", "rote score RUN"),
        " trains small models on a sample and makes one. The counts above need no model.",
        class_="prose",
    )


def _risk(data: Data) -> Html:
    risk = data["risk"]
    parts = [
        tag(
            "p",
            "Risk is the forecast probability that the model to be trained can complete a sequence of 64 tokens "
            "word for word: all of the last 32 from the first 32. A document's risk is the largest of its scored "
            "sequences. It is a forecast with an error, not a guarantee; read it beside the base rate and the floor.",
            class_="prose",
        ),
        _figures(risk["model"]),
        _spread(risk),
        *_tables(risk["model"], "The forecast"),
        *_tables(risk["proxies"], "The proxies"),
    ]
    if risk["sources"]:
        parts.append(_sources(risk))
    if risk["top"]:
        parts.append(_top(risk))
    return join(parts)


def _figures(model: Data) -> Html:
    """Return the single numbers and words of the forecast's facts."""
    entries = [
        part
        for name, value in sorted(model.items())
        if not isinstance(value, Mapping | list)
        for part in (tag("dt", _title(name)), tag("dd", _value(value)))
    ]
    return tag("dl", *entries, class_="settings figures") if entries else join([])


def _spread(risk: Data) -> Html:
    columns = risk["histogram"]
    totals = {name: sum(counts) for name, counts in columns.items()}
    step = 1 / risk["bins"]
    lines = [
        (
            f"{place * step:.1f} to {(place + 1) * step:.1f}",
            *(
                cell
                for name in ("documents", "sequences")
                for cell in (
                    number(columns[name][place]),
                    percent(columns[name][place], totals[name]),
                    meter(columns[name][place] / totals[name] if totals[name] else 0.0),
                )
            ),
        )
        for place in range(risk["bins"])
    ]
    without = risk["without"]
    caption = (
        f"How risk spreads over {number(totals['documents'])} documents and {number(totals['sequences'])} sequences "
        f"that were scored; {number(without['documents'])} and {number(without['sequences'])} have no forecast."
    )
    return table(caption, ("risk", "documents", "share", "", "sequences", "share", ""), lines, (0, 3, 6))


def _tables(facts: Data, about: str) -> list[Html]:
    """Return the facts that are lists or groups of numbers as tables, whatever the model behind them reports."""
    found: list[Html] = []
    for name, value in sorted(facts.items()):
        rows = _rows(value)
        if rows:
            keys = list(dict.fromkeys(key for row in rows for key in row))
            words = [0, *(place for place, key in enumerate(keys) if isinstance(rows[0].get(key), str))]
            lines = [tuple(_value(row.get(key)) for key in keys) for row in rows]
            caption = f"{about}: {_title(name)}."
            found.append(table(caption, [_title(key) for key in keys], lines, words, class_="small"))
    return [tag("div", *found, class_="two tables")] if found else []


def _rows(value: object) -> list[Data]:
    if isinstance(value, Mapping):
        inner = [(name, entry) for name, entry in value.items() if isinstance(entry, Mapping)]
        if inner:
            return [{"name": str(name), **_flat(entry)} for name, entry in inner]
        return [{"name": _title(str(name)), "value": entry} for name, entry in value.items()]
    if isinstance(value, list):
        return [_flat(entry) for entry in value if isinstance(entry, Mapping)]
    return []


def _flat(entry: Mapping[str, Any]) -> Data:
    return {name: value for name, value in entry.items() if not isinstance(value, Mapping)}


def _title(name: str) -> str:
    return name.replace("_", " ")


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return number(value)
    if isinstance(value, float):
        return number(value) if value == int(value) and abs(value) >= 1000 else f"{value:.4g}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " to ".join(_value(part) for part in value)
    return "\N{EN DASH}" if value is None else label(str(value), 400)


def _sources(risk: Data) -> Html:
    lines = [
        (
            label(row["source_group"]),
            number(row["documents"]),
            number(row["risky"]),
            percent(row["risky"], row["documents"]),
            f"{row['largest']:.3f}",
            number(row["expected_tokens"]),
        )
        for row in risk["sources"]
    ]
    head = ("source group", "documents scored", "risk 0.5 or above", "share", "largest risk", "expected tokens")
    return table("Source groups with the most tokens expected to be memorized.", head, lines)


def _top(risk: Data) -> Html:
    lines = [
        (
            f"{row['risk']:.3f}",
            f"{_value(row['risk_low'])}\N{EN DASH}{_value(row['risk_high'])}",
            number(row["document"]["exact_count"]),
            number(row["document"]["near_count"]),
            number(row["document"]["max_window_count"]),
            row["kind"] or "\N{EN DASH}",
            "kept" if row["action"] != "drop" else f"removed: {str(row['reason']).replace('_', ' ')}",
            tag("div", document(row["document"]), quoted(row["quote"])),
        )
        for row in risk["top"]
    ]
    head = ("risk", "95% interval", "exact", "near", "window", "kind", "decision", "riskiest sequence")
    return table("The documents of highest risk, with their counts.", head, lines, (5, 6, 7), class_="wide")
