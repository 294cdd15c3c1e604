"""Choose the columns that each shard is written with, so that kept/ reads as one table.

All files get the columns of all, null where a shard lacks them, and one type a column wherever one
holds every value unchanged. JSON Lines have no schema of their own, so theirs is the union of the
fields of all such shards. A type that would change a value otherwise stays the shard's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa

from pipeline.corpus import shard_kinds, shard_schema
from pipeline.corpus.casts import in_type
from pipeline.corpus.columns import is_list
from pipeline.corpus.json_schema import Kinds, is_json, schema_of
from pipeline.engine.group_digests import GROUPS, group_digests
from pipeline.engine.progress import current
from pipeline.engine.stage import Receipt, Work
from pipeline.engine.tables import read_table, write_table
from pipeline.filter.common_types import alike
from pipeline.names import shown
from schemas.filter.columns import COLUMNS

VERSION = 4
MOST_TOLD = 10  # columns of several types


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
    facts = {GROUPS: group_digests(work.shards, [table])}
    return Receipt((out.record,), len(work.shards), out.rows, facts)


def columns_of(work: Work) -> dict[int, bytes]:
    """Return the columns that each shard is written with, by its number, as a stored schema."""
    table = read_table(work.paths("columns"), COLUMNS)
    return dict(zip(table["number"].to_pylist(), table["schema"].to_pylist(), strict=True))


def as_written(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return rows with the columns and types that they are written with."""
    if batch.schema.names == schema.names and batch.schema.types == schema.types:
        return batch
    return pa.RecordBatch.from_arrays([_column(batch, field) for field in schema], schema=schema)


def _column(batch: pa.RecordBatch, field: pa.Field) -> pa.Array:
    """Return a column as it is written: nulls where the rows have none."""
    place = batch.schema.get_field_index(field.name)
    if place < 0 or pa.types.is_null(batch.column(place).type):
        return pa.nulls(batch.num_rows, field.type)
    return in_type(batch.column(place), field.type)


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
    found, differing = alike(schemas)
    for name, kinds_of_it in list(differing.items())[:MOST_TOLD]:
        current().message(
            f"column {shown(name)} is of several types, each file of kept/ has its own: "
            f"{', '.join(kind[:60] for kind in kinds_of_it[:4])}"
        )
    return found


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
