"""The section "Calibration and back-test": whether the forecast is right."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.engine.tables import Row
from pipeline.report.html.charts import Spec, chart, colour, name, number, spec
from pipeline.report.html.facts import blocks, columns, shown, words
from pipeline.report.html.markup import Figure, Html, figure, join, table, tag
from pipeline.report.html.terms import term
from pipeline.report.page.risk import NAMES, details

HEADLINE = "all"  # natural text and plants: pipeline.backtest.judgement.strata
_FIRST = (
    "average_precision",
    "brier_skill",
    "calibration_slope",
    "recall_at_precision",
    "recall_at_100_errors",
)
MOST_METRICS = 60
MOST_LINES = 6


def proof(data: Row) -> Html:
    """Return the section "Calibration and back-test" of the page."""
    model = data["risk"]["model"] if data["risk"] else {}
    parts = _held_out(model)
    if data["backtest"]:
        parts += _backtest(data["backtest"])
    else:
        parts.append(
            tag(
                "p",
                "There is no ",
                term("back-test"),
                " of this run: ",
                tag("code", "rote backtest RUN"),
                " trains a larger model on text of this corpus and compares the forecast with it.",
                class_="prose",
            )
        )
    if data["risk"]:
        parts.append(details(data["risk"]))
    return join(parts)


def _held_out(model: Row) -> list[Html]:
    """Return the chart and the tables of the tests on held-out families."""
    parts: list[Html] = []
    bins = model.get("calibration_unseen")
    rows = [row for row in bins if isinstance(row, dict)] if isinstance(bins, list) else []
    if rows:
        values = [{**row, "score": "forecast"} for row in rows]
        numbers = join(blocks({"calibration_unseen": rows}, "", NAMES))
        title = join(
            [term("calibration", "Calibration"), " in ", term("held out", "held-out"), " families"]
        )
        parts.append(_reliability("calibration", title, values, numbers))
    tests = model.get("held_out_unseen")
    if isinstance(tests, dict):
        parts += blocks({"held_out_unseen": tests}, "", NAMES)
    return [_measures(), columns(parts)] if parts else []


def _measures() -> Html:
    """Return the paragraph on what the forecast is judged by."""
    return tag(
        "p",
        "Two questions: does the forecast put what is memorized first (",
        term("average precision"),
        "), and are its probabilities right (calibration, ",
        term("Brier score"),
        ")?",
        class_="prose",
    )


def _reliability(key: str, title: str, values: Sequence[Row], numbers: Html) -> Html:
    """Return a chart of the share memorized by forecast, beside the ideal line."""
    scores = list(dict.fromkeys(row["score"] for row in values))
    x = number(
        "forecast",
        "forecast risk",
        scale={"domain": [0, 1]},
        axis={"format": ".1f", "tickCount": 5},
    )
    y = number(
        "observed",
        "share memorized",
        scale={"domain": [0, 1]},
        axis={"format": "%", "tickCount": 5},
    )
    ideal = {
        "data": {"values": [{"forecast": 0, "observed": 0}, {"forecast": 1, "observed": 1}]},
        "mark": {"type": "line", "strokeDash": [3, 3], "color": "var:soft", "strokeWidth": 1},
        "encoding": {"x": x, "y": y},
    }
    tooltip = [
        name("score", "score"), number("forecast", "forecast", format=".3f"),
        number("observed", "observed", format=".3f"), number("sequences", "sequences", format=","),
    ]  # fmt: skip
    tint = colour("score", scores) if len(scores) > 1 else {"value": "var:bar"}
    layers: list[Spec] = [ideal]
    if all(row.get("low") is not None and row.get("high") is not None for row in values):
        ends = {"y": {**y, "field": "low"}, "y2": {"field": "high"}}
        layers.append({"mark": "rule", "encoding": {"x": x, **ends, "color": tint}})
    dots = {"x": x, "y": y, "color": tint, "tooltip": tooltip}
    layers.append({"mark": {"type": "point", "filled": True, "size": 60}, "encoding": dots})
    note = "On the line, the forecast is as sure as it should be; above it, more is memorized."
    return chart(key, title, spec(values, layer=layers), numbers, note)


def _backtest(found: Row) -> list[Html]:
    """Return the part of the section about the back-test."""
    facts = [
        (words(key), shown(value))
        for key, value in found["facts"].items()
        if not isinstance(value, str) or len(value) < 200
    ]
    parts: list[Html] = [
        tag("h3", term("back-test", "Back-test"), ": forecast against a larger model trained here")
    ]
    drawn = [*_curve(found["curve"]), *_backtest_reliability(found["reliability"])]
    if drawn:
        parts.append(tag("div", *drawn, class_="two"))
    if found["metrics"]:
        parts.append(_metrics(found["metrics"]))
    if found["differences"]:
        parts.append(_differences(found["differences"]))
    if found["caveats"]:
        parts.append(tag("ul", *(tag("li", text) for text in found["caveats"]), class_="prose"))
    if facts or found["others"]:
        about = table("About the back-test.", ("", "value"), facts, (0, 1), class_="small facts")
        rest = columns([about, *blocks(found["others"], "")])
        parts.append(tag("details", tag("summary", "More about the back-test"), rest))
    return parts


def _headline(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of the headline stratum, else of the first."""
    strata = [row.get("stratum") for row in rows]
    wanted = HEADLINE if HEADLINE in strata else strata[0] if strata else None
    return [row for row in rows if row.get("stratum") == wanted]


