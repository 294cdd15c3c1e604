"""Choose the columns that each shard is written with, so that kept/ reads as one table.

A column that is null throughout one shard gets the type that the others give it. JSON Lines have no
schema of their own, so all such shards get the union of their fields, as the rows of one file do. A
type that would change a value otherwise stays the shard's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa

from pipeline.corpus import Shard, shard_kinds, shard_schema
from pipeline.corpus.columns import is_list
from pipeline.corpus.json_schema import Kinds, is_json, schema_of
from pipeline.engine.progress import current
from pipeline.engine.stage import Receipt, Work
from pipeline.engine.tables import read_table, write_table
from schemas.filter.columns import COLUMNS

VERSION = 1


def columns(work: Work) -> Receipt:
    """Write the table `columns`: one pass over JSON Lines shards, the footers of the others.

    A *reduce* stage.
    """
    found = written_columns(work)
    table = pa.table(
        [
            pa.array(sorted(found), pa.uint64()),
            pa.array([found[n].serialize().to_pybytes() for n in sorted(found)], pa.large_binary()),
        ],
        schema=COLUMNS,
    )
    with write_table(work.folder, "columns", work.key, COLUMNS) as out:
        out.write(table)
    return Receipt((out.record,), len(work.shards), out.rows)


def columns_of(work: Work, shard: Shard) -> pa.Schema:
    """Return the columns that a shard is written with, from the table `columns`."""
    table = read_table(work.paths("columns"), COLUMNS)
    place = table["number"].to_pylist().index(shard.number)
    return pa.ipc.read_schema(pa.py_buffer(table["schema"][place].as_py()))


def as_written(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return rows with the types that they are written with: nulls of another type, if any."""
    if batch.schema.types == schema.types:
        return batch
    arrays = [
        pa.nulls(batch.num_rows, field.type)
        if pa.types.is_null(array.type)
        else array.cast(field.type)
        for array, field in zip(batch.columns, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def written_columns(work: Work) -> dict[int, pa.Schema]:
    """Return the columns that each shard is written with, by its number."""
    config, schemas, kinds = (
        work.config.input,
        dict[int, pa.Schema](),
        dict[int, dict[str, Kinds]](),
    )
    for done, shard in enumerate(sorted(work.shards, key=lambda shard: shard.name)):
        if shard.format == "jsonl":
            kinds[shard.number] = shard_kinds(shard, config)
            schemas[shard.number] = schema_of(kinds[shard.number])
        else:
            schemas[shard.number] = shard_schema(shard, config)
        current().advance(done + 1, len(work.shards), shard.name)
    together = schema_of(_joined(kinds.values()))
    for number in kinds:
        schemas[number] = _united(schemas[number], together)
    types: dict[str, list[pa.DataType]] = {}
    for schema in schemas.values():
        for field in schema:
            known = types.setdefault(field.name, [])
            if field.type not in known:
                known.append(field.type)
    return {number: _filled(schema, types) for number, schema in schemas.items()}


def _joined(kinds: Iterable[Mapping[str, Kinds]]) -> dict[str, Kinds]:
    """Return what the fields of all JSON Lines shards hold, in order of first appearance."""
    joined: dict[str, Kinds] = {}
    for own in kinds:
        for name, known in own.items():
            joined[name] = joined[name].plus(known) if name in joined else known
    return joined


def _united(own: pa.Schema, together: pa.Schema) -> pa.Schema:
    """Return the columns of all JSON Lines shards, with the shard's own types where they differ.

    They do where the others' values would turn its own into JSON text.
    """
    return pa.schema(
        [
            own.field(field.name)
            if field.name in own.names and _turns_to_json(own.field(field.name), field)
            else field
            for field in together
        ]
    )


def _turns_to_json(own: pa.Field, other: pa.Field) -> bool:
    """Tell whether a value that is no JSON text in one type would be that in the other."""
    if is_json(own) or pa.types.is_null(own.type):
        return False
    if is_json(other):
        return True
    if is_list(own.type):
        return _turns_to_json(own.type.value_field, other.type.value_field)
    if pa.types.is_struct(own.type):
        fields = [own.type.field(place) for place in range(own.type.num_fields)]
        return any(_turns_to_json(field, other.type.field(field.name)) for field in fields)
    return False


def _filled(schema: pa.Schema, types: Mapping[str, list[pa.DataType]]) -> pa.Schema:
    """Return the columns of a shard with the types of others in the place of null types."""
    fields = []
    for field in schema:
        kind = field.type
        for other in types[field.name]:
            kind = _without_null(kind, other)
        fields.append(field.with_type(kind) if _can_be_cast(field.type, kind) else field)
    return pa.schema(fields, metadata=schema.metadata)


def _without_null(own: pa.DataType, other: pa.DataType) -> pa.DataType:
    """Return a type in which each null type has what another type has in that place."""
    if pa.types.is_null(own):
        return other
    if is_list(own) and is_list(other):
        inner = own.value_field.with_type(_without_null(own.value_type, other.value_type))
        if pa.types.is_fixed_size_list(own):
            return pa.list_(inner, own.list_size)
        return pa.large_list(inner) if pa.types.is_large_list(own) else pa.list_(inner)
    if pa.types.is_struct(own) and pa.types.is_struct(other):
        fields = []
        for place in range(own.num_fields):
            field = own.field(place)
            at = other.get_field_index(field.name)
            kind = field.type if at < 0 else _without_null(field.type, other.field(at).type)
            fields.append(field.with_type(kind))
        return pa.struct(fields)
    return own


def _can_be_cast(own: pa.DataType, kind: pa.DataType) -> bool:
    """Tell whether Arrow casts a column without values to a type."""
    if pa.types.is_null(own) or own == kind:
        return True
    try:
        pa.array([], own).cast(kind)
    except pa.ArrowNotImplementedError:
        return False
    return True
