"""The last files of a shard: those of which nothing changed stand, of others texts are taken over.

A group of shards is due when a row of any of them is known otherwise than before. What the files of
a shard follow from is noted as two digests: of all of it, and of what the user's columns in them
follow from. Where both are what they were the files are taken over as they lie, where the second
is, they are written anew from those that are there (`pipeline.filter.emit.renewal`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline.corpus import Shard
from pipeline.corpus.columns import is_list
from pipeline.engine.files import digest_file
from pipeline.engine.forgotten import forgotten_texts
from pipeline.engine.group_digests import feed
from pipeline.engine.shards import key_range
from pipeline.engine.stage import FileRecord, Work
from pipeline.filter.emit.row_facts import RowFacts, UnitTables
from pipeline.filter.emit.struct_column import RANGE, text_changes
from schemas.filter.decisions import CUTS

Written = tuple[list[FileRecord], dict[str, Any]]
"""The files of a shard, and its facts."""


READ_AS_WRITTEN: tuple[Callable[[pa.DataType], bool], ...] = (
    *(pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean),
    *(pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary),
)


@dataclass(frozen=True)
class Last:
    """The last files of a shard, which are sound and hold its rows as they would be written now.

    Attributes:
        records: the files.
        facts: what was recorded of the shard.
        stands: whether the files would have the same bytes now.
    """

    records: list[FileRecord]
    facts: dict[str, Any]
    stands: bool


def made_of(shard: Shard, work: Work, facts: RowFacts, tables: UnitTables) -> dict[str, str]:
    """Return two digests of what is known and decided of a shard's rows, and how they are written.

    With its own bytes, the code and the settings the first, `of`, is all that its files follow
    from, and the second, `columns`, all that the user's columns of its rows follow from there. That
    is also which file each row is in, unless it can move from one to the other. Empty where loss
    masks are made: how many tokens they leave out is told of a whole group.

    Args:
        shard: one of the unit's.
        work: the unit.
        facts: what is known of its rows; it is read to the end.
        tables: of the unit.
    """
    if work.config.mitigation.goldfish_k:
        return {"of": "", "columns": ""}
    known, places = facts.digests()
    common = hashlib.blake2b(tables.columns[shard.number], digest_size=16)
    common.update(pa.__version__.encode())  # chunks of two writers would be in one file
    none = pa.schema([CUTS.field(name) for name in RANGE]).empty_table()
    cuts = tables.keyed.read(work.paths("cuts"), CUTS, RANGE, *key_range(shard.number))
    for column in pa.concat_tables([none, *cuts]).columns:
        feed(common.update, column.combine_chunks())
    found = {}
    for name, own in (
        ("of", known),
        ("columns", b"" if _can_move(shard, work, tables) else places),
    ):
        digest = common.copy()
        digest.update(own)
        found[name] = digest.hexdigest()
    return found


def last_files(work: Work, shard: Shard, facts: RowFacts, tables: UnitTables) -> Last | None:
    """Return the last files of a shard.

    None where its rows would be written otherwise now, or they are damaged.

    Args:
        work: the unit.
        shard: one of its shards.
        facts: what is known of its rows; it is read to the end.
        tables: of the unit.
    """
    former = work.former
    if former is None or shard.number not in former.shards:
        return None
    [told] = [one for one in former.facts["shards"] if one["number"] == shard.number]
    now = made_of(shard, work, facts, tables)
    if not now["columns"] or told.get("columns") != now["columns"] or "parts" not in told:
        return None
    own = [record for record in former.records if _is_of(record, work.names[shard.number])]
    if not all(_is_sound(work, record) for record in own):
        return None
    return Last(own, {**told, **now}, told.get("of") == now["of"])


def _can_move(shard: Shard, work: Work, tables: UnitTables) -> bool:
    """Tell whether a row is the same in kept/ and in removed/, and is read as it was written."""
    if text_changes(work.config) or forgotten_texts(work):
        return False
    columns = pa.ipc.read_schema(pa.py_buffer(tables.columns[shard.number]))
    return all(read_as_written(field.type) for field in columns)


def read_as_written(kind: pa.DataType) -> bool:
    """Tell whether values of a type are read from Parquet as they were when they were written.

    Of dictionaries, for one, only the values are, and not their order.
    """
    if pa.types.is_struct(kind):
        return all(read_as_written(kind.field(place).type) for place in range(kind.num_fields))
    if is_list(kind):
        return read_as_written(kind.value_type)
    return any(is_one(kind) for is_one in READ_AS_WRITTEN)


def _is_of(record: FileRecord, name: str) -> bool:
    """Tell whether a file holds the rows of the shard of a name."""
    inside = record.path.removeprefix(f"{record.table}/")
    return inside.rpartition(".")[0] == name


def _is_sound(work: Work, record: FileRecord) -> bool:
    path = work.folder / record.path
    return path.is_file() and digest_file(path) == record.digest
