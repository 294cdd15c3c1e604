"""Read what is known and decided about the rows of a shard, in step with the rows themselves."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config.sections import NearConfig
from pipeline.corpus import Shard
from pipeline.engine.shards import key_range
from pipeline.engine.stage import Work
from pipeline.engine.tables import read_keys
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
DECIDED = ("action", "rule", "reason", "keeper", "risk_after", "sink_id", "weight")


class RowFacts:
    """A reader of what is known about the documents of a shard, some rows at a time, in order."""

    def __init__(self, shard: Shard, work: Work) -> None:
        self._work = work
        self._documents = _Rows(shard, work, DOCUMENTS, OF_DOCUMENTS)
        self._decisions = _Rows(shard, work, DECISIONS, ["row_key", *DECIDED])

    def take(self, count: int) -> pa.Table:
        """Return the next rows, fewer when there are no more."""
        rows, decided = self._documents.take(count), self._decisions.take(count)
        added = {
            "threshold": _thresholds(rows["measure"], self._work.config.near),
            **{name: decided[name] for name in DECIDED},
            **_risk_of(self._work, rows["row_key"].to_numpy()),
            **_first_of(self._work, CONTAMINATED, ITEM_OF, rows["row_key"].to_numpy()),
            **_first_of(self._work, HELD, HELD_OF, rows["row_key"].to_numpy()),
        }
        for name, column in added.items():
            rows = rows.append_column(name, column)
        return _proved(rows)

    def rows(self) -> int:
        """Return how many documents the shard has."""
        return self._documents.rows()


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

    def __init__(self, shard: Shard, work: Work, schema: pa.Schema, columns: list[str]) -> None:
        low, high = key_range(shard.number)
        paths = work.paths(schema.metadata[b"table"].decode())
        self._parts = read_keys(paths, schema, columns, low, high)
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


def _first_of(
    work: Work, schema: pa.Schema, names: Mapping[str, str], keys: np.ndarray
) -> dict[str, pa.Array]:
    """Return columns of the first row of each document in a table, null where it has none.

    Args:
        work: the unit of work.
        schema: of the table.
        names: the column of the table for each name.
        keys: the documents.
    """
    kinds = {name: schema.field(column).type for name, column in names.items()}
    paths = work.paths(schema.metadata[b"table"].decode())
    none = {name: pa.nulls(len(keys), kind) for name, kind in kinds.items()}
    if not paths or not len(keys):
        return none
    columns = ["row_key", *names.values()]
    empty = pa.schema([schema.field(name) for name in columns], schema.metadata).empty_table()
    parts = read_keys(paths, schema, columns, int(keys[0]), int(keys[-1]))
    found = pa.concat_tables([empty, *parts])
    known, first = np.unique(found["row_key"].to_numpy(), return_index=True)
    if not known.size:
        return none
    place = np.minimum(np.searchsorted(known, keys), known.size - 1)
    take = pa.array(first[place], mask=known[place] != keys)
    return {name: found[column].combine_chunks().take(take) for name, column in names.items()}


def _risk_of(work: Work, keys: np.ndarray) -> dict[str, pa.Array]:
    """Return the risk columns of the documents `keys`, null where nothing was scored."""
    paths = work.paths("document_risk")
    if not paths or not len(keys):
        return {name: pa.nulls(len(keys), pa.float64()) for name in RISKS}
    columns = ["row_key", *RISKS]
    parts = list(read_keys(paths, DOCUMENT_RISK, columns, int(keys[0]), int(keys[-1])))
    if not sum(part.num_rows for part in parts):
        return {name: pa.nulls(len(keys), pa.float64()) for name in RISKS}
    scored = pa.concat_tables(parts)
    found = scored["row_key"].to_numpy()
    place = np.minimum(np.searchsorted(found, keys), len(found) - 1)
    take = pa.array(place, mask=found[place] != keys)
    return {name: scored[name].combine_chunks().take(take) for name in RISKS}
