"""Charts as inline SVG: no script, colours from the page's style, a title that is read aloud."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.report.markup import Html, number, tag

WIDTH, HEIGHT = 640, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 22, 40
_PLOT_WIDTH, _PLOT_HEIGHT = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM


@dataclass(frozen=True)
class Axis:
    """A horizontal axis from `low` to `high`, its name, and the values that are written on it."""

    name: str
    low: float
    high: float
    ticks: Sequence[float]


@dataclass(frozen=True)
class Mark:
    """A vertical line at `at`, with a word beside it."""

    at: float
    name: str


def meter(share: float, kind: str = "bar") -> Html:
    """Return a bar of 0 to 1 for a cell; it repeats a number, so screen readers skip it."""
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


def columns(
    title: str, axis: Axis, bars: Sequence[tuple[float, float, float]], marks: Sequence[Mark] = ()
) -> Html:
    """Return a histogram; `bars` are (from, to, value), its left axis starts at 0 and is linear."""
    top = _ceiling(max((value for _, _, value in bars), default=0.0))
    shapes: list[Html] = []
    for low, high, value in bars:
        tall = _PLOT_HEIGHT * value / top
        tall = max(tall, 1.5) if value else 0.0
        left, right = _x(axis, low), _x(axis, high)
        bar = tag(
            "rect",
            tag("title", f"{low:g} to {high:g}: {number(value)}"),
            x=_r(left + 0.5),
            y=_r(_TOP + _PLOT_HEIGHT - tall),
            width=_r(max(1.0, right - left - 1)),
            height=_r(tall),
            class_="bar",
        )
        shapes.append(Html(bar))
    return _frame(title, axis, (top, False), [*shapes, *(_mark(axis, mark) for mark in marks)])


def curve(
    title: str,
    axis: Axis,
    points: Sequence[tuple[float, float]],
    dots: Sequence[tuple[float, float]] = (),
    marks: Sequence[Mark] = (),
) -> Html:
    """Return a line through `points` (x, share of 0 to 1), with `dots` over it."""
    line = " ".join(f"{_r(_x(axis, x))},{_r(_y(y))}" for x, y in points)
    shapes = [tag("polyline", points=line, class_="line")] if points else []
    shapes += [
        tag("circle", cx=_r(_x(axis, x)), cy=_r(_y(y)), r=3.5, class_="dot") for x, y in dots
    ]
    return _frame(title, axis, (1.0, True), [*shapes, *(_mark(axis, mark) for mark in marks)])


def _frame(title: str, axis: Axis, top: tuple[float, bool], shapes: Sequence[Html]) -> Html:
    high, shares = top
    floor = _TOP + _PLOT_HEIGHT
    parts = [tag("title", title)]
    for step in range(5 if shares else 3):
        part = step / (4 if shares else 2)
        y = floor - _PLOT_HEIGHT * part
        text = f"{100 * part:.0f}%" if shares else number(high * part)
        parts.append(
            tag(
                "line",
                x1=_LEFT,
                y1=_r(y),
                x2=WIDTH - _RIGHT,
                y2=_r(y),
                class_="grid" if step else "axis",
            )
        )
        parts.append(tag("text", text, x=_LEFT - 8, y=_r(y + 4), class_="end"))
    parts += [
        tag("text", f"{tick:g}", x=_r(_x(axis, tick)), y=floor + 16, class_="middle")
        for tick in axis.ticks
    ]
    parts.append(
        tag("text", axis.name, x=_r(_LEFT + _PLOT_WIDTH / 2), y=HEIGHT - 6, class_="middle name")
    )
    return tag(
        "svg",
        *parts,
        *shapes,
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        class_="chart",
        role="img",
        aria_label=title,
    )


def _mark(axis: Axis, mark: Mark) -> Html:
    x = _x(axis, mark.at)
    left = x < _LEFT + 0.85 * _PLOT_WIDTH
    return tag(
        "g",
        tag("line", x1=_r(x), y1=_TOP - 6, x2=_r(x), y2=_TOP + _PLOT_HEIGHT, class_="mark"),
        tag(
            "text",
            mark.name,
            x=_r(x + (5 if left else -5)),
            y=_TOP - 8,
            class_="start" if left else "end",
        ),
    )


def _x(axis: Axis, value: float) -> float:
    return _LEFT + _PLOT_WIDTH * (value - axis.low) / (axis.high - axis.low)


def _y(share: float) -> float:
    return _TOP + _PLOT_HEIGHT * (1 - share)


def _r(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _ceiling(value: float) -> float:
    """Return the next even 1-2-5 number at or above `value`, so that half of it is whole."""
    step = 2.0
    while True:
        for factor in (1, 2, 3, 4, 5):
            if step * factor >= value:
                return step * factor
        step *= 10
