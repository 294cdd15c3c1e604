"""HTML by functions: what is not already `Html` is escaped, so no user's text becomes markup."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from html import escape, unescape

DASH = "\N{EN DASH}"
_TAG = re.compile("<[^>]*>")
_VOID = frozenset({"meta", "line", "circle", "polyline"})


class Html(str):
    """Markup that may be written as it is; made only in this module."""

    __slots__ = ()


class Figure(str):
    """A number as a person reads it.

    Attributes:
        value: what a column of figures is sorted by.
    """

    value: float


def figure(text: str, value: float) -> Figure:
    """Return a number as it is shown, with its value."""
    shown = Figure(text)
    shown.value = value
    return shown


def tag(element: str, /, *children: object, **attributes: object) -> Html:
    """Return an element; children that are not Html are escaped, attributes always.

    `class_` is written class, `_` in other names `-`; an attribute of None is left out, of True is
    bare.
    """
    written = "".join(
        _attribute(key, value) for key, value in attributes.items() if value is not None
    )
    if element in _VOID:
        return Html(f"<{element}{written}>" if element == "meta" else f"<{element}{written}/>")
    return Html(f"<{element}{written}>{join(children)}</{element}>")


def join(parts: Iterable[object]) -> Html:
    """Return the parts one after another, escaped where they are not Html."""
    return Html("".join(part if isinstance(part, Html) else escape(str(part)) for part in parts))


def text_of(part: str) -> str:
    """Return what a reader of markup reads, without its tags; other text as it is."""
    return unescape(_TAG.sub("", part)) if isinstance(part, Html) else part


def style(css: str) -> Html:
    """Return a style element; the sheet is ours, never a user's."""
    return Html(f"<style>{css}</style>")


def script(code: str) -> Html:
    """Return a script element; the code is ours, never a user's."""
    return Html(f"<script>{code}</script>")


def embedded(data: object, kind: str) -> Html:
    """Return data as JSON in a script element that is not run.

    No `<`, `>` or `&` is in it, so that no text in the data can end the element or begin another;
    ASCII only, so that no line separator or bidirectional control is.
    """
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Html(f'<script type="application/json" class="{escape(kind)}">{text}</script>')


def table(
    caption: str,
    head: Sequence[str],
    rows: Iterable[Sequence[object]],
    words: Sequence[int] = (0,),
    **attributes: object,
) -> Html:
    """Return a table in a box that scrolls sideways.

    The first cell of a row is its header; a column without a name has none. `data_sort=True` lets
    readers sort it by its columns: the names of these become buttons, so no link stands in them.

    Args:
        caption: of the table.
        head: names of the columns.
        rows: of cells.
        words: columns of words; the others are set right.
        **attributes: of the element.
    """
    kinds = [None if place in words else "n" for place in range(len(head))]
    header = tag(
        "tr",
        *(
            tag("th", name, scope="col", class_=kind) if name else tag("td", class_=kind)
            for name, kind in zip(head, kinds, strict=True)
        ),
    )
    body = [
        tag(
            "tr",
            *(
                tag(
                    "th" if place == 0 else "td",
                    cell,
                    scope="row" if place == 0 else None,
                    class_=kind,
                    data_v=repr(cell.value) if isinstance(cell, Figure) else None,
                )
                for place, (cell, kind) in enumerate(zip(row, kinds, strict=True))
            ),
        )
        for row in rows
    ]
    inside = tag(
        "table", tag("caption", caption), tag("thead", header), tag("tbody", *body), **attributes
    )
    return tag(
        "div", inside, class_="scroll", tabindex="0", role="region", aria_label=text_of(caption)
    )


def number(value: float | None, digits: int = 0) -> str:
    """Return a number with separators of thousands; a dash for none."""
    return DASH if value is None else figure(f"{value:,.{digits}f}", value)


def percent(part: float | None, whole: float | None, digits: int = 1) -> str:
    """Return part / whole in per cent; a dash where there is no whole, never 0.0% for some."""
    if part is None or not whole:
        return DASH
    share = 100 * part / whole
    least = 10.0**-digits
    if 0 < share < least:
        return figure(f"<{least:.{digits}f}%", share)
    if 100 - least < share < 100:
        return figure(f">{100 - least:.{digits}f}%", share)
    return figure(f"{share:.{digits}f}%", share)


def size(count: float | None) -> str:
    """Return a number of bytes in decimal units."""
    if count is None:
        return DASH
    value = float(count)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000:
            text = f"{value:,.0f} {unit}" if unit == "B" else f"{value:,.1f} {unit}"
            return figure(text, count)
        value /= 1000
    return figure(f"{value:,.1f} PB", count)


def _attribute(key: str, value: object) -> str:
    """Return an attribute as it is written."""
    name = key.rstrip("_").replace("_", "-") if key != "viewBox" else key
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'
