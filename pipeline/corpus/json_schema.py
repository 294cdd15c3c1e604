"""The Arrow types of JSON Lines: the union over a file, and values that fit it without loss."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from pipeline.corpus.columns import is_list
from pipeline.corpus.json_text import Json, NotText, Object, to_json, value_text

Fit = Callable[[Json], Json]
INT64 = 2**63
EXACT_DOUBLE = 2**53
MAX_FIELDS = 256  # an object with more names is a mapping, not a record
MAX_DEPTH = 16
AS_JSON = {b"encoding": b"json"}


@dataclass
class Kinds:
    """What one field of JSON objects was seen to hold.

    Attributes:
        seen: kinds of values.
        fields: of objects, by name.
        items: of lists, None before the first.
    """

    seen: set[str] = field(default_factory=set)
    fields: dict[str, Kinds] = field(default_factory=dict)
    items: Kinds | None = None

    def observe(self, value: Json, depth: int = 0) -> None:
        """Add one value; beyond MAX_DEPTH levels or MAX_FIELDS names it ends as JSON text."""
        kind = type(value)
        if kind is int:
            self.seen.add(_int_kind(value))
        elif depth > MAX_DEPTH and kind in (dict, list):
            self.seen.add("deep")
        elif kind is dict:
            self.seen.add("object")
            for name, inner in value.items():
                if len(self.fields) <= MAX_FIELDS or name in self.fields:
                    self.fields.setdefault(name, Kinds()).observe(inner, depth + 1)
        elif kind is list:
            self.seen.add("list")
            self.items = self.items or Kinds()
            for inner in value:
                self.items.observe(inner, depth + 1)
        elif value is not None:
            self.seen.add({str: "string", bool: "bool", float: "double"}[kind])

    def plus(self, other: Kinds) -> Kinds:
        """Return what was seen in either place."""
        fields = dict(self.fields)
        for name, inner in other.fields.items():
            if len(fields) <= MAX_FIELDS or name in fields:
                fields[name] = fields[name].plus(inner) if name in fields else inner
        items = self.items or other.items
        if self.items is not None and other.items is not None:
            items = self.items.plus(other.items)
        return Kinds(self.seen | other.seen, fields, items)

    def named(self, name: str) -> pa.Field:
        """Return the field of that name whose type holds every value seen."""
        kind = self._type()
        return (
            pa.field(name, pa.string(), metadata=AS_JSON) if kind is None else pa.field(name, kind)
        )

    def _type(self) -> pa.DataType | None:
        """Return the type, or None when only JSON text holds all of it."""
        if not self.seen:
            return pa.null()
        if self.seen == {"list"} and self.items is not None:
            return pa.list_(self.items.named("element"))
        if self.seen == {"object"} and 0 < len(self.fields) <= MAX_FIELDS:
            return pa.struct([inner.named(name) for name, inner in self.fields.items()])
        if self.seen <= {"int", "double"}:
            return pa.float64() if "double" in self.seen else pa.int64()
        plain = {"string": pa.string(), "bool": pa.bool_(), "wide": pa.int64()}
        if self.seen <= {"int", "wide"}:
            return pa.int64()
        return plain.get(next(iter(self.seen))) if len(self.seen) == 1 else None


def union_schema(objects: Iterable[Object], text_columns: Sequence[str]) -> pa.Schema:
    """Return the columns of all `objects`, in order of first appearance.

    A field is int64, double, bool, string, list or struct. One that mixes these (beyond null, and
    int with double where no integer would lose digits), that has integers beyond int64, only empty
    objects, or very many names is a string with the JSON of each value, marked by the field
    metadata `encoding: json`. In a text column, values that cannot be text do not count, since
    their rows are rejected, and beside strings lists and messages are texts.
    """
    return schema_of(kinds_of(objects, text_columns))


def schema_of(kinds: Mapping[str, Kinds]) -> pa.Schema:
    """Return the columns that hold every value seen, in order."""
    return pa.schema([known.named(name) for name, known in kinds.items()])


def kinds_of(objects: Iterable[Object], text_columns: Sequence[str]) -> dict[str, Kinds]:
    """Return what each field of all `objects` was seen to hold, in order of first appearance."""
    kinds: dict[str, Kinds] = {}
    for item in objects:
        for name, value in item.items():
            known = kinds.get(name)
            if known is None:
                known = kinds[name] = Kinds()
            if name not in text_columns or _is_text(value):
                known.observe(value)
    for name in text_columns:
        if name in kinds and (not kinds[name].seen or "string" in kinds[name].seen):
            kinds[name] = Kinds({"string"})  # what is read of a list or of messages is a text, too
    return kinds


def to_batch(
    objects: Sequence[Object], schema: pa.Schema, text_columns: Sequence[str], separator: str = ""
) -> pa.RecordBatch:
    """Return the objects as rows of `schema`, a union over at least them.

    In a text column, a value that cannot be text becomes its JSON, or null where the column is no
    string; lists and messages beside strings become the text that is read of them.

    Args:
        objects: the rows.
        schema: their columns.
        text_columns: those that are read as text.
        separator: joins the texts of a list and of messages.
    """
    arrays = []
    for column in schema:
        values = [item.get(column.name) for item in objects]
        fit = _fitter(column)
        if column.name in text_columns and not is_json(column):
            if _is_string(column.type):
                values = [_as_text(value, separator) for value in values]
            else:
                values = [value if _is_text(value) else None for value in values]
        if fit is not None:
            values = [fit(value) for value in values]
        arrays.append(pa.array(values, column.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _int_kind(value: int) -> str:
    """Return whether an integer fits a double, an int64, or neither."""
    if -EXACT_DOUBLE <= value <= EXACT_DOUBLE:
        return "int"
    return "wide" if -INT64 <= value < INT64 else "huge"


def _is_text(value: Json) -> bool:
    """Tell whether a value can be the text of a document, or is null."""
    if value is None or isinstance(value, str):
        return True
    try:
        value_text(value, "")
    except NotText:
        return False
    return True


def _is_string(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _as_text(value: Json, separator: str) -> str | None:
    """Return the text of a value, or its JSON where it is none."""
    try:
        return value_text(value, separator)
    except NotText:
        return to_json(value)


def is_json(column: pa.Field) -> bool:
    """Tell whether a column holds the JSON of its values."""
    return (column.metadata or {}).get(b"encoding") == b"json"


def _fitter(column: pa.Field) -> Fit | None:
    """Return what writes JSON text where the column's type asks for it, or None if nowhere."""
    kind = column.type
    if is_json(column):
        return lambda value: None if value is None else to_json(value)
    if is_list(kind):
        inner = _fitter(kind.value_field)
        return (
            None
            if inner is None
            else lambda value: None if value is None else [inner(item) for item in value]
        )
    if pa.types.is_struct(kind):
        members = [kind.field(position) for position in range(kind.num_fields)]
        fits = {member.name: fit for member in members if (fit := _fitter(member)) is not None}
        return (lambda value: _fit_object(value, fits)) if fits else None
    return None


def _fit_object(value: Object | None, fits: dict[str, Fit]) -> Object | None:
    """Return an object with some of its values fitted."""
    if value is None:
        return None
    return {**value, **{name: fit(value[name]) for name, fit in fits.items() if name in value}}
