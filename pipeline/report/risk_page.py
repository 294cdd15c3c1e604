"""The section about the forecast: its base rate and floor first, then what it says, then what it was tested on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.report.charts import Axis, columns
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
    if not data["risk"]:
        return "documents at risk", "not scored", "run rote score for a forecast", ""
    histogram = data["risk"]["histogram"]["documents"]
    scored = sum(histogram)
    if not scored:
        return "documents at risk", "no forecast", "too little was memorized to fit one", ""
    risky = sum(histogram[len(histogram) // 2 :])
    return "documents at risk", number(risky), f"of {number(scored)} scored, risk 0.5 or above", ""


def _unscored() -> Html:
    return tag("p", "risk: not scored. This run has no forecast; ", tag("code", "rote score RUN"),
               " trains the proxies and makes one. Counts of repetition, above, need no model.", class_="prose")


def _risk(data: Data) -> Html:
    return join([])
