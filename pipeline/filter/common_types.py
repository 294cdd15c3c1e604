"""One type for each column over all files of an output, where one holds every value unchanged.

Whole numbers and fractions get the wider type, long and short strings the long one, a dictionary
beside plain values the plain one; lists and structs likewise, field by field.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce

import pyarrow as pa

from pipeline.corpus.casts import holds_nulls
from pipeline.corpus.columns import is_bytes, is_list, is_string

EXACT_BITS = 32  # of a whole number that a double holds exactly


def alike(schemas: Mapping[int, pa.Schema]) -> tuple[dict[int, pa.Schema], dict[str, list[str]]]:
    """Return the schemas with the same columns each, of one type where one can hold all values.

    A column that a file lacks comes after its own. One whose types cannot be joined keeps the
    file's own type; these are returned too, with their types.

    Args:
        schemas: by number of the file, in the order in which columns are to come.
    """
    fields: dict[str, list[pa.Field]] = {}
    for schema in schemas.values():
        for field in schema:
            fields.setdefault(field.name, []).append(field)
    joined, differing = dict[str, pa.Field](), dict[str, list[str]]()
    for name, own in fields.items():
        found = _joined(own)
        if found is None:
            differing[name] = sorted({str(field.type) for field in own})
        first = own[0] if found is None else found
        nullable = any(field.nullable for field in own) or len(own) < len(schemas)
        joined[name] = first.with_nullable(nullable)
    known = {name: [field.type for field in own] for name, own in fields.items()}
    return {
        number: _completed(schema, joined, known, differing) for number, schema in schemas.items()
    }, differing


def _completed(
    schema: pa.Schema,
    joined: Mapping[str, pa.Field],
    known: Mapping[str, list[pa.DataType]],
    differing: Mapping[str, list[str]],
) -> pa.Schema:
    """Return the columns of one file with their joint types, then those that it lacks."""
    own = []
    for field in schema:
        kind = joined[field.name].type
        if field.name in differing:
            kind = reduce(_without_null, known[field.name], field.type)
            kind = kind if _can_be_cast(field.type, kind) else field.type
        kind = _described(field.type, kind)
        own.append(field.with_type(kind).with_nullable(joined[field.name].nullable))
    lacking = [field for name, field in joined.items() if name not in schema.names]
    return pa.schema([*own, *lacking], metadata=schema.metadata)


def _joined(fields: Iterable[pa.Field]) -> pa.Field | None:
    """Return a field of the type that holds the values of all of them; None without one."""
    first, *others = fields
    kind = first.type
    for other in others:
        found = common_type(kind, other.type)
        if found is None:
            return None
        kind = found
    if all(_can_be_cast(field.type, kind) for field in (first, *others)):
        return first.with_type(kind)
    return None


def common_type(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """Return the type that holds the values of both types unchanged; None when none does."""
    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    if pa.types.is_dictionary(one) or pa.types.is_dictionary(other):
        return common_type(_plain(one), _plain(other))
    if is_list(one) and is_list(other):
        return _common_list(one, other)
    if pa.types.is_struct(one) and pa.types.is_struct(other):
        return _common_struct(one, other)
    if is_string(one) and is_string(other):
        if is_bytes(one) != is_bytes(other):
            return None
        return pa.large_binary() if is_bytes(one) else pa.large_string()
    if _is_number(one) and _is_number(other):
        return _common_number(one, other)
    return None


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _common_list(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    inner = common_type(one.value_type, other.value_type)
    if inner is None:
        return None
    nullable = one.value_field.nullable or other.value_field.nullable
    field = one.value_field.with_type(inner).with_nullable(nullable)
    if pa.types.is_fixed_size_list(one) and pa.types.is_fixed_size_list(other):
        return pa.list_(field, one.list_size) if one.list_size == other.list_size else None
    if any(pa.types.is_large_list(kind) for kind in (one, other)):
        return pa.large_list(field)
    return pa.list_(field)


def _common_struct(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    fields = []
    for place in range(one.num_fields):
        field = one.field(place)
        at = other.get_field_index(field.name)
        if at < 0:
            fields.append(field.with_nullable(True))
            continue
        kind = common_type(field.type, other.field(at).type)
        if kind is None:
            return None
        nullable = field.nullable or other.field(at).nullable
        fields.append(field.with_type(kind).with_nullable(nullable))
    own = {field.name for field in fields}
    more = [other.field(place) for place in range(other.num_fields)]
    fields += [field.with_nullable(True) for field in more if field.name not in own]
    return pa.struct(fields)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _common_number(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """Return the number type that holds all values of both."""
    whole = [kind for kind in (one, other) if pa.types.is_integer(kind)]
    if not whole:
        return max(one, other, key=lambda kind: int(kind.bit_width))
    if len(whole) == 1:
        return pa.float64() if whole[0].bit_width <= EXACT_BITS else None
    signed = [pa.types.is_signed_integer(kind) for kind in whole]
    if all(signed) or not any(signed):
        return max(one, other, key=lambda kind: int(kind.bit_width))
    bits = max(
        kind.bit_width * (1 if is_signed else 2)
        for kind, is_signed in zip(whole, signed, strict=True)
    )
    return {16: pa.int16(), 32: pa.int32(), 64: pa.int64()}.get(bits)


def _without_null(own: pa.DataType, other: pa.DataType) -> pa.DataType:
    """Return a type in which each null type has what another type has in that place."""
    if pa.types.is_null(own):
        return other
    if is_list(own) and is_list(other):
        inner = _without_null(own.value_type, other.value_type)
        return _list_of(own, own.value_field.with_type(inner))
    if pa.types.is_struct(own) and pa.types.is_struct(other):
        fields = []
        for place in range(own.num_fields):
            field = own.field(place)
            at = other.get_field_index(field.name)
            kind = field.type if at < 0 else _without_null(field.type, other.field(at).type)
            fields.append(field.with_type(kind))
        return pa.struct(fields)
    return own


def _described(own: pa.DataType, kind: pa.DataType) -> pa.DataType:
    """Return a type in which the parts that `own` has are described as there.

    Whether strings inside a list or struct are JSON, for one, differs from file to file.
    """
    if is_list(own) and is_list(kind):
        return _list_of(kind, _described_field(own.value_field, kind.value_field))
    if pa.types.is_struct(own) and pa.types.is_struct(kind):
        parts = [kind.field(place) for place in range(kind.num_fields)]
        return pa.struct(
            [
                part
                if (at := own.get_field_index(part.name)) < 0
                else _described_field(own.field(at), part)
                for part in parts
            ]
        )
    return kind


def _described_field(own: pa.Field, part: pa.Field) -> pa.Field:
    return part.with_type(_described(own.type, part.type)).with_metadata(own.metadata)


def _list_of(kind: pa.DataType, inner: pa.Field) -> pa.DataType:
    """Return a list as a type is one, of other values."""
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(inner, kind.list_size)
    return pa.large_list(inner) if pa.types.is_large_list(kind) else pa.list_(inner)


def _can_be_cast(own: pa.DataType, kind: pa.DataType) -> bool:
    """Tell whether Arrow casts a column to a type: one without values, and one without nulls.

    Of nulls see `pipeline.corpus.casts`.
    """
    if pa.types.is_null(own) or own == kind:
        return True
    if holds_nulls(kind):
        return False
    try:
        pa.array([], own).cast(kind)
    except (pa.ArrowNotImplementedError, pa.ArrowTypeError, pa.ArrowInvalid):
        return False
    return True
