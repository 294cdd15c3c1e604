"""JSON Lines: lines are split first, so that a bad one costs only its own row."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import pyarrow as pa

from pipeline.config import InputConfig
from pipeline.corpus.columns import Columns
from pipeline.corpus.documents import (
    INVALID_UTF8,
    LONE_SURROGATE,
    NOT_A_STRING,
    NOT_JSON,
    Records,
    Rejected,
)
from pipeline.corpus.files import open_stream, reading
from pipeline.corpus.json_schema import to_batch, union_schema
from pipeline.corpus.json_text import (
    Json,
    NotText,
    Object,
    object_name,
    object_number,
    object_text,
    to_json,
)
from pipeline.errors import CorruptFile

BLOCK_BYTES = 1 << 20
HEAD_LINES = 1000
MAX_NESTING = 128  # a fixed bound: Python's own depends on how deep the caller's stack is
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass
class _Pending:
    """Objects collected for the next batch, with their row numbers and the rows that gave none."""

    rows: list[int] = field(default_factory=list)
    objects: list[Object] = field(default_factory=list)
    unparsed: list[Rejected] = field(default_factory=list)
    size: int = 0


def head_schema(path: str, wanted: frozenset[str]) -> pa.Schema:
    """Return the columns that the file's head shows, or all of it if the head lacks a wanted one.

    Raises CorruptFile for a file that is one JSON document rather than one a line.
    """
    head = list(islice(_lines(path), HEAD_LINES))
    _refuse_single_document(path, head)
    found = union_schema((item for item in map(_parse, head) if isinstance(item, dict)), ())
    if wanted <= set(found.names) and found.names:
        return found
    return whole_schema(path, ())


def whole_schema(path: str, text_columns: tuple[str, ...]) -> pa.Schema:
    """Return the union of the columns and types of every row: one pass, SPEED MB/s on one core."""
    return union_schema(
        (item for item in map(_parse, _lines(path)) if isinstance(item, dict)), text_columns
    )


def json_records(
    path: str, columns: Columns, config: InputConfig, schema: pa.Schema | None, batch_bytes: int
) -> Iterator[Records]:
    """Yield the rows of a file, with the columns of `schema` unless it is None.

    A Python loop per row: SPEED
    """
    pending = _Pending()
    for row, line in enumerate(_lines(path)):
        parsed = _parse(line)
        if isinstance(parsed, dict):
            pending.rows.append(row)
            pending.objects.append(parsed)
        else:
            pending.unparsed.append(Rejected(row, parsed, line))
        pending.size += len(line)
        if pending.size >= batch_bytes:
            yield _records(pending, columns, config, schema)
            pending = _Pending()
    if pending.size:
        yield _records(pending, columns, config, schema)


def _records(
    pending: _Pending, columns: Columns, config: InputConfig, schema: pa.Schema | None
) -> Records:
    objects = pending.objects
    texts: list[str | None] = []
    marked: dict[int, Rejected] = {}
    for position, item in enumerate(objects):
        try:
            texts.append(object_text(item, columns.text, config.text_separator))
        except NotText:
            values = [item.get(name) for name in columns.text]
            raw = to_json(values[0] if len(values) == 1 else values).encode()
            marked[position] = Rejected(pending.rows[position], NOT_A_STRING, raw)
            texts.append(None)
    return Records(
        rows=np.array(pending.rows, dtype=np.int64),
        texts=pa.array(texts, pa.large_string()).view(pa.large_binary()),
        ids=pa.array([object_name(item, columns.id) for item in objects], pa.string()),
        sources=pa.array([object_name(item, columns.source) for item in objects], pa.string()),
        priorities=pa.array(
            [object_number(item, columns.priority) for item in objects], pa.float64()
        ),
        columns=None if schema is None else to_batch(objects, schema, columns.text),
        marked=marked,
        unparsed=tuple(pending.unparsed),
    )


def _lines(path: str) -> Iterator[bytes]:
    """Yield the lines that are not blank, without their ends; a line may be longer than a block."""
    held: list[bytes] = []
    with reading(path), open_stream(path) as stream:
        block = stream.read(BLOCK_BYTES).removeprefix(BYTE_ORDER_MARK)
        while block:
            first, *others = block.split(b"\n")
            held.append(first)
            for part in others:
                yield from _unless_blank(held)
                held = [part]
            block = stream.read(BLOCK_BYTES)
        yield from _unless_blank(held)


def _unless_blank(parts: list[bytes]) -> tuple[bytes, ...]:
    line = b"".join(parts).removesuffix(b"\r")
    return (line,) if line and not line.isspace() else ()


def _parse(line: bytes) -> Object | str:
    """Return the object on a line, or the reason why there is none."""
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return INVALID_UTF8
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return NOT_JSON
    if not isinstance(value, dict):
        return NOT_JSON
    if text.count("{") + text.count("[") > MAX_NESTING and _is_deeper(value, MAX_NESTING):
        return NOT_JSON
    if ("\\ud" in text or "\\uD" in text) and not _is_encodable(value):
        return LONE_SURROGATE
    return value


def _is_deeper(value: Json, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(item, levels - 1) for item in inner)


def _is_encodable(value: Json) -> bool:
    try:
        to_json(value).encode()
    except UnicodeEncodeError:
        return False
    return True


def _refuse_single_document(path: str, head: list[bytes]) -> None:
    """Raise CorruptFile when the head looks like one array or one object over several lines."""
    if not head:
        return
    first = head[0].strip()
    plain = path.lower().removesuffix(".gz").removesuffix(".zst").endswith(".json")
    no_object = plain and not any(isinstance(_parse(line), dict) for line in head)
    if first in (b"[", b"{") or no_object or (plain and first.startswith(b"[")):
        raise CorruptFile(
            "A file is one JSON document, not JSON Lines.",
            where=path,
            found="an array" if first.startswith(b"[") else "an object over several lines",
            expected="one object a line",
            fix="convert it, for example with: jq -c '.[]' FILE > FILE.jsonl",
        )
