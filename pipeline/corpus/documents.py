"""Records become documents; those that cannot are set apart with their reason."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.corpus.columns import (
    Columns,
    has_calls,
    is_bytes,
    is_chat,
    is_string,
    is_turns,
    message_field,
)
from pipeline.corpus.fields import column_of, top_of
from pipeline.corpus.json_text import text_or_null
from pipeline.corpus.priorities import no_priorities, of_column
from pipeline.text.arrays import Flags, Int64
from pipeline.text.segmentation import valid_utf8

NULL_TEXT = "null_text"
EMPTY_TEXT = "empty_text"
INVALID_UTF8 = "invalid_utf8"
NOT_JSON = "not_json"
NOT_A_STRING = "not_a_string"
CSV_FIELDS = "csv_fields"
CSV_QUOTE = "csv_quote"
LONE_SURROGATE = "lone_surrogate"


@dataclass(frozen=True)
class Rejected:
    """A record that is no document.

    Attributes:
        row: number in the shard.
        reason: why.
        text: its text or its raw line, None when there is none.
    """

    row: int
    reason: str
    text: bytes | None


@dataclass(frozen=True)
class Records:
    """A run of records of one shard, as the reader of a format hands them over.

    Attributes:
        rows: number of each in the shard.
        texts: bytes, null when there is no text.
        ids: of the user, null without one.
        sources: of the user, null without one.
        priorities: of the user, null without one.
        rests: what is missing to each priority, see `priorities`.
        columns: the user's columns; None unless everything was asked for.
        marked: by position, records that were parsed but have no usable text.
        unparsed: records that are not in the arrays.
    """

    rows: Int64  # (records,)
    texts: pa.LargeBinaryArray
    ids: pa.StringArray
    sources: pa.StringArray
    priorities: pa.DoubleArray
    rests: pa.DoubleArray
    columns: pa.RecordBatch | None = None
    marked: Mapping[int, Rejected] | None = None
    unparsed: tuple[Rejected, ...] = ()


@dataclass(frozen=True)
class DocumentBatch:
    """The documents of some consecutive records of a shard, and the records that are none.

    Attributes:
        rows: number of each document in the shard.
        texts: valid UTF-8, not null, not empty.
        ids: of the user, else `shard#row`.
        sources: of the user, null without one.
        priorities: of the user, null without one.
        rests: what is missing to each priority, see `priorities`.
        columns: the user's columns of those rows, unchanged; None unless everything was asked for.
        rejected: records that are no documents, in order of row.
        rejected_columns: the user's columns of the rejected rows that could be parsed; a text that
            is not
        UTF-8 is null there, its bytes are in `rejected`.
        rejected_rows: number of each of these rows in the shard.
    """

    rows: Int64  # (documents,)
    texts: pa.LargeStringArray
    ids: pa.StringArray
    sources: pa.StringArray
    priorities: pa.DoubleArray
    rests: pa.DoubleArray
    columns: pa.RecordBatch | None
    rejected: tuple[Rejected, ...]
    rejected_columns: pa.RecordBatch | None
    rejected_rows: Int64  # (parsed rows,)


def to_documents(records: Records, columns: Columns, shard_name: str) -> DocumentBatch:
    """Return the records with a usable text as documents and the others as rejected, each once."""
    bad = _reject(records)
    good = np.ones(len(records.rows), dtype=np.bool_)
    good[list(bad)] = False
    rejected = sorted((*bad.values(), *records.unparsed), key=lambda item: item.row)
    user = records.columns
    return DocumentBatch(
        rows=records.rows[good],
        texts=_only(records.texts, good).view(pa.large_string()),
        ids=_only(_named(records, shard_name), good),
        sources=_only(records.sources, good),
        priorities=_only(records.priorities, good),
        rests=_only(records.rests, good),
        columns=None if user is None else _only(user, good),
        rejected=tuple(rejected),
        rejected_columns=None if user is None else _rejected_columns(user, ~good, columns),
        rejected_rows=records.rows[~good] if user is not None else records.rows[:0],
    )


def from_columns(batch: pa.RecordBatch, columns: Columns, rows: Int64, separator: str) -> Records:
    """Return a batch's records, with its columns read as text, id, source and priority."""
    texts = [text_parts(column_of(batch, name), separator) for name in columns.text]
    count = batch.num_rows
    priority, rest = no_priorities(count)
    if columns.priority is not None:
        priority, rest = of_column(column_of(batch, columns.priority))
    return Records(
        rows=rows,
        texts=_joined(texts, separator),
        ids=as_names(column_of(batch, columns.id)) if columns.id else pa.nulls(count, pa.string()),
        sources=as_names(column_of(batch, columns.source))
        if columns.source
        else pa.nulls(count, pa.string()),
        priorities=priority,
        rests=rest,
    )


