"""JSON Lines and arrays: rows are split first, so that a bad one costs only itself."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from pipeline.config.sections import InputConfig
from pipeline.corpus.archive_lines import lines_of
from pipeline.corpus.columns import Columns
from pipeline.corpus.documents import (
    INVALID_UTF8,
    LONE_SURROGATE,
    NOT_A_STRING,
    NOT_JSON,
    Records,
    Rejected,
)
from pipeline.corpus.fields import first_of, value_of
from pipeline.corpus.files import open_stream, reading, refuse_other_unicode, suffix_of
from pipeline.corpus.json_array import elements
from pipeline.corpus.json_schema import Kinds, kinds_of, schema_of, to_batch, union_schema
from pipeline.corpus.json_text import (
    Json,
    NotText,
    Object,
    object_name,
    object_number,
    object_text,
    to_json,
)
from pipeline.corpus.lines import BYTE_ORDER_MARK, blocks, split_lines
from pipeline.corpus.priorities import pairs
from pipeline.errors import CorruptFile, InputError

HEAD_LINES = 1000
HEAD_BYTES = 8 << 20
HEAD_OF_ARRAY = 1 << 10  # bytes that tell an array from lines
MAX_NESTING = 128  # a fixed bound: Python's own depends on how deep the caller's stack is


@dataclass
class _JsonBatch:
    """Objects collected for the next batch.

    Attributes:
        rows: number of each in the file.
        objects: the parsed lines.
        unparsed: the lines that gave no object.
        size: bytes so far.
    """

    rows: list[int] = field(default_factory=list)
    objects: list[Object] = field(default_factory=list)
    unparsed: list[Rejected] = field(default_factory=list)
    size: int = 0


def head_schema(path: str, wanted: Sequence[str]) -> pa.Schema:
    """Return the columns that the file's head shows, or all of it if the head lacks a wanted one.

    Args:
        path: the file.
        wanted: names of columns, each perhaps of a field in one, or several alternatives.

    Raises:
        CorruptFile: When the file is one JSON document, not one object a line.
    """
    is_own = lines_of(path) is not None
    if not is_own:
        _check_start(path)
    head: list[bytes] = []
    size = 0
    is_array = is_own or _is_array(path)
    for line in _lines(path):
        head.append(line)
        size += len(line)
        if len(head) == HEAD_LINES or size >= HEAD_BYTES:
            break
    objects = [item for item in map(_parse, head) if isinstance(item, dict)]
    if head and not is_array and (head[0].strip() == b"{" or (_is_json(path) and not objects)):
        raise _one_document(path)
    if len(head) == 1 and not objects and not is_array:
        _refuse_carriage_returns(head[0], path)
    found = union_schema(objects, ())
    if found.names and all(first_of(found, entry) is not None for entry in wanted):
        return found
    return whole_schema(path, ())


def whole_schema(path: str, text_columns: tuple[str, ...]) -> pa.Schema:
    """Return the union of the columns and types of every row: one pass, 210 MB/s on one core."""
    return schema_of(whole_kinds(path, text_columns))


def whole_kinds(path: str, text_columns: tuple[str, ...]) -> dict[str, Kinds]:
    """Return what each field of every row holds, for a union over several files."""
    return kinds_of(
        (item for item in map(_parse, _lines(path)) if isinstance(item, dict)), text_columns
    )


def json_records(
    path: str, columns: Columns, config: InputConfig, schema: pa.Schema | None, batch_bytes: int
) -> Iterator[Records]:
    """Yield the rows of a file, with the columns of `schema` unless it is None.

    A Python loop per row: 170 MB/s on one of two shared cores, 78 MB of the dev corpus; Arrow's own
    reader did 150 to 500 there and guesses types.
    """
    pending = _JsonBatch()
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
            pending = _JsonBatch()
    if pending.size:
        yield _records(pending, columns, config, schema)


def _records(
    pending: _JsonBatch, columns: Columns, config: InputConfig, schema: pa.Schema | None
) -> Records:
    """Return a batch with its fields read as text, id, source and priority."""
    objects = pending.objects
    texts: list[str | None] = []
    marked: dict[int, Rejected] = {}
    for position, item in enumerate(objects):
        try:
            texts.append(object_text(item, columns.text, config.text_separator))
        except NotText:
            values = [value_of(item, name) for name in columns.text]
            raw = to_json(values[0] if len(values) == 1 else values).encode()
            marked[position] = Rejected(pending.rows[position], NOT_A_STRING, raw)
            texts.append(None)
    priorities, rests = pairs(object_number(item, columns.priority) for item in objects)
    return Records(
        rows=np.array(pending.rows, dtype=np.int64),
        texts=pa.array(texts, pa.large_string()).view(pa.large_binary()),
        ids=pa.array([object_name(item, columns.id) for item in objects], pa.string()),
        sources=pa.array([object_name(item, columns.source) for item in objects], pa.string()),
        priorities=priorities,
        rests=rests,
        columns=_user_columns(objects, schema, columns, config.text_separator),
        marked=marked,
        unparsed=tuple(pending.unparsed),
    )


def _user_columns(
    objects: list[Object], schema: pa.Schema | None, columns: Columns, separator: str
) -> pa.RecordBatch | None:
    """Return the user's columns; None where they are not asked for, or the file has none at all.

    Raises:
        InputError: When a value does not fit the columns that an earlier pass has found.
    """
    if schema is None or not schema.names:
        return None
    try:
        return to_batch(objects, schema, columns.text, separator)
    except (pa.ArrowException, TypeError, AttributeError, OverflowError):
        raise InputError(  # what Arrow says quotes the value
            "A file changed while it was read.",
            where=", ".join(columns.text),
            found="a value that does not fit the columns found in the pass before",
            fix="run the same command again",
        ) from None


def _lines(path: str) -> Iterator[bytes]:
    """Yield the lines that are not blank, or the elements of an array, one after another.

    Of a tar, a web archive or a dump these are its records.
    """
    own = lines_of(path)
    if own is not None:
        yield from own
    elif _is_array(path):
        with reading(path), open_stream(path) as stream:
            yield from elements(blocks(stream), path)
    else:
        yield from split_lines(path)


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
    if line.count(b"{") + line.count(b"[") > MAX_NESTING and _is_deeper(value, MAX_NESTING):
        return NOT_JSON
    if (b"\\ud" in line or b"\\uD" in line) and not _is_encodable(value):
        return LONE_SURROGATE
    return value


def _is_deeper(value: Json, levels: int) -> bool:
    """Tell whether a value is nested deeper than some levels."""
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(item, levels - 1) for item in inner)


def _is_encodable(value: Json) -> bool:
    """Tell whether a value can be written as UTF-8: it holds no lone surrogate."""
    try:
        to_json(value).encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_json(path: str) -> bool:
    """Tell whether a file is named .json, packed or not."""
    return suffix_of(path) == ".json"


def _is_array(path: str) -> bool:
    """Tell whether a file is one JSON array.

    A .json file is if it begins as one, another one if its first line is a bracket, alone or before
    an object: a line of JSON Lines may be an array too, which is no row.
    """
    with reading(path), open_stream(path) as stream:
        start = stream.read(HEAD_OF_ARRAY).removeprefix(BYTE_ORDER_MARK).lstrip()
    return start.startswith(b"[") and (
        _is_json(path) or start.split(b"\n", 1)[0].strip() == b"[" or start[1:].lstrip()[:1] == b"{"
    )


def _check_start(path: str) -> None:
    """Refuse a file of other Unicode.

    Raises:
        CorruptFile: When it is one.
    """
    with reading(path), open_stream(path) as stream:
        refuse_other_unicode(stream.read(HEAD_OF_ARRAY), path)


def _refuse_carriage_returns(line: bytes, path: str) -> None:
    """Refuse a file of one line that is several objects with carriage returns between them.

    Raises:
        CorruptFile: When it is one.
    """
    parts = [part for part in line.split(b"\r") if part and not part.isspace()]
    if len(parts) > 1 and isinstance(_parse(parts[0]), dict):
        raise CorruptFile(
            "The lines of a file end in bare carriage returns.",
            where=path,
            found=f"{len(parts):,} of them in one line",
            expected="line feeds",
            fix="convert it: tr '\\r' '\\n', or leave it out: --skip-bad-files",
        )


def _one_document(path: str) -> CorruptFile:
    """Return the error for a file that is one JSON document."""
    return CorruptFile(
        "A file is one JSON document, not JSON Lines.",
        where=path,
        found="an object over several lines",
        expected="one object a line, or an array of objects",
        fix="convert it, for example with: jq -c . FILE > FILE.jsonl",
    )
