"""Write an explanation as a page: keeper side by side, spans, risk, what would decide otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.inspect.explanation import Explanation
from pipeline.inspect.explanation_words import (
    HIDDEN,
    MOST_ROWS,
    changed_lines,
    counts,
    elsewhere,
    passage,
    place,
    risk_lines,
    verdict,
)
from pipeline.inspect.otherwise import otherwise
from pipeline.inspect.signal_words import signal_lines
from pipeline.report.html.assets import head, scripts
from pipeline.report.html.markup import Html, figure, join, number, table, tag
from pipeline.report.quotes.differences import Piece, side_by_side
from pipeline.report.quotes.quotes import label

TITLE, TITLE_WITHIN = "rote explain: ", 4_096  # of a page: how its title begins, in which bytes


def is_page(path: Path) -> bool:
    """Tell whether a file is such a page."""
    try:
        with path.open("rb") as stream:
            return f"<title>{TITLE}".encode() in stream.read(TITLE_WITHIN)
    except OSError:
        return False


def explanation_page(explanations: Sequence[Explanation]) -> str:
    """Return the explanations of all rows of a name as one HTML file that loads nothing."""
    name = label(explanations[0].row["doc_id"])
    many = f"{len(explanations)} rows carry this id." if len(explanations) > 1 else ""
    main = tag(
        "main",
        tag(
            "header",
            tag("p", "rote explain", class_="brand"),
            tag("h1", name, class_="id"),
            tag("p", many),
        ),
        *(_row(one, section) for section, one in enumerate(explanations[:MOST_ROWS])),
        id="main",
    )
    whole = tag(
        "html",
        head(f"{TITLE}{name}", charts=False),
        tag("body", main, scripts(charts=False)),
        lang="en",
    )
    return f"<!doctype html>\n{whole}\n"


def _row(one: Explanation, section: int) -> Html:
    """Return the section of one row."""
    title, lines = verdict(one)
    parts: list[Html] = [
        tag("p", place(one.row), class_="sub"),
        tag("h2", title, id=f"row-{section}"),
        _list(lines),
    ]
    if one.changed:
        parts += _titled("Changed since the scan", _list(changed_lines(one)))
    if not one.rejected:
        parts += [
            *_titled("What would decide otherwise", _list(otherwise(one))),
            *_titled("Beside what stays", _beside(one)),
            *_titled("Counts", _list(counts(one))),
            *_titled("Repeated spans", _spans(one)),
            *_titled("Risk", _risk(one)),
            *_titled("Signals", _list(signal_lines(one))),
        ]
        if not one.config.report.excerpts:
            parts.append(tag("p", HIDDEN, class_="note"))
    return tag("section", *parts, aria_labelledby=f"row-{section}")


def _titled(title: str, body: Html) -> list[Html]:
    return [tag("h3", title), body] if body else []


def _list(lines: Sequence[str]) -> Html:
    return tag("ul", *(tag("li", line) for line in lines), class_="prose") if lines else join([])


def _beside(one: Explanation) -> Html:
    """Return the row's text beside that of its keeper, differences marked."""
    if one.keeper is None or one.text is None or one.keeper_text is None:
        return join([])
    if one.text == one.keeper_text:
        return tag("p", "The same text, byte for byte.", class_="prose")
    pieces, whole = side_by_side(one.text, one.keeper_text, masked=one.config.report.mask)
    sides = tag(
        "div",
        tag("div", tag("h4", "this row: ", label(one.row["doc_id"])), _side(pieces, own=True)),
        tag(
            "div", tag("h4", "what stays: ", label(one.keeper["doc_id"])), _side(pieces, own=False)
        ),
        class_="two sides",
    )
    if whole:
        return sides
    note = tag("p", "A piece around the first difference; the texts go on.", class_="note")
    return join([note, sides])


def _side(pieces: Sequence[Piece], *, own: bool) -> Html:
    """Return one of the two texts: what only this row has is deleted, the keeper's inserted."""
    shown: list[object] = []
    for piece in pieces:
        text = piece.own if own else piece.kept
        if piece.same:
            shown.append(f"{text} ")
        elif text:
            shown += [tag("del" if own else "ins", text), " "]
    name = "this row" if own else "what stays"
    text = tag("p", *shown, dir="auto")
    return tag("blockquote", text, tabindex="0", role="region", aria_label=name)


def _spans(one: Explanation) -> Html:
    if not one.spans:
        return join([])
    lines = [
        (
            number(span["occurrences"]),
            number(span["documents"]),
            number(span["words"]),
            number(span["start_byte"]),
            tag(
                "div",
                *(
                    [tag("blockquote", tag("p", passage(one, span), dir="auto"))]
                    if one.text
                    else []
                ),
                tag("p", elsewhere(span), class_="where"),
            ),
        )
        for span in one.spans
    ]
    total = one.spans[0]["spans"]
    caption = f"{len(lines):,} of {total:,} spans whose windows occur more than once."
    head_ = ("occurrences", "documents", "words", "from byte", "passage and where else it is")
    return table(caption, head_, lines, (4,), class_="wide", data_sort=True)


def _risk(one: Explanation) -> Html:
    parts = [_list(risk_lines(one))]
    if one.text is not None and one.risk and one.risk["risk"] is not None:
        parts.append(tag("blockquote", tag("p", passage(one, one.risk), dir="auto")))
    if one.features:
        lines = [
            (
                row["feature"],
                *(
                    figure(f"{row[key]:.3f}", row[key])
                    for key in ("value", "coefficient", "contribution")
                ),
            )
            for row in one.features
        ]
        caption = (
            "What the forecast rests on: contributions in log odds, value times coefficient, for "
            "a model like the largest proxy."
        )
        parts.append(
            table(
                caption, ("feature", "value", "coefficient", "contribution"), lines, class_="small"
            )
        )
    return join(parts)
