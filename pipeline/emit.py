"""The second pass over the text: each row to kept/ or removed/, unchanged, with a reason."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from pathlib import PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config import NearConfig
from pipeline.corpus import (
    DocumentBatch,
    Shard,
    read_documents,
    shard_schema,
    text_columns,
)
from pipeline.errors import IntegrityError, SchemaMismatch
from pipeline.progress import current
from pipeline.signatures import ROW_BITS, row_keys
from pipeline.stage import FileRecord, Receipt, Work
from pipeline.store import TableWriter, read_keys, write_table
from schemas.decisions import DECISIONS
from schemas.documents import DOCUMENTS
from schemas.emitted import KEPT_STRUCT, REMOVED_STRUCT
from schemas.risk import DOCUMENT_RISK

VERSION = 2
BATCH_BYTES = 8 << 20  # of rows read, and written as a row group, at once
SUFFIXES = (".gz", ".zst")
PROOF = ("jaccard", "score", "measure")
# describes the columns of the file as it was; wrong once a column is added, and its reader then
# fails
DROPPED_METADATA = b"huggingface"


def output_names(shards: list[Shard]) -> dict[int, str]:
    """Return the file of each shard below kept/, without .parquet: its own path less the suffix.

    All of it on a clash. A full name may clash with another's short one (x.jsonl, x.csv and
    x.jsonl.parquet), so this goes on until none does.
    """
    names = {shard.number: _without_suffix(shard.name) for shard in shards}
    while len(set(names.values())) < len(names):
        taken = Counter(names.values())
        clashing = [shard for shard in shards if taken[names[shard.number]] > 1]
        names.update({shard.number: shard.name for shard in clashing})
    return names


def _without_suffix(name: str) -> str:
    path = PurePosixPath(name)
    if path.suffix in SUFFIXES:
        path = path.with_suffix("")
    return path.with_suffix("").as_posix()


def check_column(schema: pa.Schema, column: str, where: str) -> None:
    """Refuse a corpus whose own columns have the name of the one that is added."""
    same = [name for name in schema.names if name.casefold() == column.casefold()]
    if same:  # SQL engines do not tell them apart by case
        raise SchemaMismatch(
            "The corpus has a column of the name that rote adds.",
            where=where,
            found=f"column {same[0]}",
            fix="name another one: --set emit.column=NAME",
        )


def emit(work: Work) -> Receipt:
    """Map: write kept/ and removed/ of each shard of the group."""
    files: list[FileRecord] = []
    facts: list[dict[str, int]] = []
    for shard in work.shards:
        records, kept, removed = _emit_shard(shard, work)
        files.extend(records)
        facts.append({"number": shard.number, "kept": kept, "removed": removed})
        current().advance(len(facts), len(work.shards), shard.name)
    total = sum(entry["kept"] + entry["removed"] for entry in facts)
    return Receipt(tuple(files), total, total, {"shards": facts})


def _emit_shard(shard: Shard, work: Work) -> tuple[list[FileRecord], int, int]:
    facts_of = _Facts(shard, work)
    columns = shard_schema(shard, work.config.input)
    check_column(columns, work.config.emit.column, shard.name)
    name, field = work.names[shard.number], work.config.emit.column
    texts = text_columns(shard, work.config.input, columns)
    with ExitStack() as stack:
        kept, removed = (
            stack.enter_context(
                write_table(work.folder, table, name, _with(columns, field, struct), texts)
            )
            for table, struct in (("kept", KEPT_STRUCT), ("removed", REMOVED_STRUCT))
        )
        at = 0
        for batch in read_documents(
            shard, work.config.input, everything=True, schema=columns, batch_bytes=BATCH_BYTES
        ):
            facts = facts_of.take(len(batch.rows))
            at += len(batch.rows)
            if not np.array_equal(facts["row_key"].to_numpy(), row_keys(shard.number, batch.rows)):
                raise IntegrityError(
                    "A shard's rows are not those that were scanned.",
                    where=shard.name,
                    fix="scan again: rote scan",
                )
            _split(batch, facts, kept, removed)
    if not at == kept.rows + removed.rows == facts_of.rows():
        raise IntegrityError(
            "A shard has other rows than were scanned, or rows were lost.",
            where=shard.name,
            found=f"{at} read, {kept.rows + removed.rows} written",
            expected=str(facts_of.rows()),
            fix="scan again: rote scan",
        )
    return [kept.record, removed.record], kept.rows, removed.rows


def _with(columns: pa.Schema, name: str, struct: pa.DataType) -> pa.Schema:
    metadata = {
        key: value for key, value in (columns.metadata or {}).items() if key != DROPPED_METADATA
    }
    return columns.append(pa.field(name, struct, nullable=False)).with_metadata(metadata)


def _split(batch: DocumentBatch, facts: pa.Table, kept: TableWriter, removed: TableWriter) -> None:
    drop = np.asarray(facts["action"]) == "drop"
    for out, chosen, struct in ((kept, ~drop, KEPT_STRUCT), (removed, drop, REMOVED_STRUCT)):
        if batch.columns is None or not chosen.any():
            continue
        own, values = batch.columns, facts
        if not chosen.all():
            rows = pa.array(np.flatnonzero(chosen))
            own, values = own.take(rows), values.take(rows)
        added = pa.StructArray.from_arrays(
            [_column(values[field.name], field.type) for field in struct], fields=list(struct)
        )
        out.write(pa.RecordBatch.from_arrays([*own.columns, added], schema=out.schema))


def _column(values: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    joined = values.combine_chunks()
    array = joined if isinstance(joined, pa.Array) else pa.concat_arrays(joined.chunks)
    return array.cast(kind)


class _Facts:
    """Gives what is known about the documents of a shard, in order of row, some rows at a time."""

    def __init__(self, shard: Shard, work: Work) -> None:
        self._work = work
        unknown = {"counted_in", "risk", "risk_low", "risk_high"}
        counts = [field.name for field in KEPT_STRUCT if field.name not in unknown]
        decided = ["row_key", "action", "rule", "reason", "keeper"]
        self._documents = _Rows(shard, work, DOCUMENTS, [*counts, "keeper_doc_id", *PROOF])
        self._decisions = _Rows(shard, work, DECISIONS, decided)

    def take(self, count: int) -> pa.Table:
        """Return the next rows, fewer when there are no more."""
        rows, decided = self._documents.take(count), self._decisions.take(count)
        added = {
            "counted_in": pa.array(np.full(rows.num_rows, self._work.scan, np.int32)),
            "threshold": _thresholds(rows["measure"], self._work.config.near),
            **{name: decided[name] for name in ("action", "rule", "reason", "keeper")},
            **_risk_of(self._work, rows["row_key"].to_numpy()),
        }
        for name, column in added.items():
            rows = rows.append_column(name, column)
        return rows

    def rows(self) -> int:
        """Return the documents of the shard."""
        return self._documents.rows()


class _Rows:
    """Gives a shard's rows of a table of the run, which is in order of row_key."""

    def __init__(self, shard: Shard, work: Work, schema: pa.Schema, columns: list[str]) -> None:
        low, high = row_keys(shard.number, np.array([0, 2**ROW_BITS - 1])).tolist()
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
        """Return the rows of the shard, those not given yet with them."""
        return int(self._given + self._held.num_rows + sum(p.num_rows for p in self._parts))


def _thresholds(measure: pa.ChunkedArray, near: NearConfig) -> pa.ChunkedArray:
    """Return the threshold that each row is held against."""
    inside = pc.fill_null(pc.equal(measure, "containment"), fill_value=False)
    return pc.if_else(inside, near.containment, near.threshold)


def _risk_of(work: Work, keys: np.ndarray) -> dict[str, pa.Array]:
    """Return the risk columns of the documents `keys`, null where nothing was scored."""
    names = ("risk", "risk_low", "risk_high")
    paths = work.paths("document_risk")
    if not paths or not len(keys):
        return {name: pa.nulls(len(keys), pa.float64()) for name in names}
    columns = ["row_key", *names]
    parts = list(read_keys(paths, DOCUMENT_RISK, columns, int(keys[0]), int(keys[-1])))
    if not sum(part.num_rows for part in parts):
        return {name: pa.nulls(len(keys), pa.float64()) for name in names}
    scored = pa.concat_tables(parts)
    found = scored["row_key"].to_numpy()
    place = np.minimum(np.searchsorted(found, keys), len(found) - 1)
    take = pa.array(place, mask=found[place] != keys)
    return {name: scored[name].combine_chunks().take(take) for name in names}
