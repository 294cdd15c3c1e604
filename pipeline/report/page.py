"""The page: one file, no script, nothing loaded from anywhere, the same bytes for the same data."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import Any

from pipeline.report import repeats, risk_page, rows
from pipeline.report.markup import Html, join, number, percent, size, style, tag

Data = dict[str, Any]

MOST_ALARMS = 25


def page(data: Data) -> str:
    """Return the whole page.

    The policy in its head forbids scripts and any load, whatever the text of the corpus holds.
    """
    sheet = _sheet()
    digest = base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", "rote: what this corpus repeats"),
        style(sheet),
    )
    sections = [
        *rows.sections(data),
        *repeats.sections(data),
        *risk_page.sections(data),
        *_end(data),
    ]
    main = tag(
        "main",
        _header(data),
        _tiles(data),
        _alarms(data),
        _contents(sections),
        *(_section(*part) for part in sections),
        _footer(data),
    )
    return f"<!doctype html>\n{tag('html', head, tag('body', main), lang='en')}\n"


@cache
def _sheet() -> str:
    return files("pipeline.report").joinpath("style.css").read_text(encoding="utf-8")


def _section(name: str, title: str, body: Html) -> Html:
    return tag(
        "section",
        tag("h2", title, id=f"{name}-title"),
        body,
        id=name,
        aria_labelledby=f"{name}-title",
    )


def _contents(sections: list[tuple[str, str, Html]]) -> Html:
    links = [tag("li", tag("a", title, href=f"#{name}")) for name, title, _ in sections]
    return tag("nav", tag("ul", *links), aria_label="Sections")


def _header(data: Data) -> Html:
    corpus, near = data["corpus"], data["config"]["near"]
    shards = f"{corpus['shards']:,} shard{'' if corpus['shards'] == 1 else 's'}"
    facts = (
        f"{number(corpus['rows'])} rows in {shards}, {size(corpus['text_bytes'])} of text "
        f"({size(corpus['file_bytes'])} on disk), {number(corpus['words'])} words."
    )
    rules = ", ".join(data["config"]["policy"]["rules"]) or "none"
    contained = f"contained from {near['containment']:g}, " if near["containment"] else ""
    window = data["config"]["window"]["words"]
    setting = (
        f"Near copies from Jaccard {near['threshold']:g} (counted from "
        f"{near['count_threshold']:g}), {contained}windows of {window} words, "
        f"rules: {rules}."
    )
    made = f"rote {data['rote']['version']}, scan {data['rote']['scan']}"
    return tag(
        "header",
        tag("p", made, class_="brand"),
        tag("h1", "What this corpus repeats"),
        tag("p", facts, class_="lead"),
        tag("p", setting, class_="sub"),
    )


def _tiles(data: Data) -> Html:
    corpus, steps = data["corpus"], {step["step"]: step["rows"] for step in data["funnel"]}
    removed, window = corpus["documents"] - steps["kept"], data["config"]["window"]["words"]
    alarms = len(data["alarms"])
    tiles = [
        (
            "kept",
            number(steps["kept"]),
            f"{percent(steps['kept'], corpus['rows'])} of the rows read",
            "",
        ),
        ("removed", number(removed), f"{percent(removed, corpus['rows'])} of the rows read", ""),
        (
            "repeated words",
            percent(corpus["repeated_words"], corpus["words"]),
            f"lie in a window of {window} words that occurs more than once",
            "",
        ),
        risk_page.tile(data),
        (
            "alarms",
            number(alarms),
            "to look at first" if alarms else "nothing unusual",
            "warn" if alarms else "",
        ),
    ]
    return tag(
        "dl",
        *(
            tag(
                "div",
                tag("dt", name),
                tag("dd", value, class_="figure"),
                tag("dd", note, class_="note"),
                class_=f"tile {kind}".strip(),
            )
            for name, value, note, kind in tiles
        ),
        class_="tiles",
    )


def _alarms(data: Data) -> Html:
    raised = [*data["alarms"], *data["notes"]]
    if not raised:
        return join([])
    items = [
        tag(
            "li",
            tag("span", entry["level"], class_="level"),
            entry["sentence"],
            class_=entry["level"],
        )
        for entry in raised[:MOST_ALARMS]
    ]
    more = len(raised) - len(items)
    rest = [tag("li", f"and {more:,} more in report.json", class_="note")] if more else []
    return tag(
        "section",
        tag("h2", "Alarms and notes", id="alarms-title"),
        tag("ul", *items, *rest, class_="alarms"),
        id="alarms",
        aria_labelledby="alarms-title",
    )


def _end(data: Data) -> list[tuple[str, str, Html]]:
    return [
        ("limits", "What these numbers do and do not say", _limits(data)),
        ("config", "Settings", _config(data)),
    ]


def _limits(data: Data) -> Html:
    return tag("ul", *(tag("li", text) for text in data["assumptions"]), class_="prose")


def _config(data: Data) -> Html:
    lines = [
        (f"{section}.{key}", value)
        for section, values in sorted(data["config"].items())
        if isinstance(values, dict)
        for key, value in sorted(values.items())
    ]
    entries = [
        part for name, value in lines for part in (tag("dt", name), tag("dd", _setting(value)))
    ]
    return tag(
        "details",
        tag("summary", f"All {len(lines)} settings that this result depends on"),
        tag("dl", *entries, class_="settings"),
    )


def _setting(value: object) -> str:
    if value is None or value in ([], ""):
        return "\N{EN DASH}"
    return (
        ", ".join(map(str, value))
        if isinstance(value, list)
        else repr(value)
        if value == "\n\n"
        else str(value)
    )


def _footer(data: Data) -> Html:
    text = (
        f"rote {data['rote']['version']}, tables version {data['rote']['schema']}, Unicode "
        f"{data['rote']['unicode']}. The same numbers are in report.json. For one document: "
    )
    return tag("footer", tag("p", text, tag("code", "rote explain RUN DOC_ID")))
