"""WARC and WET files: each record that holds text is a row (by warcio, the part `formats`).

Records of type response, resource and conversion are read whose content is text: of a crawl's WET
files the text of a page, of WARC files what the server sent, markup and all. Columns are id, url,
date, content_type and text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pipeline.corpus.files import open_stream, reading
from pipeline.corpus.room import room, too_long
from pipeline.errors import CorruptFile

UTF_8 = "utf-8"
WANTED = frozenset({"response", "resource", "conversion"})


def warc_lines(path: str) -> Iterator[bytes]:
    """Yield each record that holds text, as a line of JSON.

    A text that is not of the encoding that its record names is given as it is, which is no JSON.

    Raises:
        CorruptFile: When the file is none, or ends within a record.
        InputError: When a record is longer than there is room for.
    """
    from warcio.archiveiterator import ArchiveIterator
    from warcio.exceptions import ArchiveLoadFailed

    given = 0
    with reading(path), open_stream(path) as stream:
        try:
            for record in ArchiveIterator(stream):
                kind, encoding = _content(record)
                is_text = kind.startswith("text/") or kind == "application/xhtml+xml"
                if record.rec_type in WANTED and is_text:
                    if (record.length or 0) > room():
                        raise too_long(path, given, record.length)
                    yield _line(record, kind, encoding)
                    given += 1
                record.raw_stream.read()
                if record.raw_stream.limit:
                    raise _not_whole(path, "its end within a record")
        except ArchiveLoadFailed as error:
            raise _not_whole(path, f"no record after {given:,} texts") from error


def _content(record: Any) -> tuple[str, str]:  # noqa: ANN401 - of warcio
    """Return the media type and the encoding of a record's content, as its headers have them."""
    headers = record.http_headers or record.rec_headers
    kind, _, parameters = (headers.get_header("Content-Type") or "").partition(";")
    _, _, named = parameters.partition("charset=")
    return kind.strip().lower(), named.partition(";")[0].strip(" \"'").lower() or UTF_8


def _line(record: Any, kind: str, encoding: str) -> bytes:  # noqa: ANN401 - of warcio
    """Return a record as JSON; its bytes where they are not of their encoding."""
    data: bytes = record.content_stream().read()
    try:
        text = data.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        try:
            text = data.decode()
        except UnicodeDecodeError:
            return data
    headers = record.rec_headers
    row = {
        "id": headers.get_header("WARC-Record-ID"),
        "url": headers.get_header("WARC-Target-URI"),
        "date": headers.get_header("WARC-Date"),
        "content_type": kind,
        "text": text,
    }
    return json.dumps(row, ensure_ascii=True).encode()


def _not_whole(path: str, found: str) -> CorruptFile:
    """Return the error for a file that is no web archive, or not all of one."""
    return CorruptFile(
        "A file is no whole web archive.",
        where=path,
        found=found,
        expected="WARC records",
        fix="repair or remove the file, or leave it out: --skip-bad-files",
    )
