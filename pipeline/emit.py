"""The second pass over the text: each row to kept/ or removed/ with a reason.

It carries decisions out and makes none. Rows are unchanged but for what a cutting rule took out of
their text, which goes to removed/spans, and for what is forgotten, of which nothing is written.
"""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.added import Added, kept_struct, removed_struct
from pipeline.config import Config, NearConfig
from pipeline.corpus import (
    DocumentBatch,
    Shard,
    read_documents,
    shard_schema,
    text_columns,
)
from pipeline.edits import Texts, cut_batch, emptied, require_forgotten
from pipeline.errors import IntegrityError, SchemaMismatch
from pipeline.json_shards import JsonWriter
from pipeline.mitigations.goldfish import tokenizer_digest
from pipeline.policy import MASKS
from pipeline.progress import current
from pipeline.rules import CUT_SPANS
from pipeline.signatures import ROW_BITS, row_keys
from pipeline.stage import FileRecord, Receipt, Work
from pipeline.store import ROW_GROUP, TableWriter, read_keys, write_table
from schemas.decisions import DECISIONS
from schemas.documents import DOCUMENTS
from schemas.emitted import KEPT_STRUCT, SPANS_CUT
from schemas.risk import DOCUMENT_RISK

VERSION = 3
BATCH_BYTES = 8 << 20  # of rows read, and written as a row group, at once
SUFFIXES = (".gz", ".zst")
LEAST_GROUP = 128  # rows: a habit of smaller row groups is not kept
PROOF = ("jaccard", "score", "measure")
DECIDED = ("action", "rule", "reason", "keeper", "risk_after", "sink_id", "weight")
SPANS = "removed/spans"
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


def settings(config: Config) -> list[Any]:
    """Return what of the configuration the files depend on, apart from the decisions."""
    own = config.mitigation
    return [
        config.emit.model_dump(),
        [own.sink_id, own.weights, own.goldfish_k, own.goldfish_h],
        tokenizer_digest(config) if own.goldfish_k else None,
        config.policy.cut if CUT_SPANS in config.policy.rules else None,
        "drop-risk" in config.policy.rules,
    ]


def also_needs(config: Config) -> tuple[str, ...]:
    """Return the stages whose files the mitigations need."""
    asks = config.mitigation.goldfish_k > 0 and not config.mitigation.tokenizer
    return ("sequences",) if asks else ()


def emit(work: Work) -> Receipt:
    """Map: write kept/ and removed/ of each shard of the group."""
    files: list[FileRecord] = []
    facts: list[dict[str, int]] = []
    added = Added(work)
    for shard in work.shards:
        records, counted = _Shard(shard, work, added).written()
        files.extend(records)
        facts.append({"number": shard.number, **counted})
        current().advance(len(facts), len(work.shards), shard.name)
    total = sum(entry["kept"] + entry["removed"] for entry in facts)
    return Receipt(tuple(files), total, total, {"shards": facts})


@dataclass(frozen=True)
class _Part:
    """Some rows of a shard: the user's columns, their texts, and what is known and decided."""

    columns: pa.RecordBatch
    texts: pa.Array
    facts: pa.Table

    def of(self, chosen: np.ndarray) -> _Part:
        """Return the chosen rows."""
        if chosen.all():
            return self
        rows = pa.array(np.flatnonzero(chosen))
        return _Part(self.columns.take(rows), self.texts.take(rows), self.facts.take(rows))


