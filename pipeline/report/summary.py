"""One page of Markdown for a pull request: numbers and names, no text of a document."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pipeline.engine.tables import Row
from pipeline.report.data.alarms import grouped
from pipeline.report.data.headline import (
    diluted,
    half_dose,
    kept_proxies,
    no_forecast,
    ordered,
    short,
)
from pipeline.report.data.priorities import top_rows
from pipeline.report.html.markup import number, percent, size
from pipeline.report.html.phrases import PERSONAL, kind
from pipeline.report.page import verdict
from pipeline.report.page.changes import forecast_sides
from pipeline.report.page.opening import sentences
from pipeline.report.page.personal import sentence
from pipeline.report.quotes.quotes import label

MOST_ALARMS = 10
ROWS = 6


def summary(data: Row) -> str:
    """Return summary.md, the whole page.

    Names from the corpus are escaped, so that none becomes markup.
    """
    parts = [
        "# rote: what this corpus would teach by rote",
        _filed(data),
        _corpus(data),
        "## In short",
        *(f"**{name}.** {plain(text)}" for name, text in verdict.sentences(data)),
        "## What to remove first",
        *(plain(text) for text in sentences(data)),
        _first(data),
        "## What became of the rows",
        _funnel(data),
        "## Forecast",
        _forecast(data),
        *_personal(data),
        *_changes(data),
        f"## Alarms ({len(grouped(data['alarms'])):,})",
        _alarms(data),
        _end(data),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _end(data: Row) -> str:
    """Return the last lines of summary.md: digest, version, what the page is not."""
    digests = data["provenance"]
    return (
        f"Corpus digest `{digests['corpus']}`, settings `{digests['settings']}`; rote "
        f"{data['rote']['version']}. No part of this is a privacy guarantee. The whole report is "
        "index.html, its numbers report.json."
    )


def plain(text: str) -> str:
    """Return text in which Markdown and HTML see nothing to act on, and nobody is called."""
    for sign, escape in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("@", "&#64;")):
        text = text.replace(sign, escape)
    return re.sub(r"([\\`*_{}\[\]+!|~$]|#(?!\d+;))", r"\\\1", text)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; all columns but the first are set right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _filed(data: Row) -> str:
    """Return the line of summary.md on what it is of, by whom and when; nothing unless set."""
    said = data["config"]["report"]
    named = [plain(label(said[key])) for key in ("title", "owner", "date") if said[key]]
    return "; ".join(named)


def _corpus(data: Row) -> str:
    """Return the sentence of summary.md about the size of the corpus."""
    corpus = data["corpus"]
    return (
        f"{number(corpus['documents'])} documents, {size(corpus['text_bytes'])} of text, "
        f"{number(corpus['words'])} words in {number(corpus['shards'])} shards; "
        f"{percent(corpus['repeated_words'], corpus['words'])} of all words lie in passages that "
        "occur more than once."
    )


def _first(data: Row) -> str:
    """Return the table of summary.md of what to remove first."""
    rows = top_rows(data["first"], ROWS)
    if not rows:
        return ""
    scored = not ordered(data) and any(row["expected_tokens"] is not None for row in rows)
    lines = [
        (
            f"{kind(row['kind'])} in {plain(label(row['source_group'], 60))}",
            number(row["documents"]),
            number(row["words"]),
            *([number(row["expected_tokens"])] if scored else []),
            "removed" if row["done"] else "in kept/",
        )
        for row in rows
    ]
    amount = ["tokens at risk"] if scored else []
    return _table(("what", "rows", "words repeated", *amount, "state"), lines)


def _funnel(data: Row) -> str:
    """Return the table of summary.md of what became of the rows."""
    total = data["corpus"]["rows"]
    lines = [
        (plain(step["title"]), number(step["rows"]), percent(step["rows"], total))
        for step in data["funnel"]
    ]
    return _table(("step", "rows", "share"), lines)


def _forecast(data: Row) -> str:
    """Return the section of summary.md about the forecast."""
    if not data["risk"]:
        return "Not scored: `rote score RUN` makes a forecast."
    model = data["risk"]["model"]
    missing = no_forecast(model, data["risk"]["proxies"])
    parts = [
        plain(kept_proxies(model)),
        _half_doses(model.get("outlook")),
        "" if missing or ordered(data) or not data["removed"]["left"] else _left(data),
    ]
    return "\n\n".join(part for part in parts if part)


def _left(data: Row) -> str:
    """Return the table of summary.md of the forecast before the filter and after it."""
    lines = [
        (name, *(number(row[key]) for key in ("documents", "scored", "risky", "expected_tokens")))
        for name, row in zip(("as given", "after the filter"), data["removed"]["left"], strict=True)
    ]
    return _table(("corpus", "documents", "scored", "risk 0.5 or above", "expected tokens"), lines)


def _half_doses(outlook: object) -> str:
    """Return the sentence on when models of four sizes recite half; nothing without an outlook."""
    if not isinstance(outlook, dict) or not outlook.get("models"):
        return ""
    told = (
        f"{half_dose(model)} at {short(model['parameters_in_all'])}" for model in outlook["models"]
    )
    return plain(
        f"Occurrences at which half is recited (95%), by parameters of the model: "
        f"{', '.join(told)}; one epoch of this corpus in a training of 20 tokens a parameter. "
        f"{diluted(outlook)}".rstrip()
    )


def _personal(data: Row) -> list[str]:
    """Return the section of summary.md about personal data: numbers alone; nothing unless asked."""
    if not data["personal"]:
        return []
    lines = [
        (PERSONAL.get(row["kind"], row["kind"]), number(row["finds"]), number(row["left_in_kept"]))
        for row in data["personal"]["kinds"]
    ]
    told = _table(("kind", "finds", "left in kept/"), lines) if lines else ""
    return ["## Personal data", sentence(data) if lines else "None was found.", told]


def _changes(data: Row) -> list[str]:
    """Return the section of summary.md about another run; nothing without one."""
    found = data["changes"]
    if not found:
        return []
    lines = [
        (row["measure"].replace("_", " "), number(row["before"]), number(row["now"]))
        for row in (*found["totals"], *forecast_sides(data))
    ]
    return [
        f"## Changed since {plain(label(found['name']))}",
        _table(("", "before", "now"), lines),
    ]


def _alarms(data: Row) -> str:
    """Return the list of alarms of summary.md, the first ten."""
    alarms = grouped(data["alarms"])
    lines = [f"- {plain(entry['sentence'])}" for entry in alarms[:MOST_ALARMS]]
    more = len(alarms) - len(lines)
    return "\n".join([*lines, *([f"- and {more:,} more"] if more > 0 else [])]) or "None."
