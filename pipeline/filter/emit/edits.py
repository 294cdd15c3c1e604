"""Change rows as the filter decided: cut passages out of texts, empty rows to forget.

What is cut is written to removed/spans; `examples/rebuild_texts.py` puts it back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.corpus.columns import is_string
from pipeline.corpus.fields import field_of
from pipeline.errors import IntegrityError, SchemaMismatch
from schemas.filter.emitted import SPANS_CUT

Range = tuple[int, int, str | None]  # first byte, past the last one, what is written instead
Ranges = Mapping[int, list[Range]]  # by row of a batch


@dataclass(frozen=True)
class TextColumns:
    """How a document's text is made of the user's columns.

    Attributes:
        columns: the names of the columns, in order.
        separator: the bytes that join their values.
    """

    columns: tuple[str, ...]
    separator: bytes

    def require_plain(self, schema: pa.Schema, where: str, instead: Mapping[str, str]) -> None:
        """Refuse to cut in columns of chat messages, or in fields of a struct.

        Args:
            schema: the columns of the shard.
            where: the name of the shard.
            instead: what changes texts, each with what does without a change.

        Raises:
            SchemaMismatch: When a text column is one.
        """
        changing = " and ".join(instead)
        fix = "; ".join([*instead.values(), "or scan this data in a run of its own"])
        there = [name for name in self.columns if name in schema.names]  # none without a row
        inside = [n for n in self.columns if n not in there and field_of(schema, n) is not None]
        if inside:
            raise SchemaMismatch(
                f"A field of a struct is not changed by {changing}.",
                where=where,
                found=f"text column {inside[0]}",
                fix=fix,
            )
        chats = [name for name in there if not is_string(schema.field(name).type)]
        if chats:
            raise SchemaMismatch(
                f"Chat messages are not changed by {changing}.",
                where=where,
                found=f"column {chats[0]} is a list of messages or texts",
                fix=fix,
            )


def cut_batch(
    columns: pa.RecordBatch, texts: TextColumns, keys: np.ndarray, ranges: Ranges
) -> tuple[pa.RecordBatch, pa.Table, dict[int, bytes]]:
    """Return the rows with their cuts made, what was cut, and the new text of each changed row.

    A Python loop per row that is cut takes 10 us each.

    Args:
        columns: the user's columns of the rows.
        texts: which of them hold the text.
        keys: the row keys, (rows,).
        ranges: by row, the bytes to cut from the joined text, in order.
    """
    places = sorted(ranges)
    raw = {name: columns.column(name).cast(pa.large_binary()) for name in texts.columns}
    values = {name: [raw[name][place].as_py() for place in places] for name in texts.columns}
    cut: list[tuple[int, str, int, int, bytes, str | None]] = []
    joined = {}
    for number, place in enumerate(places):
        parts = [
            (name, values[name][number])
            for name in texts.columns
            if values[name][number] is not None
        ]
        first = 0
        for name, value in parts:
            inside = _inside(ranges[place], first, first + len(value))
            cut += [(int(keys[place]), name, s, e, value[s:e], put) for s, e, put in inside]
            values[name][number] = replaced(value, inside)
            first += len(value) + len(texts.separator)
        joined[place] = texts.separator.join(values[name][number] for name, _ in parts)
    mask = np.zeros(columns.num_rows, np.bool_)
    mask[places] = True
    for name in texts.columns:
        new = pc.replace_with_mask(
            raw[name], pa.array(mask), pa.array(values[name], pa.large_binary())
        )
        place = columns.schema.get_field_index(name)
        columns = columns.set_column(
            place, columns.schema.field(place), _typed(new, columns.schema.field(place).type)
        )
    arrays = [pa.array([row[k] for row in cut], kind) for k, kind in enumerate(SPANS_CUT.types)]
    return columns, pa.Table.from_arrays(arrays, schema=SPANS_CUT), joined


def _inside(ranges: Sequence[Range], low: int, high: int) -> list[Range]:
    """Return the parts of ranges that lie in bytes [low, high), counted from `low`.

    What is written instead stands in the value in which a range begins.
    """
    inside = [
        (max(start, low) - low, min(end, high) - low, put if start >= low else None)
        for start, end, put in ranges
    ]
    return [one for one in inside if one[0] < one[1]]


def replaced(value: bytes, ranges: Sequence[Range]) -> bytes:
    """Return the bytes outside of some ranges, which are in order, with what is put in their place.

    Ranges do not overlap.
    """
    kept, done = [], 0
    for start, end, put in ranges:
        kept += [value[done:start], (put or "").encode()]
        done = end
    return b"".join([*kept, value[done:]])


def _typed(raw: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return bytes in the type of the user's column, also where that is a dictionary."""
    if pa.types.is_dictionary(kind):
        return raw.cast(kind.value_type).dictionary_encode().cast(kind)
    return raw.cast(kind)


def emptied(columns: pa.RecordBatch, forgotten: np.ndarray, schema: pa.Schema) -> pa.RecordBatch:
    """Return the rows with every value of the forgotten ones null.

    Args:
        columns: the user's columns.
        forgotten: which rows are forgotten, (rows,).
        schema: the same columns, all nullable.
    """
    rows = pa.array(np.arange(columns.num_rows), mask=forgotten)
    arrays = [column.take(rows) for column in columns.columns]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def require_forgotten(texts: pa.Array, hashes: frozenset[bytes], where: str) -> None:
    """Refuse to write a text to kept/ that is to be forgotten, whatever was decided about its row.

    Args:
        texts: the texts to write.
        hashes: BLAKE2b-128 of each text to forget.
        where: the name of the shard.

    Raises:
        IntegrityError: When one of the texts is to be forgotten.
    """
    for text in texts.cast(pa.large_binary()).to_pylist():
        if hashlib.blake2b(text, digest_size=16).digest() in hashes:
            raise IntegrityError("A text that is to be forgotten would be kept.", where=where)
