"""Values of Arrow columns as values of JSON, whatever their type.

Python has no nanoseconds and no year above 9999, so times are made to text from their integers.
Where Python has the value, the text is that of its own `isoformat` or `str`.
"""

from __future__ import annotations

import base64
import datetime
import json
import math
from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.corpus.columns import is_bytes
from pipeline.corpus.json_schema import is_json

Json: TypeAlias = Any
BIG = 1 << 53  # whole numbers beyond it are not exact as doubles
DIGITS = {"s": 0, "ms": 3, "us": 6, "ns": 9}  # of a fraction of a second
EPOCH = datetime.datetime(1970, 1, 1)  # noqa: DTZ001 - time zones are dealt with apart
DAY = 86_400
EARLIEST, LATEST = -719_160, 2_932_893  # days that Python has in every time zone
MOST_DAYS = 999_999_999  # of a timedelta


def json_rows(batch: pa.RecordBatch) -> list[dict[str, Json]]:
    """Return the rows of a batch as objects of JSON."""
    cells = [
        _of_field(column, field) for column, field in zip(batch.columns, batch.schema, strict=True)
    ]
    return _objects(batch.schema.names, cells, batch)


def _objects(names: list[str], cells: list[list[Json]], batch: pa.RecordBatch) -> list[Json]:
    if not names:
        return [{} for _ in range(batch.num_rows)]
    return [dict(zip(names, row, strict=True)) for row in zip(*cells, strict=True)]


def _of_field(array: pa.Array, field: pa.Field) -> list[Json]:
    """Return the values of a column or a part of one, those of which it holds the JSON as such."""
    values = json_values(array)
    return [_read(value) for value in values] if is_json(field) else values


def _read(text: Json) -> Json:
    """Return the value that a text is the JSON of; of infinities null, of what is no JSON itself.

    Also of what Python reads and cannot write: a lone surrogate.
    """
    if not isinstance(text, str) or "\\ud" in text.lower():
        return text
    try:
        return json.loads(text, parse_constant=lambda _: None, parse_float=_finite)
    except (ValueError, RecursionError):
        return text


def _finite(number: str | float) -> float | None:
    value = float(number)
    return value if math.isfinite(value) else None


def json_values(array: pa.Array) -> list[Json]:
    """Return the values of a column of any type that can be written as Parquet."""
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        if kind == pa.uuid():
            return [None if value is None else str(value) for value in array.to_pylist()]
        return json_values(array.storage)
    if pa.types.is_dictionary(kind):
        return json_values(array.dictionary_decode())
    if pa.types.is_nested(kind):
        return _nested(array)
    if pa.types.is_temporal(kind):
        return _temporal(array)
    if is_bytes(kind) or pa.types.is_fixed_size_binary(kind):
        return _each(array, lambda value: base64.b64encode(value).decode())
    if pa.types.is_decimal(kind):
        return _each(array, str)
    if pa.types.is_floating(kind):
        return _each(array, _finite)
    if pa.types.is_integer(kind):
        return _each(array, lambda value: value if abs(value) < BIG else str(value))
    return list(array.to_pylist())


def _each(array: pa.Array, change: Any) -> list[Json]:  # noqa: ANN401 - of one value
    return [None if value is None else change(value) for value in array.to_pylist()]


def _nested(array: pa.Array) -> list[Json]:
    """Return structs as objects, lists as lists and maps as lists of pairs."""
    kind = array.type
    valid = array.is_valid().to_pylist()
    if pa.types.is_struct(kind):
        names = [kind.field(place).name for place in range(kind.num_fields)]
        cells = [
            _of_field(values, kind.field(place)) for place, values in enumerate(array.flatten())
        ]
        rows = zip(*cells, strict=True) if cells else iter([()] * len(array))
        found = (dict(zip(names, row, strict=True)) for row in rows)
        return [row if there else None for row, there in zip(found, valid, strict=True)]
    if pa.types.is_map(kind):
        ends = array.offsets.to_pylist()
        low, high = ends[0], ends[-1]
        keys, items = (json_values(part[low:high]) for part in (array.keys, array.items))
        inner: list[Json] = [list(pair) for pair in zip(keys, items, strict=True)]
        lengths: Iterable[int] = np.diff(ends).tolist()
        return _cut(inner, lengths, valid)
    lengths = pc.fill_null(pc.list_value_length(array), 0).to_pylist()
    return _cut(_of_field(array.flatten(), kind.value_field), lengths, valid)


def _cut(inner: list[Json], lengths: Iterable[int], valid: list[bool]) -> list[Json]:
    """Return consecutive values as one list a row."""
    rows, low = [], 0
    for length, there in zip(lengths, valid, strict=True):
        rows.append(inner[low : low + length] if there else None)
        low += length
    return rows


def _temporal(array: pa.Array) -> list[Json]:
    """Return dates, times, timestamps and durations as text."""
    kind = array.type
    width = pa.int32() if kind.bit_width == 32 else pa.int64()
    numbers = array.view(width).to_pylist()
    if pa.types.is_date(kind):
        a_day = DAY * 1000 if pa.types.is_date64(kind) else 1
        return [None if value is None else _date(value // a_day) for value in numbers]
    digits = DIGITS[kind.unit]
    split = [None if value is None else divmod(value, 10**digits) for value in numbers]
    if pa.types.is_timestamp(kind):
        return _timestamps(split, digits, kind.tz)
    name = _duration if pa.types.is_duration(kind) else _clock
    return [None if at is None else f"{name(at[0])}{_fraction(at[1], digits)}" for at in split]


def _timestamps(
    split: list[tuple[int, int] | None], digits: int, zone: str | None
) -> list[str | None]:
    """Return points in time as text, in their zone if they have one.

    Args:
        split: whole seconds since 1970 and the rest, of each.
        digits: of the rest.
        zone: the name of the time zone.
    """
    inside = [
        at[0] if at is not None and EARLIEST <= at[0] // DAY < LATEST else None for at in split
    ]
    known = pa.array(inside, pa.timestamp("s", zone)).to_pylist()
    texts: list[str | None] = []
    for at, value in zip(split, known, strict=True):
        if at is None:
            texts.append(None)
        elif value is None:
            zero = "" if zone is None else "+00:00"
            texts.append(f"{np.datetime64(at[0], 's')}{_fraction(at[1], digits)}{zero}")
        else:
            whole = value.isoformat()  # 19 characters, then the offset from UTC
            texts.append(f"{whole[:19]}{_fraction(at[1], digits)}{whole[19:]}")
    return texts


def _date(day: int) -> str:
    if EARLIEST <= day < LATEST:
        return (EPOCH + datetime.timedelta(days=day)).date().isoformat()
    return str(np.datetime64(day, "D"))


def _clock(second: int) -> str:
    return f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"


def _duration(second: int) -> str:
    days, rest = divmod(second, DAY)
    if abs(days) < MOST_DAYS:
        return str(datetime.timedelta(days, rest))
    return f"{days} days, {rest // 3600}:{rest // 60 % 60:02}:{rest % 60:02}"


def _fraction(rest: int, digits: int) -> str:
    """Return a fraction of a second: none, six digits, or the nine of nanoseconds."""
    if not rest:
        return ""
    nanoseconds = rest * 10 ** (9 - digits)
    if nanoseconds % 1000:
        return f".{nanoseconds:09}"
    return f".{nanoseconds // 1000:06}"
