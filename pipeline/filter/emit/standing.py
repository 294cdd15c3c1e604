"""Shards whose files stand: a group is written again, but not those of which nothing changed.

A group of shards is due when a row of any of them is known otherwise than before. What the files of
a shard follow from is noted as a digest, so those of the others are taken over as they lie.
"""

from __future__ import annotations

import hashlib
from typing import Any

import pyarrow as pa

from pipeline.corpus import Shard
from pipeline.engine.files import digest_file
from pipeline.engine.group_digests import feed
from pipeline.engine.shards import key_range
from pipeline.engine.stage import FileRecord, Work
from pipeline.filter.emit.row_facts import RowFacts, UnitTables
from pipeline.filter.emit.struct_column import RANGE
from schemas.filter.decisions import CUTS

Written = tuple[list[FileRecord], dict[str, Any]]
"""The files of a shard, and its facts."""


def made_of(shard: Shard, work: Work, facts: RowFacts, tables: UnitTables) -> str:
    """Return a digest of what is known and decided of a shard's rows, and of how they are written.

    With its own bytes, the code and the settings that is all that its files follow from. Empty
    where loss masks are made: how many tokens they leave out is told of a whole group.

    Args:
        shard: one of the unit's.
        work: the unit.
        facts: what is known of its rows; it is read to the end.
        tables: of the unit.
    """
    if work.config.mitigation.goldfish_k:
        return ""
    digest = hashlib.blake2b(tables.columns[shard.number], digest_size=16)
    digest.update(facts.digest())
    none = pa.schema([CUTS.field(name) for name in RANGE]).empty_table()
    cuts = tables.keyed.read(work.paths("cuts"), CUTS, RANGE, *key_range(shard.number))
    for column in pa.concat_tables([none, *cuts]).columns:
        feed(digest.update, column.combine_chunks())
    return digest.hexdigest()


def written_before(work: Work, shard: Shard, tables: UnitTables) -> Written | None:
    """Return the files of a shard as they were written last, with its facts.

    None where they would be others now, or are damaged.

    Args:
        work: the unit.
        shard: one of its shards.
        tables: of the unit.
    """
    former = work.former
    if former is None or shard.number not in former.shards:
        return None
    [facts] = [one for one in former.facts["shards"] if one["number"] == shard.number]
    if not facts["of"] or facts["of"] != made_of(
        shard, work, RowFacts(shard, work, tables), tables
    ):
        return None
    own = [record for record in former.records if _is_of(record, work.names[shard.number])]
    return (own, facts) if all(_is_sound(work, record) for record in own) else None


def _is_of(record: FileRecord, name: str) -> bool:
    """Tell whether a file holds the rows of the shard of a name."""
    inside = record.path.removeprefix(f"{record.table}/")
    return inside.rpartition(".")[0] == name


def _is_sound(work: Work, record: FileRecord) -> bool:
    path = work.folder / record.path
    return path.is_file() and digest_file(path) == record.digest
