"""The course of a training in the section "Signals": recognition and recall of plants by dose."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.engine.tables import Row
from pipeline.report.html.charts import Spec, chart, colour, name, number, spec
from pipeline.report.html.markup import DASH, Html, table, tag
from pipeline.report.html.markup import number as shown_number
from pipeline.report.html.terms import term

_NEVER = "never (floor)"
_MOST = 6  # lines of a chart: there are no more colours
_FEWER = "The chart has every second dose, its numbers have all."


def dynamics(found: Row | None) -> list[Html]:
    """Return the charts and the table of how plants were learnt and forgotten; nothing without."""
    if found is None:
        return []
    introduction = tag(
        "p",
        "In the course of its training the proxy ",
        found["proxy"],
        " was asked for the ",
        term("plant", "plants"),
        f" of one text, the last time after {found['steps']:,} steps. Recognition (a text that was "
        "taught is more probable than one never taught) comes before recall (it is recited).",
        class_="prose",
    )
    course = found["course"]
    last = [row for row in course if row["steps"] == found["steps"]]
    told = [_sudden(last, found["steps"])] if last and last[-1]["sudden_steps"] is not None else []
    return [introduction, _recall(course), _recognition(course), *told, _since(found["since"])]


def _sudden(rows: Sequence[Row], steps: int) -> Html:
    """Return the table of when plants became probable, by how often they were taught in all."""
    lines = [
        (
            _times(row["taught"]),
            shown_number(row["texts"]),
            DASH if row["sudden_steps"] is None else f"{row['sudden_steps'] / steps:.0%}",
            f"{row['share']:.1%}",
        )
        for row in rows
    ]
    caption = (
        "When confidence comes: the moment of the training before which log p of a plant rose "
        "most, the median of each dose."
    )
    head = ("taught in all", "plants", "of the training", "recited at the end")
    return table(caption, head, lines, (0,))


def _recall(course: Sequence[Row]) -> Html:
    """Return the chart of the share recited."""
    values = [_point(row, row["share"], row["share_95"]) for row in _drawable(course)]
    lines = [(*_labels(row), f"{row['share']:.1%}", _ends(row["share_95"], "%")) for row in course]
    head = ("taught so far", "of the training", "plants", "recited", "95% interval")
    title = "Recall: plants recited, by how often they were taught so far"
    numbers = table(f"{title}.", head, lines, (0,), data_sort=True)
    note = _FEWER if len(values) < len(course) else ""
    return chart("recall", title, _drawn(values, "recited", "%"), numbers, note)


def _recognition(course: Sequence[Row]) -> Html:
    """Return the chart of the area under the curve of log p against plants never taught."""
    known = [row for row in course if row["auc"] is not None]
    values = [_point(row, row["auc"], row["auc_95"]) for row in _drawable(known)]
    lines = [(*_labels(row), f"{row['auc']:.3f}", _ends(row["auc_95"], "")) for row in known]
    head = ("taught so far", "of the training", "plants", "AUC", "95% interval")
    title = "Recognition: log p of plants taught against plants never taught"
    note = "Area under the curve; one half is chance."
    note += f" {_FEWER}" if len(values) < len(known) else ""
    numbers = table(f"{title}. {note}", head, lines, (0,), data_sort=True)
    return chart("recognition", title, _drawn(values, "AUC", ""), numbers, note)


def _since(rows: Sequence[Row]) -> Html:
    """Return the table of recognition and recall by steps since a plant was last taught."""
    doses = sorted({row["taught"] for row in rows})
    by_place = {(row["taught"], row["steps_since"]): row for row in rows}
    lines = [
        (f"{since:,} or more", *(_cell(by_place.get((dose, since))) for dose in doses))
        for since in sorted({row["steps_since"] for row in rows})
    ]
    head = ("steps since it was taught", *(f"taught {_times(dose)}" for dose in doses))
    caption = (
        "Forgetting: AUC and share recited, over all moments, by steps since a plant was taught "
        "last (up to twice as many) and by how often it had been."
    )
    return table(caption, head, lines, (0,))


def _cell(row: Row | None) -> str:
    if row is None:
        return DASH
    area = DASH if row["auc"] is None else f"{row['auc']:.2f}"
    return f"{area}, {row['share']:.0%} of {row['answers']:,}"


def _times(dose: int) -> str:
    """Return a power of two as the range of doses that it stands for."""
    if not dose:
        return _NEVER
    return f"{dose:,}" if dose == 1 else f"{dose:,}\N{EN DASH}{2 * dose - 1:,}"


def _drawable(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of as many doses as a chart has colours: else of 0, 1, 4, 16 and so on."""
    few = len({row["taught"] for row in rows}) <= _MOST
    return [row for row in rows if few or not row["taught"] or row["taught"].bit_length() % 2]


def _labels(row: Row) -> tuple[str, str, str]:
    return _times(row["taught"]), f"{row['share_of_training']:.0%}", shown_number(row["texts"])


def _ends(ends: Sequence[float], form: str) -> str:
    low, high = ends
    return f"{low:.1%} to {high:.1%}" if form else f"{low:.3f} to {high:.3f}"


def _point(row: Row, value: float, ends: Sequence[float]) -> Row:
    return {
        "taught": _times(row["taught"]),
        "share_of_training": row["share_of_training"],
        "value": value,
        "low": ends[0],
        "high": ends[1],
        "texts": row["texts"],
    }


def _drawn(values: list[Row], title: str, form: str) -> Spec:
    """Return the specification of a chart over the course of a training, a line for each dose."""
    x = number("share_of_training", "share of the training", axis={"format": "%"})
    y = number("value", title, axis={"format": form or ".1f", "tickCount": 5})
    tint = colour("taught", list(dict.fromkeys(row["taught"] for row in values)))
    shown = ".1%" if form else ".3f"
    tips = [
        name("taught", "taught"), number("share_of_training", "of the training", format=".0%"),
        number("value", title, format=shown), number("low", "from", format=shown),
        number("high", "to", format=shown), number("texts", "plants", format=","),
    ]  # fmt: skip
    ends = {"y": {**y, "field": "low"}, "y2": {"field": "high"}}
    layers: list[Spec] = [
        {"mark": {"type": "rule", "opacity": 0.3}, "encoding": {"x": x, **ends, "color": tint}},
        {
            "mark": {"type": "line", "point": True},
            "encoding": {"x": x, "y": y, "color": tint, "tooltip": tips},
        },
    ]
    return spec(values, layer=layers)