class _Shard:
    """Writes the files of one shard."""

    def __init__(self, shard: Shard, work: Work, added: Added) -> None:
        self._shard, self._work, self._added = shard, work, added
        self._schema = shard_schema(shard, work.config.input)
        check_column(self._schema, work.config.emit.column, shard.name)
        names = text_columns(shard, work.config.input, self._schema)
        self._texts = Texts(names, work.config.input.text_separator.encode())
        cutting = CUT_SPANS in work.config.policy.rules
        self._cuts = cutting and work.config.policy.cut != MASKS
        if self._cuts:
            self._texts.require_plain(self._schema, shard.name)
        self._forgotten = frozenset(bytes.fromhex(text) for text, _ in work.forgotten)

    def written(self) -> tuple[list[FileRecord], dict[str, int]]:
        """Write the shard; return the files, and how many rows are in them."""
        facts_of = _Facts(self._shard, self._work)
        with ExitStack() as stack:
            kept, removed = self._writers()
            stack.enter_context(kept)
            stack.enter_context(removed)
            spans = stack.enter_context(self._spans_writer()) if self._cuts else None
            at = 0
            for batch in read_documents(
                self._shard,
                self._work.config.input,
                everything=True,
                schema=self._schema,
                batch_bytes=BATCH_BYTES,
            ):
                facts = facts_of.take(len(batch.rows))
                at += len(batch.rows)
                self._require_scanned(batch, facts)
                if batch.columns is not None and len(batch.rows):
                    self._split(_Part(batch.columns, batch.texts, facts), kept, removed, spans)
        if not at == kept.rows + removed.rows == facts_of.rows():
            raise IntegrityError(
                "A shard has other rows than were scanned, or rows were lost.",
                where=self._shard.name,
                found=f"{at} read, {kept.rows + removed.rows} written",
                expected=str(facts_of.rows()),
                fix="scan again: rote scan",
            )
        records = [kept.record, removed.record, *([spans.record] if spans else [])]
        return records, {"kept": kept.rows, "removed": removed.rows}

    def _writers(self) -> list[TableWriter | JsonWriter]:
        """Return the writers of kept/ and removed/; in the latter no column has to have a value."""
        config, name = self._work.config, self._work.names[self._shard.number]
        column, group = config.emit.column, _rows_of_a_group(self._shard)
        loose = self._schema
        if self._forgotten:
            loose = pa.schema([f.with_nullable(True) for f in loose], loose.metadata)
        made: list[TableWriter | JsonWriter] = []
        for table, own, struct in (
            ("kept", self._schema, kept_struct(config)),
            ("removed", loose, removed_struct(config)),
        ):
            schema = _with(own, column, struct)
            if config.emit.format == "jsonl":
                made.append(JsonWriter(self._work.folder, table, name, schema))
            else:
                texts = self._texts.columns
                made.append(write_table(self._work.folder, table, name, schema, texts, group))
        return made

    def _spans_writer(self) -> TableWriter:
        return write_table(
            self._work.folder, SPANS, self._work.names[self._shard.number], SPANS_CUT
        )

    def _require_scanned(self, batch: DocumentBatch, facts: pa.Table) -> None:
        keys = row_keys(self._shard.number, batch.rows)
        if not np.array_equal(facts["row_key"].to_numpy(), keys):
            raise IntegrityError(
                "A shard's rows are not those that were scanned.",
                where=self._shard.name,
                fix="scan again: rote scan",
            )

    def _split(
        self,
        part: _Part,
        kept: TableWriter | JsonWriter,
        removed: TableWriter | JsonWriter,
        spans: TableWriter | None,
    ) -> None:
        drop = np.asarray(part.facts["action"]) == "drop"
        if not drop.all():
            own = part.of(~drop)
            if self._forgotten:
                require_forgotten(own.texts, self._forgotten, self._shard.name)
            if spans is not None:
                own = self._without_cuts(own, spans)
            self._write(kept, own.columns, self._added.to_kept(own.facts, own.texts))
        if drop.any():
            own = part.of(drop)
            columns = own.columns
            if self._forgotten:
                gone = np.asarray(own.facts["reason"]) == "forgotten"
                columns = emptied(columns, gone, pa.schema(list(removed.schema)[:-1]))
            self._write(removed, columns, self._added.to_removed(own.facts))

    def _without_cuts(self, part: _Part, spans: TableWriter) -> _Part:
        """Return the rows without what is cut out of their texts, which is written to `spans`."""
        places = np.flatnonzero(np.asarray(part.facts["action"]) == "cut")
        if not places.size:
            return part
        keys = part.facts["row_key"].to_numpy()
        ranges = self._added.ranges(keys[places])
        own = {place: ranges[int(keys[place])] for place in places.tolist()}
        columns, cut, joined = cut_batch(part.columns, self._texts, keys, own)
        spans.write(cut)
        texts = part.texts.to_pylist()
        for place, text in joined.items():
            texts[place] = text.decode()
        return _Part(columns, pa.array(texts, pa.large_string()), part.facts)

    def _write(
        self, out: TableWriter | JsonWriter, columns: pa.RecordBatch, struct: pa.StructArray
    ) -> None:
        out.write(pa.RecordBatch.from_arrays([*columns.columns, struct], schema=out.schema))


def _rows_of_a_group(shard: Shard) -> int:
    """Return the rows of a row group at most: as many as in the shard itself, within reason."""
    if shard.format != "parquet":
        return ROW_GROUP
    facts = pq.read_metadata(shard.path)
    most = max((facts.row_group(k).num_rows for k in range(facts.num_row_groups)), default=0)
    return min(ROW_GROUP, max(LEAST_GROUP, most))


def _with(columns: pa.Schema, name: str, struct: pa.DataType) -> pa.Schema:
    metadata = {
        key: value for key, value in (columns.metadata or {}).items() if key != DROPPED_METADATA
    }
    return columns.append(pa.field(name, struct, nullable=False)).with_metadata(metadata)


class _Facts:
    """Gives what is known about the documents of a shard, in order of row, some rows at a time."""

    def __init__(self, shard: Shard, work: Work) -> None:
        self._work = work
        unknown = {"counted_in", "risk", "risk_low", "risk_high"}
        counts = [field.name for field in KEPT_STRUCT if field.name not in unknown]
        self._documents = _Rows(shard, work, DOCUMENTS, [*counts, "keeper_doc_id", *PROOF])
        self._decisions = _Rows(shard, work, DECISIONS, ["row_key", *DECIDED])

    def take(self, count: int) -> pa.Table:
        """Return the next rows, fewer when there are no more."""
        rows, decided = self._documents.take(count), self._decisions.take(count)
        added = {
            "counted_in": pa.array(np.full(rows.num_rows, self._work.scan, np.int32)),
            "threshold": _thresholds(rows["measure"], self._work.config.near),
            **{name: decided[name] for name in DECIDED},
            **_risk_of(self._work, rows["row_key"].to_numpy()),
        }
        for name, column in added.items():
            rows = rows.append_column(name, column)
        return _proved(rows)

    def rows(self) -> int:
        """Return the documents of the shard."""
        return self._documents.rows()


def _proved(rows: pa.Table) -> pa.Table:
    """Return the rows with a proof only where a keeper stands for them; else a risk, if any."""
    stands = rows["keeper"].is_valid()
    for name in ("keeper_doc_id", "jaccard", "threshold", "score", "measure"):
        column = pc.if_else(stands, rows[name], pa.scalar(None, rows[name].type))
        if name == "score":
            column = pc.coalesce(column, rows["risk_after"])
        if name == "measure":
            own = pc.if_else(rows["risk_after"].is_valid(), "risk", None)
            column = pc.coalesce(column, own)
        rows = rows.set_column(rows.schema.get_field_index(name), name, column)
    return rows


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
