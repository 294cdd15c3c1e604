"""Charts: a Vega-Lite specification, the same numbers as a table, and a bar for a table's cell.

The page draws a specification with the Vega that it carries; colours come from the page's style.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.engine.tables import Row
from pipeline.report.html.markup import Html, embedded, tag, text_of

Spec = dict[str, Any]

HEIGHT = 300


def meter(share: float, kind: str = "bar") -> Html:
    """Return a bar of 0 to 1 for a cell of a table.

    It repeats a number, so screen readers skip it.
    """
    width = max(1.0, round(100 * min(1.0, share), 2)) if share > 0 else 0.0
    return tag(
        "svg",
        tag("rect", x=0, y=0, width=100, height=8, rx=1, class_="track"),
        tag("rect", x=0, y=0, width=width, height=8, rx=1, class_=kind),
        viewBox="0 0 100 8",
        class_="meter",
        aria_hidden="true",
        preserveAspectRatio="none",
    )


def chart(
    name: str, title: str, spec: Spec, table: Html, note: str = "", *, opened: bool = False
) -> Html:
    """Return a figure: its title, the chart, and its numbers as a table that opens on request.

    The table is what a screen reader and a page without scripts have.

    Args:
        name: unique in the page.
        title: of the figure.
        spec: the specification of the chart.
        table: the same numbers.
        note: a sentence after the title.
        opened: show the table at once, because it is of use beside the chart.
    """
    drawn = tag("div", id=f"chart-{name}", class_="vega", role="img", aria_label=text_of(title))
    summary = tag("summary", "The numbers of this chart")
    numbers = tag("details", summary, table, class_="numbers", open=opened or None)
    caption = tag("figcaption", tag("strong", title), *([" ", note] if note else []))
    return tag("figure", caption, drawn, embedded(spec, "spec"), numbers, class_="drawn")


def spec(values: Sequence[Row], height: int = HEIGHT, **parts: object) -> Spec:
    """Return a specification as wide as its place, over rows of our own numbers.

    Args:
        values: the rows.
        height: pixels, with axes and legend.
        **parts: of the specification.
    """
    return {
        "width": "container",
        "height": height,
        "autosize": {"type": "fit", "contains": "padding"},
        "data": {"values": list(values)},
        **parts,
    }


def number(field: str, title: str | None, **more: object) -> Row:
    """Return the encoding channel of a quantity."""
    return {"field": field, "type": "quantitative", "title": title, **more}


def name(field: str, title: str | None, **more: object) -> Row:
    """Return the encoding channel of a name, in the order of the rows."""
    return {"field": field, "type": "nominal", "title": title, "sort": None, **more}


def colour(field: str, names: Sequence[str], colours: Sequence[str] = ()) -> Row:
    """Return the encoding channel that tells names apart by colour, in one order in all charts.

    Args:
        field: that holds the names.
        names: in order.
        colours: names of the page's colours, which page.js resolves; without, its categories.
    """
    scale: Row = {"domain": list(names)}
    if colours:
        scale["range"] = [f"var:{one}" for one in colours]
    legend = {"orient": "top", "title": None, "labelLimit": 180}
    return {"field": field, "type": "nominal", "scale": scale, "legend": legend}


def rule(at: float, text: str, *, low: bool = False) -> list[Spec]:
    """Return the layers of a line up the chart at a value of its horizontal axis.

    Args:
        at: the value.
        text: the words beside the line.
        low: the words stand at its foot, where the head is taken.
    """
    place = {"x": {"datum": at, "type": "quantitative"}}
    once: Row = {"data": {"values": [{}]}}
    line = {"type": "rule", "strokeDash": [4, 3], "color": "var:cut"}
    word = {"type": "text", "align": "right", "baseline": "top", "dx": -5}
    height: object = {"expr": "height - 18"} if low else 2
    return [
        {**once, "mark": line, "encoding": place},
        {
            **once,
            "mark": {**word, "y": height, "color": "var:cut"},
            "encoding": {**place, "text": {"value": text}},
        },
    ]
