"""Text files: each is one document, or each of its lines or paragraphs is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from pipeline.corpus.documents import Records
from pipeline.corpus.files import is_packed, open_stream, reading
from pipeline.corpus.lines import BLOCK_BYTES, paragraphs, split_lines
from pipeline.corpus.priorities import no_priorities
from pipeline.corpus.room import room, too_long

SCHEMA = pa.schema([pa.field("id", pa.string()), pa.field("text", pa.string())])


def text_record(path: str, name: str) -> Records:
    """Return a text file's one record, row 0, named after the file; its bytes are the text."""
    with reading(path):
        raw = _unpacked(path) if is_packed(path) else Path(path).read_bytes()
    return _records([raw], [name], 0)


def text_records(
    path: str, name: str, rows: Literal["line", "paragraph"], batch_bytes: int
) -> Iterator[Records]:
    """Yield the lines or the paragraphs of a text file as rows, each with a name."""
    held: list[bytes] = []
    size = first = 0
    for text in split_lines(path) if rows == "line" else paragraphs(path):
        held.append(text)
        size += len(text)
        if size >= batch_bytes:
            yield _records(held, _names(name, first, len(held)), first)
            first += len(held)
            held, size = [], 0
    if held:
        yield _records(held, _names(name, first, len(held)), first)


def text_rows(path: str) -> tuple[int, int]:
    """Return how many lines and how many paragraphs a text file has."""
    lines = runs = 0
    inside = False
    for line in split_lines(path, blank=True):
        lines += bool(line)
        runs += bool(line) and not inside
        inside = bool(line)
    return lines, runs


def _names(name: str, first: int, count: int) -> list[str]:
    """Return the ids of some rows of a file."""
    return [f"{name}#{row}" for row in range(first, first + count)]


def _records(raw: list[bytes], names: list[str], first: int) -> Records:
    """Return texts as records, the first of them with a number."""
    texts, ids = pa.array(raw, pa.large_binary()), pa.array(names, pa.string())
    priorities, rests = no_priorities(len(raw))
    return Records(
        rows=np.arange(first, first + len(raw), dtype=np.int64),
        texts=texts,
        ids=ids,
        sources=pa.nulls(len(raw), pa.string()),
        priorities=priorities,
        rests=rests,
        columns=pa.RecordBatch.from_arrays(
            [ids, texts.cast(pa.binary()).view(pa.string())], schema=SCHEMA
        ),
    )


def _unpacked(path: str) -> bytes:
    """Return the text of a packed file; how long it is shows only as it is read.

    Raises:
        InputError: When it is longer than there is room for.
    """
    parts: list[bytes] = []
    size = 0
    with open_stream(path) as stream:
        while part := stream.read(BLOCK_BYTES):
            size += len(part)
            if size <= room():
                parts.append(part)
            else:
                parts.clear()
    if size > room():
        raise too_long(path, 0, size)
    return b"".join(parts)
