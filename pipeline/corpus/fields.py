"""Columns by name, also fields of a struct (`translation.en`) and the first of several (`a|b`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

INSIDE, OR = ".", "|"


def top_of(name: str, names: Sequence[str]) -> str:
    """Return the column that a name is, or is a field of."""
    return name if name in names else name.partition(INSIDE)[0]


def field_of(schema: pa.Schema, name: str) -> pa.Field | None:
    """Return the column, or the field of a struct, of a name; None where there is none."""
    if name in schema.names:
        return schema.field(name)
    first, *inner = name.split(INSIDE)
    if first not in schema.names or not inner:
        return None
    field = schema.field(first)
    for part in inner:
        kind = field.type
        if not pa.types.is_struct(kind) or kind.get_field_index(part) < 0:
            return None
        field = kind.field(part)
    return field


def first_of(schema: pa.Schema, entry: str) -> str | None:
    """Return the first of the names in an entry that the columns have; None without one."""
    names = [entry] if entry in schema.names else [name.strip() for name in entry.split(OR)]
    return next((name for name in names if field_of(schema, name) is not None), None)


def column_of(batch: pa.RecordBatch, name: str) -> pa.Array:
    """Return the values of a column or of a field of a struct; null where the struct is null."""
    if name in batch.schema.names:
        return batch.column(name)
    first, *inner = name.split(INSIDE)
    found = batch.column(first)
    for part in inner:
        found = pc.struct_field(found, part)
    return found


def value_of(item: dict[str, Any], name: str) -> Any:  # noqa: ANN401 - what JSON can hold
    """Return the value of a field of an object, or of an object in it; None where it has none."""
    if name in item:
        return item[name]
    value: Any = item
    for part in name.split(INSIDE):
        value = value.get(part) if isinstance(value, dict) else None
    return value
