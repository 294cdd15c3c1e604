"""The section about the forecast: base rate and floor, what it says, what it was tested on."""

from __future__ import annotations

from typing import Any

from pipeline.report.charts import Axis, curve, meter
from pipeline.report.facts import blocks, columns, shown, words
from pipeline.report.markup import Html, join, number, percent, table, tag
from pipeline.report.quotes import label
from pipeline.report.repeats import document, quoted

Data = dict[str, Any]
Section = tuple[str, str, Html]

_OBSERVED = {"base_rate": "trained on (base rate)", "floor": "never trained on (floor)"}
_HEADLINES = ("fitted", "why_not", "target", "base_rate", "floor", "expected", "warnings")
_FIRST = (("memorized_by_count", "memorized"), ("calibration_unseen",), ("held_out_unseen",))
_NAMES = {
    "expected": "Share of sequences expected to be memorized, weighted to the whole corpus",
    "memorized": "Families memorized by each proxy",
    "memorized_by_count": "Share of sequences memorized, by how often they occur",
    "held_out_unseen": "Back-test of the forecast for text that a proxy did not see",
    "held_out_seen": "Back-test of the forecast for text that it saw",
    "calibration_unseen": "Calibration for text that a proxy did not see",
    "calibration_seen": "Calibration for text that it saw",
}


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
    model = risk["model"]
    fitted = any(sum(counts) for counts in risk["histogram"].values())
    parts = [_introduction(model), _observed(model)]
    if fitted:
        parts += [_expected(model), _spread(risk)]
    parts.append(_tests(model))
    if risk["sources"]:
        parts.append(_sources(risk))
    if risk["top"]:
        parts.append(_top(risk))
    return join([*parts, _details(risk), _warnings(model)])


def _introduction(model: Data) -> Html:
    parts = [
        tag(
            "p",
            "Risk is the forecast probability that the model to be trained can complete a sequence "
            "of 64 tokens word for word: all of the last 32 from the first 32. A document's risk "
            "is the largest of its scored sequences. It is a forecast with an error, not a "
            "guarantee; read it beside the base rate and the floor.",
            class_="prose",
        )
    ]
    target = model.get("target")
    if isinstance(target, dict):
        parts.append(tag("p", _target(target), class_="prose"))
    if model.get("why_not"):
        parts.append(
            tag("p", f"No forecast was fitted: {shown(model['why_not'])}.", class_="prose")
        )
    return join(parts)


def _target(target: Data) -> str:
    told = (
        f"Target: {shown(target.get('parameters'))} parameters, "
        f"{shown(target.get('times_the_largest_proxy'))} times the largest proxy; "
        f"{shown(target.get('tokens'))} tokens; epochs of this corpus: "
        f"{shown(target.get('epochs'))}; "
        f"{shown(target.get('assumption'))}."
    )
    if target.get("extrapolated"):
        told += (
            " That is more than ten times the largest proxy: read the risks below as an order, "
            "not as probabilities."
        )
    return told


def _observed(model: Data) -> Html:
    """Return what the largest proxy did memorize: of what it saw, and of what it never saw."""
    rows = [
        (name, model[key]) for key, name in _OBSERVED.items() if isinstance(model.get(key), dict)
    ]
    if not rows:
        return join([])
    keys = list(dict.fromkeys(key for _, row in rows for key in row))
    lines = [[name, *(shown(row.get(key)) for key in keys)] for name, row in rows]
    caption = (
        "What the largest proxy memorized. The floor is the rate among text that it never saw: "
        "what can be guessed."
    )
    return table(caption, ["sequences that it was", *map(words, keys)], lines, class_="facts")


def _expected(model: Data) -> Html:
    rows = model.get("expected")
    return join(blocks({"expected": rows}, "", _NAMES) if isinstance(rows, dict) else [])


def _spread(risk: Data) -> Html:
    spread = risk["histogram"]
    totals = {name: sum(counts) for name, counts in spread.items()}
    step = 1 / risk["bins"]
    lines = [
        (
            f"{place * step:.1f} to {(place + 1) * step:.1f}",
            *(
                cell
                for name in ("documents", "sequences")
                for cell in (
                    number(spread[name][place]),
                    percent(spread[name][place], totals[name]),
                    meter(spread[name][place] / totals[name] if totals[name] else 0.0),
                )
            ),
        )
        for place in range(risk["bins"])
    ]
    without = risk["without"]
    caption = (
        f"How risk spreads over {number(totals['documents'])} documents and "
        f"{number(totals['sequences'])} sequences that were scored; "
        f"{number(without['documents'])} and {number(without['sequences'])} have no forecast."
    )
    head = ("risk", "documents", "share", "", "sequences", "share", "")
    return table(caption, head, lines, (0, 3, 6))


def _tests(model: Data) -> Html:
    """Return what the forecast rests on, and how it did on held-out families."""
    groups = []
    for names in _FIRST:
        found = [
            part
            for name in names
            for part in blocks({name: model.get(name)}, "", _NAMES)
            if model.get(name)
        ]
        if "calibration_unseen" in names:
            found += _calibration(model.get("calibration_unseen"))
        groups.append(columns(found))
    return join(groups)


def _calibration(bins: object) -> list[Html]:
    rows = [row for row in bins if isinstance(row, dict)] if isinstance(bins, list) else []
    if not rows:
        return []
    dots = [(float(row["forecast"]), float(row["observed"])) for row in rows]
    title = "Observed share memorized by forecast risk, in held-out families"
    axis = Axis("forecast risk", 0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1])
    chart = curve(title, axis, [(0, 0), (1, 1)], dots)
    caption = f"{title}. On the line, the forecast is as sure as it should be."
    return [tag("figure", chart, tag("figcaption", caption), class_="half")]


def _details(risk: Data) -> Html:
    rest = {
        name: value
        for name, value in risk["model"].items()
        if name not in _HEADLINES and not any(name in names for names in _FIRST)
    }
    return tag(
        "details",
        tag("summary", "More about the forecast, the proxies and the sample that they learnt from"),
        columns([*blocks(rest, "", _NAMES), *blocks(risk["proxies"], "Proxies")]),
    )


def _warnings(model: Data) -> Html:
    rows = model.get("warnings")
    texts = [shown(row.get("warning")) for row in rows if isinstance(row, dict)] if rows else []
    return tag("ul", *(tag("li", text) for text in texts), class_="prose") if texts else join([])


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
    head = (
        "source group",
        "documents scored",
        "risk 0.5 or above",
        "share",
        "largest risk",
        "expected tokens",
    )
    return table("Source groups with the most tokens expected to be memorized.", head, lines)


def _top(risk: Data) -> Html:
    lines = [
        (
            f"{row['risk']:.3f}",
            f"{number(row['risk_low'], 3)}\N{EN DASH}{number(row['risk_high'], 3)}",
            number(row["document"]["exact_count"]),
            number(row["document"]["near_count"]),
            number(row["document"]["max_window_count"]),
            row["kind"] or "\N{EN DASH}",
            "kept" if row["action"] != "drop" else f"removed: {words(str(row['reason']))}",
            tag("div", document(row["document"]), quoted(row["quote"])),
        )
        for row in risk["top"]
    ]
    head = (
        "risk",
        "95% interval",
        "exact",
        "near",
        "window",
        "kind",
        "decision",
        "riskiest sequence",
    )
    caption = (
        "The texts of highest risk, with their counts; what overlaps with one above is left out."
    )
    return table(caption, head, lines, (5, 6, 7), class_="wide")
