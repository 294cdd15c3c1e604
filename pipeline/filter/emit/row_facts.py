"""Read what is known and decided about the rows of a shard, in step with the rows themselves."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config.sections import NearConfig
from pipeline.corpus import Shard
from pipeline.engine.group_digests import feed
from pipeline.engine.shards import key_range
from pipeline.engine.stage import Work
from pipeline.engine.tables import KeyedRows
from pipeline.filter.columns import columns_of
from pipeline.text.arrays import Uint64
from schemas.filter.contaminated import CONTAMINATED
from schemas.filter.decisions import DECISIONS
from schemas.filter.documents import DOCUMENTS
from schemas.filter.emitted import OF_DOCUMENTS, RISKS
from schemas.filter.held import HELD
from schemas.score.risk import DOCUMENT_RISK

ITEM_OF = {
    "item_file": "file",
    "item_row": "item_row",
    "item_field": "field",
    "item_words": "item_words",
    "item_matched": "matched_words",
}
HELD_OF = {
    "held_method": "method",
    "held_score": "score",
    "held_doc_id": "their_doc_id",
    "held_shard": "their_shard",
    "held_row": "their_row",
    "held_digest": "their_digest",
}
ROWS = 16_384
DECIDED = ("action", "rule", "reason", "keeper", "risk_after", "sink_id", "weight")


class UnitTables:
    """What a unit of work reads its shards' rows with.

    Attributes:
        keyed: the reader of tables by row.
        columns: what each shard is written with, by its number, as a stored schema.
    """

    def __init__(self, work: Work) -> None:
        """Read the columns.

        Args:
            work: the unit.
        """
        self.keyed = KeyedRows()
        self.columns = columns_of(work)


class RowFacts:
    """A reader of what is known about the documents of a shard, some rows at a time, in order.

    What was read goes into digests, in blocks of ROWS whatever number is asked for. The first block
    is held, so that most shards are read once however often they are gone through.
    """

    def __init__(self, shard: Shard, work: Work, tables: UnitTables) -> None:
        """Read the first rows.

        Args:
            shard: one of the unit's.
            work: the unit.
            tables: of the unit.
        """
        self._shard, self._work, self._tables = shard, work, tables
        self._begin()
        self._first = self._held

    def _begin(self) -> None:
        self._documents = _Rows(self._shard, self._work, self._tables, DOCUMENTS, OF_DOCUMENTS)
        decided = ["row_key", *DECIDED]
        self._decisions = _Rows(self._shard, self._work, self._tables, DECISIONS, decided)
        self._all, self._places = (hashlib.blake2b(digest_size=16) for _ in range(2))
        self._blocks, self._ended = 0, False
        self._held = self._block()

    def rewind(self) -> None:
        """Go back to the first row."""
        if self._blocks > 1:
            self._begin()
        self._held = self._first

    def take(self, count: int) -> pa.Table:
        """Return the next rows, fewer when there are no more."""
        while self._held.num_rows < count and not self._ended:
            self._held = pa.concat_tables([self._held, self._block()])
        taken, self._held = self._held.slice(0, count), self._held.slice(count)
        return taken

    def _block(self) -> pa.Table:
        """Read the next rows, give them to the digests and return them."""
        rows, decided = self._documents.take(ROWS), self._decisions.take(ROWS)
        self._blocks += 1
        self._ended = rows.num_rows < ROWS
        keys = rows["row_key"].to_numpy()
        added = {
            "threshold": _thresholds(rows["measure"], self._work.config.near),
            **{name: decided[name] for name in DECIDED},
            **self._first_of(DOCUMENT_RISK, dict(zip(RISKS, RISKS, strict=True)), keys),
            **self._first_of(CONTAMINATED, ITEM_OF, keys),
            **self._first_of(HELD, HELD_OF, keys),
        }
        for name, column in added.items():
            rows = rows.append_column(name, column)
        found = _proved(rows)
        for name, column in zip(found.column_names, found.columns, strict=True):
            if column.null_count < found.num_rows:  # most are empty in most corpora
                self._all.update(name.encode())
                feed(self._all.update, column.combine_chunks())
        for name, value in (("action", "drop"), ("reason", "forgotten")):
            feed(self._places.update, pc.equal(found[name], value).combine_chunks())
        return found

    def digests(self) -> tuple[bytes, bytes]:
        """Return a digest of all that is known of the rows, and one of which file each is in.

        They are of all rows, those that were not asked for too.
        """
        while not self._ended:
            self._block()
        return self._all.digest(), self._places.digest()

    def rows(self) -> int:
        """Return how many documents the shard has."""
        return self._documents.rows()

    def _first_of(
        self, schema: pa.Schema, names: Mapping[str, str], keys: Uint64
    ) -> dict[str, pa.Array]:
        """Return columns of the first row of each document in a table, null where it has none.

        Args:
            schema: of the table.
            names: the column of the table for each name.
            keys: the documents.
        """
        kinds = {name: schema.field(column).type for name, column in names.items()}
        paths = self._work.paths(schema.metadata[b"table"].decode())
        none = {name: pa.nulls(len(keys), kind) for name, kind in kinds.items()}
        if not paths or not len(keys):
            return none
        columns = ["row_key", *names.values()]
        empty = pa.schema([schema.field(name) for name in columns], schema.metadata).empty_table()
        parts = self._tables.keyed.read(paths, schema, columns, int(keys[0]), int(keys[-1]))
        found = pa.concat_tables([empty, *parts])
        known, first = np.unique(found["row_key"].to_numpy(), return_index=True)
        if not known.size:
            return none
        place = np.minimum(np.searchsorted(known, keys), known.size - 1)
        take = pa.array(first[place], mask=known[place] != keys)
        return {name: found[column].combine_chunks().take(take) for name, column in names.items()}


def _proved(rows: pa.Table) -> pa.Table:
    """Return the rows with the proof of a removal only where a keeper stands for the row.

    Elsewhere the score is the risk that removed the row, if any.
    """
    stands = rows["keeper"].is_valid()
    for name in ("keeper_doc_id", "jaccard", "threshold", "score", "measure"):
        column = pc.if_else(stands, rows[name], pa.scalar(None, rows[name].type))
        if name == "score":
            column = pc.coalesce(column, rows["risk_after"])
        if name == "measure":
            risk = pc.if_else(rows["risk_after"].is_valid(), "risk", None)
            column = pc.coalesce(column, risk)
        rows = rows.set_column(rows.schema.get_field_index(name), name, column)
    return rows


class _Rows:
    """A reader of a shard's rows in a table of the run that is in order of row_key."""

    def __init__(
        self, shard: Shard, work: Work, tables: UnitTables, schema: pa.Schema, columns: list[str]
    ) -> None:
        low, high = key_range(shard.number)
        paths = work.paths(schema.metadata[b"table"].decode())
        self._parts = tables.keyed.read(paths, schema, columns, low, high)
        self._held = pa.schema([schema.field(name) for name in columns]).empty_table()
        self._given = 0

    def take(self, count: int) -> pa.Table:
        """Return the next `count` rows, fewer when there are no more."""
        while self._held.num_rows < count and (part := next(self._parts, None)) is not None:
            self._held = pa.concat_tables([self._held, part])
        taken, self._held = self._held.slice(0, count), self._held.slice(count)
        self._given += taken.num_rows
        return taken

    def rows(self) -> int:
        """Return how many rows of the shard the table has, read or not."""
        return int(self._given + self._held.num_rows + sum(p.num_rows for p in self._parts))


def _thresholds(measure: pa.ChunkedArray, near: NearConfig) -> pa.ChunkedArray:
    """Return the threshold of near copies, or of containment where that is the measure."""
    inside = pc.fill_null(pc.equal(measure, "containment"), fill_value=False)
    return pc.if_else(inside, near.containment, near.threshold)
