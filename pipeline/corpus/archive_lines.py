"""Files that hold records of their own kind, each given as one line of JSON.

So they are read as JSON Lines are: a bad record costs only itself, and every type is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pipeline.corpus.files import suffix_of
from pipeline.corpus.tar_samples import tar_lines
from pipeline.corpus.web_archive import warc_lines
from pipeline.corpus.wiki_dump import wiki_lines

LINES: dict[str, Callable[[str], Iterator[bytes]]] = {
    ".tar": tar_lines,
    ".warc": warc_lines,
    ".wet": warc_lines,
    ".xml": wiki_lines,
}
"""What gives the lines of a file, by the suffix that tells its format."""


def lines_of(path: str) -> Iterator[bytes] | None:
    """Return the records of such a file as lines of JSON; None for a file of another kind."""
    found = LINES.get(suffix_of(path))
    return None if found is None else found(path)