def text_parts(column: pa.Array, separator: str) -> pa.LargeBinaryArray:
    """Return the text of each row of one text column as bytes; a chat is its contents, joined.

    Messages of other shapes than a list with strings are read one by one, which is slow.
    """
    if is_chat(column.type) and not has_calls(column.type):
        return _chat_texts(column, separator)
    if is_turns(column.type):
        texts = [text_or_null(value, separator) for value in column.to_pylist()]
        return pa.array(texts, pa.large_string()).view(pa.large_binary())
    return column.cast(pa.large_binary())


def as_names(column: pa.Array) -> pa.StringArray:
    """Return a column of single values as strings; bytes that are not UTF-8 are replaced."""
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        if kind == pa.uuid():
            values = column.storage.to_pylist()
            return pa.array(
                [None if value is None else str(uuid.UUID(bytes=value)) for value in values],
                pa.string(),
            )
        return as_names(column.storage)
    if pa.types.is_fixed_size_binary(kind):
        return pa.array(
            [None if value is None else value.hex() for value in column.to_pylist()], pa.string()
        )
    if is_string(kind):
        raw = column.cast(pa.large_binary())
        if all_utf8(raw):
            return raw.view(pa.large_string()).cast(pa.string())
        values = raw.to_pylist()
        return pa.array(
            [None if value is None else value.decode(errors="replace") for value in values],
            pa.string(),
        )
    if pa.types.is_dictionary(kind):
        return as_names(column.dictionary_decode())
    return column.cast(pa.string())


def all_utf8(values: pa.LargeBinaryArray) -> bool:
    """Tell whether every value is valid UTF-8."""
    return bool(np.all(valid_utf8(values) | _flags(values.is_null())))


def _joined(parts: list[pa.LargeBinaryArray], separator: str) -> pa.LargeBinaryArray:
    """Join the parts of each row but nulls; null when all are, empty when the rest is empty.

    Arrow 26 loses the rows that are null throughout in its own element-wise join of large types.
    """
    if len(parts) == 1:
        return parts[0]
    count = len(parts[0])
    by_row = np.arange(count * len(parts)).reshape(len(parts), count).T.ravel()
    owners = np.repeat(np.arange(count), len(parts))
    absent = np.logical_and.reduce([_flags(part.is_null()) for part in parts])
    return _glued(pa.concat_arrays(parts).take(pa.array(by_row)), owners, absent, separator)


def _chat_texts(chats: pa.Array, separator: str) -> pa.LargeBinaryArray:
    """Join the contents of each chat's messages, skipping null messages and contents."""
    if pa.types.is_fixed_size_list(chats.type):
        chats = chats.cast(pa.list_(chats.type.value_type))
    messages = pc.list_flatten(chats)
    contents = pc.struct_field(messages, message_field(messages.type)).cast(pa.large_binary())
    lengths = np.asarray(pc.fill_null(pc.list_value_length(chats), 0))
    owners = np.repeat(np.arange(len(chats)), lengths)
    return _glued(contents, owners, _flags(chats.is_null()), separator)