def _curve(rows: Sequence[Row]) -> list[Html]:
    """Return the chart of precision and recall; nothing without numbers."""
    points = _headline(rows)
    scores = list(dict.fromkeys(str(row.get("score", "forecast")) for row in points))[:MOST_LINES]
    values = [
        {"score": words(score), "recall": row["recall"], "precision": row["precision"]}
        for score in scores
        for row in points
        if str(row.get("score", "forecast")) == score
    ]
    if not values:
        return []
    shares: Row = {"scale": {"domain": [0, 1]}, "axis": {"format": "%", "tickCount": 5}}
    channels = {
        "x": number("recall", "recall", **shares),
        "y": number("precision", "precision", **shares),
        "color": colour("score", [words(score) for score in scores]),
        "order": {"field": "recall", "type": "quantitative"},
        "tooltip": [
            name("score", "score"), number("recall", "recall", format=".1%"),
            number("precision", "precision", format=".1%"),
        ],
    }  # fmt: skip
    lines = [
        [row["score"], _share(row["recall"]), _share(row["precision"])] for row in values[:200]
    ]
    numbers = table(
        "Precision and recall.", ("score", "recall", "precision"), lines, data_sort=True
    )
    drawn = spec(values, mark={"type": "line", "interpolate": "step-before"}, encoding=channels)
    return [
        chart("precision", "Precision and recall of the forecast and of baselines", drawn, numbers)
    ]


def _backtest_reliability(rows: Sequence[Row]) -> list[Html]:
    """Return the chart of calibration in the back-test; nothing without numbers."""
    bins = [{**row, "score": words(str(row.get("score", "forecast")))} for row in _headline(rows)]
    if not bins:
        return []
    keys = ("score", "forecast", "observed", "low", "high", "sequences")
    lines = [[row["score"], *(shown(row.get(key)) for key in keys[1:])] for row in bins]
    numbers = table(
        "Calibration in the back-test.", [words(key) for key in keys], lines, data_sort=True
    )
    return [_reliability("reliability", "Calibration against the larger model", bins, numbers)]


def _metrics(rows: Sequence[Row]) -> Html:
    """Return the table of metrics of the back-test."""
    chosen = [row for row in _headline(rows) if row.get("dose") in (None, "all")]
    place = {metric: at for at, metric in enumerate(_FIRST)}
    chosen.sort(key=lambda row: place.get(row["metric"], len(place)))
    lines = [
        [
            words(str(row["metric"])),
            words(str(row["score"])),
            _value(row.get("value")),
            _between(row),
        ]
        for row in chosen[:MOST_METRICS]
    ]
    base = next((row.get("base_rate") for row in chosen if row.get("base_rate") is not None), None)
    caption = "Metrics of the back-test, with 95% intervals by family"
    caption += f"; base rate {shown(base)}." if base is not None else "."
    return table(
        caption, ("metric", "score", "value", "95% interval"), lines, (0, 1), data_sort=True
    )


def _differences(rows: Sequence[Row]) -> Html:
    """Return the table of the forecast's lead over the baselines."""
    lines = [
        [
            words(str(row.get("metric", ""))),
            words(str(row["forecast"])),
            words(str(row["baseline"])),
            _value(row["difference"]),
            _between(row),
        ]
        for row in rows[:MOST_METRICS]
    ]
    head = ("metric", "forecast", "against", "difference", "95% interval")
    return table(
        "Forecast minus baseline, on the same draws.", head, lines, (0, 1, 2), data_sort=True
    )


def _between(row: Row) -> str:
    """Return a 95% interval as it is shown."""
    low, high = row.get("low"), row.get("high")
    return "" if low is None or high is None else f"{low:.3f} to {high:.3f}"


def _value(value: object) -> str | Figure:
    """Return a metric as it is shown."""
    return figure(f"{value:.3f}", value) if isinstance(value, int | float) else shown(value)


def _share(value: float) -> Figure:
    """Return a share in per cent, with its value."""
    return figure(f"{100 * value:.1f}%", value)
