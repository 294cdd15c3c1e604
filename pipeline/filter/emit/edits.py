"""What the filter changes in rows: texts that are cut, values that are forgotten."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.corpus.columns import is_chat
from pipeline.errors import IntegrityError, SchemaMismatch
from schemas.filter.emitted import SPANS_CUT

Ranges = Mapping[int, list[tuple[int, int]]]


@dataclass(frozen=True)
class TextColumns:
    """How a document's text is made of columns: their names, and what joins them."""

    columns: tuple[str, ...]
    separator: bytes

    def require_plain(self, schema: pa.Schema, where: str) -> None:
        """Refuse to cut in chat messages."""
        chats = [name for name in self.columns if is_chat(schema.field(name).type)]
        if chats:
            raise SchemaMismatch(
                "cut-spans cannot cut chat messages.",
                where=where,
                found=f"column {chats[0]} is a list of messages",
                fix='list the passages instead: --set policy.cut="mask"',
            )


def cut_batch(
    columns: pa.RecordBatch, texts: TextColumns, keys: np.ndarray, ranges: Ranges
) -> tuple[pa.RecordBatch, pa.Table, dict[int, bytes]]:
    """Return the rows without their cuts, what was cut, and the new text of each row that changed.

    ranges: by place in the batch, the bytes to cut from the joined text, in order. A Python loop
    per row that is cut, 10 us each.
    """
    places = sorted(ranges)
    raw = {name: columns.column(name).cast(pa.large_binary()) for name in texts.columns}
    values = {name: [raw[name][place].as_py() for place in places] for name in texts.columns}
    cut: list[tuple[int, str, int, int, bytes]] = []
    joined = {}
    for number, place in enumerate(places):
        parts = [
            (name, values[name][number])
            for name in texts.columns
            if values[name][number] is not None
        ]
        at = 0
        for name, value in parts:
            own = _inside(ranges[place], at, at + len(value))
            cut += [(int(keys[place]), name, s, e, value[s:e]) for s, e in own]
            values[name][number] = without(value, own)
            at += len(value) + len(texts.separator)
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


def _inside(ranges: Sequence[tuple[int, int]], low: int, high: int) -> list[tuple[int, int]]:
    """Return the ranges of the joined text that lie in one part of it, from that part's start."""
    own = [(max(start, low) - low, min(end, high) - low) for start, end in ranges]
    return [(start, end) for start, end in own if start < end]


def without(value: bytes, ranges: Sequence[tuple[int, int]]) -> bytes:
    """Return the bytes outside of some ranges, which are in order."""
    kept, at = [], 0
    for start, end in ranges:
        kept.append(value[at:start])
        at = end
    return b"".join([*kept, value[at:]])


def _typed(raw: pa.Array, kind: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(kind):
        return raw.cast(kind.value_type).dictionary_encode().cast(kind)
    return raw.cast(kind)


def emptied(columns: pa.RecordBatch, forgotten: np.ndarray, schema: pa.Schema) -> pa.RecordBatch:
    """Return rows with every value of those that are forgotten gone; schema: all nullable."""
    rows = pa.array(np.arange(columns.num_rows), mask=forgotten)
    arrays = [column.take(rows) for column in columns.columns]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def require_forgotten(texts: pa.Array, hashes: frozenset[bytes], where: str) -> None:
    """Refuse to write a text to kept/ that is to be forgotten, by its own bytes."""
    for text in texts.cast(pa.large_binary()).to_pylist():
        if hashlib.blake2b(text, digest_size=16).digest() in hashes:
            raise IntegrityError("A text that is to be forgotten would be kept.", where=where)
