"""Short quotes that are safe to show: secrets masked, invisible characters written out.

The report and `explain` are the only readers of text besides the scan and the emit pass, and this
is the only way from a text to either. What comes out is plain text; escaping for HTML is the page's
business.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from pipeline.config.sections import Config
from pipeline.corpus import Shard
from pipeline.engine.texts import texts_of_rows
from pipeline.report.quotes.masks import mask

LIMIT = 240
LABEL = 120
_SLACK = 8
_AROUND = 200
_MARKS = 4
_LAST_WORD = re.compile(r"[!-~]{1,200}\Z")
_JOINERS = "\u200c\u200d"


@dataclass(frozen=True)
class RowPlace:
    """A passage of a document to be quoted.

    Attributes:
        row_key: of the document.
        start: first byte in its text.
        end: the byte after the last; None: to the end of the text.
    """

    row_key: int
    start: int = 0
    end: int | None = None


def visible(text: str) -> str:
    """Return `text` on one line, with characters that cannot be seen written out.

    Those are control, bidi, zero-width and unassigned characters. Joiners stay, for scripts and
    emoji need them; of a pile of combining marks the first four stay.
    """
    parts: list[str] = []
    marks = 0
    for character in text:
        category = unicodedata.category(character)
        marks = marks + 1 if category[0] == "M" else 0
        if marks <= _MARKS:
            parts.append(_shown(character, category))
    return " ".join("".join(parts).split())


def _shown(character: str, category: str) -> str:
    """Return one character as it is shown."""
    if (
        character.isspace()
        and category in {"Cc", "Zs", "Zl", "Zp"}
        and character not in "\x1c\x1d\x1e\x1f\x85"
    ):
        return " "
    if category[0] != "C" or character in _JOINERS:
        return character
    if ord(character) < 0x20:
        return chr(0x2400 + ord(character))
    left, right = "\N{MATHEMATICAL LEFT ANGLE BRACKET}", "\N{MATHEMATICAL RIGHT ANGLE BRACKET}"
    return f"{left}U+{ord(character):04X}{right}"


def shorten(text: str, limit: int = LIMIT) -> str:
    """Return at most `limit` characters of `text`, cut at a space where one is near.

    A character stays with its marks, and what a joiner joins stays together.
    """
    if len(text) <= limit:
        return text
    end = limit - 1
    while end > 0 and (
        unicodedata.category(text[end])[0] == "M"
        or _JOINERS.find(text[end]) >= 0
        or _JOINERS.find(text[end - 1]) >= 0
    ):
        end -= 1
    space = text.rfind(" ", max(0, end - end // 8), end + 1)
    return f"{text[: space if space > 0 else end].rstrip()}\N{HORIZONTAL ELLIPSIS}"


def label(text: str, limit: int = LABEL) -> str:
    """Return a name from the user's data (an id, a source, a path) as it may be shown."""
    return shorten(visible(text[: limit * _SLACK]), limit)


def quote(
    text: str, start: int = 0, end: int | None = None, limit: int = LIMIT, *, masked: bool = True
) -> str:
    """Return a safe quote of bytes [start, end) of `text`, with an ellipsis where it was cut.

    Only a bounded piece of the text is looked at, and a little on both sides, so that no half of an
    address or a key slips past the masks. A word that the piece cuts is dropped.
    """
    data = text.encode()
    stop = len(data) if end is None else min(end, len(data))
    limit_bytes = start + limit * _SLACK * 4
    piece = data[start : min(stop, limit_bytes)].decode(errors="ignore")
    after = ""
    if stop > limit_bytes:
        piece = _LAST_WORD.sub("", piece)
    else:
        after = data[stop : stop + _AROUND].decode(errors="ignore")
    if masked:
        before = data[max(0, start - _AROUND) : start].decode(errors="ignore")
        whole = f"{before}{piece}{after}"
        piece = mask(whole, len(before), len(before) + len(piece))
    shown = shorten(visible(piece), limit)
    cut = stop > limit_bytes and not shown.endswith("\N{HORIZONTAL ELLIPSIS}")
    return f"{shown}\N{HORIZONTAL ELLIPSIS}" if cut else shown


def quotes(
    shards: Iterable[Shard], config: Config, places: Iterable[RowPlace], limit: int = LIMIT
) -> dict[RowPlace, str]:
    """Return a safe quote of each place that could be read."""
    wanted: dict[int, list[RowPlace]] = {}
    for place in places:
        wanted.setdefault(place.row_key, []).append(place)
    return {
        place: quote(text, place.start, place.end, limit, masked=config.report.mask)
        for key, text in texts_of_rows(shards, config.input, np.array(list(wanted), np.uint64))
        for place in wanted[key]
    }
