"""Wikipedia's XML dumps (pages-articles): each page is a row, its wikitext as it is written.

Columns are id, title, ns, redirect (the title it leads to, or null), timestamp and text. The file
is parsed as it is read, and one page held at a time; entities that a file declares are refused, so
that a small file cannot become a large text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from xml.parsers import expat

from pipeline.corpus.files import open_stream, reading
from pipeline.corpus.lines import blocks
from pipeline.corpus.room import room, too_long
from pipeline.errors import CorruptFile

PLACES = {
    ("page", "title"): "title",
    ("page", "ns"): "ns",
    ("page", "id"): "id",
    ("page", "revision", "timestamp"): "timestamp",
    ("page", "revision", "text"): "text",
}
MOST_NESTED = 32
NAMES = ("id", "title", "ns", "redirect", "timestamp", "text")


def wiki_lines(path: str) -> Iterator[bytes]:
    """Yield each page, as a line of JSON.

    Raises:
        CorruptFile: When the file is no dump, is not well-formed or declares entities.
        InputError: When a page is longer than there is room for.
    """
    pages = _Pages(path)
    with reading(path), open_stream(path) as stream:
        for block in blocks(stream):
            pages.feed(block)
            yield from pages.taken()
        pages.feed(b"", last=True)
        yield from pages.taken()


class _Pages:
    """A parser that gives pages as they end."""

    def __init__(self, path: str) -> None:
        self._path, self._open, self._done = path, [""][:0], [b""][:0]
        self._parts: dict[str, list[str]] = {}
        self._redirect: str | None = None
        self._size = self._given = 0
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._said
        self._parser.EntityDeclHandler = self._refuse

    def feed(self, block: bytes, *, last: bool = False) -> None:
        """Parse a block.

        Raises:
            CorruptFile: When it is not well-formed.
            InputError: When the page in it is longer than there is room for.
        """
        try:
            self._parser.Parse(block, last)
        except expat.ExpatError as error:
            raise _no_dump(self._path, expat.errors.messages[error.code]) from error
        if self._size > room():
            raise too_long(self._path, self._given, self._size)

    def taken(self) -> list[bytes]:
        """Return the pages that have ended since the last call."""
        done, self._done = self._done, []
        self._given += len(done)
        return done

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if not self._open and name != "mediawiki":
            raise _no_dump(self._path, f"the element {name[:40]}")
        if len(self._open) == MOST_NESTED:
            raise _no_dump(self._path, f"elements in {MOST_NESTED} others")
        self._open.append(name)
        if name == "page":
            self._parts, self._redirect, self._size = {}, None, 0
        elif name == "redirect":
            self._redirect = attributes.get("title")

    def _said(self, text: str) -> None:
        column = PLACES.get(tuple(self._open[1:]))
        if column is not None:
            self._parts.setdefault(column, []).append(text)
            self._size += len(text)

    def _end(self, name: str) -> None:
        self._open.pop()
        if name == "page":
            found = {column: "".join(parts) for column, parts in self._parts.items()}
            row = {name: found.get(name) for name in NAMES} | {"redirect": self._redirect}
            self._done.append(json.dumps(row, ensure_ascii=True).encode())

    def _refuse(self, *_: object) -> None:
        raise _no_dump(self._path, "an entity that it declares itself")


def _no_dump(path: str, found: str) -> CorruptFile:
    """Return the error for a file that is no dump."""
    return CorruptFile(
        "A file is no dump of Wikipedia's pages.",
        where=path,
        found=found,
        expected="a mediawiki element with pages",
        fix="rename it, or leave it out: --skip-bad-files",
    )