def _glued(
    parts: pa.LargeBinaryArray, owners: Int64, absent: Flags, separator: str
) -> pa.LargeBinaryArray:
    """Join the parts of each owner in order, skipping nulls; empty when all of them are."""
    present = parts.is_valid()
    held = owners[_flags(present)]
    parts = parts.filter(present)
    counts = np.bincount(held, minlength=len(absent))
    offsets = pa.array(np.concatenate(([0], np.cumsum(counts))), pa.int64())
    lists = pa.LargeListArray.from_arrays(offsets, parts)
    joined = pc.binary_join(lists, pa.scalar(separator.encode(), pa.large_binary()))
    sizes = np.zeros(len(absent), np.int64)
    np.add.at(sizes, held, np.asarray(pc.binary_length(parts), dtype=np.int64))
    filled = pc.if_else(pa.array(sizes == 0), pa.scalar(b"", pa.large_binary()), joined)
    return pc.if_else(pa.array(absent), pa.scalar(None, pa.large_binary()), filled)


def _reject(records: Records) -> dict[int, Rejected]:
    """Return the rejected records by position; the first reason that holds is given."""
    texts = records.texts
    lengths = np.asarray(pc.fill_null(pc.binary_length(texts), 0))
    bad = dict(records.marked or {})
    null = _flags(texts.is_null())
    for reason, mask in (
        (NULL_TEXT, null),
        (EMPTY_TEXT, lengths == 0),
        (INVALID_UTF8, ~valid_utf8(texts) & ~null),
    ):
        for position in np.flatnonzero(mask).tolist():
            if position not in bad:
                bad[position] = Rejected(
                    int(records.rows[position]), reason, texts[position].as_py()
                )
    return bad


def _named(records: Records, shard_name: str) -> pa.StringArray:
    """Return the ids, `shard#row` where there is none or an empty one."""
    ids = records.ids
    missing = pc.fill_null(pc.equal(ids, ""), fill_value=True)
    if not pc.any(missing).as_py():
        return ids
    places = pc.binary_join_element_wise(shard_name, pa.array(records.rows).cast(pa.string()), "#")
    return pc.if_else(missing, places, ids)


def _rejected_columns(user: pa.RecordBatch, bad: Flags, columns: Columns) -> pa.RecordBatch:
    """Return the user's columns of the rejected rows."""
    kept = _only(user, bad)
    inside = {top_of(name, kept.schema.names) for name in columns.text} - set(columns.text)
    arrays = []
    for array, field in zip(kept.columns, kept.schema, strict=True):
        if field.name in columns.text and is_string(field.type):
            array = _readable(array, field)
        for name in columns.text if field.name in inside else ():
            array = _without_bad(array, kept, name)
        arrays.append(array)
    return pa.RecordBatch.from_arrays(arrays, schema=user.schema)


def _without_bad(column: pa.Array, batch: pa.RecordBatch, name: str) -> pa.Array:
    """Return structs, null where a text in them is not UTF-8; its bytes are in `Rejected.text`."""
    text = column_of(batch, name)
    if not is_string(text.type) or all_utf8(text.cast(pa.large_binary())):
        return column
    good = pa.array(valid_utf8(text.cast(pa.large_binary())))
    return pc.if_else(good, column, pa.scalar(None, column.type))


def _readable(column: pa.Array, field: pa.Field) -> pa.Array:
    """Return a text column without the values that are not UTF-8, which most engines refuse.

    Their bytes are in `Rejected.text`. They become null, or empty where no null may be.
    """
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    raw = column.cast(pa.large_binary())
    if is_bytes(kind) or all_utf8(raw):
        return column
    instead = None if field.nullable else ""
    good = valid_utf8(raw).tolist()
    values = [
        value.decode() if is_good else (None if value is None else instead)
        for value, is_good in zip(raw.to_pylist(), good, strict=True)
    ]
    return pa.array(values, column.type)


def _only(data: pa.Array, chosen: Flags) -> pa.Array:
    """Return the chosen rows of an array or record batch; no copy when that is all of them."""
    return data if bool(chosen.all()) else data.filter(pa.array(chosen))


def _flags(booleans: pa.BooleanArray) -> Flags:
    """Return booleans as a NumPy array."""
    return np.asarray(booleans.to_numpy(zero_copy_only=False), dtype=np.bool_)
