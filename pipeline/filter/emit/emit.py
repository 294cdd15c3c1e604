"""Write each row to kept/ or to removed/ with the reason: the second pass over the text.

This stage carries out decisions and makes none. Rows are unchanged, with two exceptions: what a
cutting rule takes out of their text goes to removed/spans, and of a forgotten row no value is
written.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.config.policy import CUT_SPANS
from pipeline.config.sections import Config
from pipeline.corpus import (
    DocumentBatch,
    Shard,
    read_documents,
    text_columns,
)
from pipeline.corpus.columns import check_column
from pipeline.corpus.files import reading
from pipeline.engine.forgotten import forgotten_texts
from pipeline.engine.progress import current
from pipeline.engine.shards import row_keys
from pipeline.engine.stage import FileRecord, Receipt, Work
from pipeline.engine.tables import ROW_GROUP, TableWriter, write_table
from pipeline.errors import InputError, IntegrityError, SchemaMismatch
from pipeline.filter.columns import as_written
from pipeline.filter.emit.edits import TextColumns, cut_batch, emptied, require_forgotten
from pipeline.filter.emit.footer import footer
from pipeline.filter.emit.hub_features import with_rote
from pipeline.filter.emit.json_shards import JsonWriter
from pipeline.filter.emit.renewal import Renewal
from pipeline.filter.emit.row_facts import RowFacts, UnitTables
from pipeline.filter.emit.standing import Written, last_files, made_of
from pipeline.filter.emit.struct_column import Added, kept_struct, removed_struct, text_changes
from pipeline.filter.mitigations.goldfish import tokenizer_digest
from pipeline.filter.rules.mask_personal import masks_personal
from pipeline.scan.signatures import text_hashes
from pipeline.text.segmentation import text_buffers
from schemas.filter.emitted import SPANS_CUT

VERSION = 11
BATCH_BYTES = 8 << 20  # of rows read at once
PART_BYTES = 2 << 20  # of texts in a row group at most, or one text
LEAST_GROUP = 128  # rows; files with smaller row groups are written with larger ones
SPANS = "removed/spans"
SCAN_AGAIN = "scan again: rote scan CORPUS... --out RUN --verify"


def settings(config: Config) -> list[Any]:
    """Return the settings that the files depend on; their footers have the digest of these."""
    mitigation = config.mitigation
    return [
        config.input.model_dump(exclude={"skip_bad_files", "most_rejected", "tokenizer"}),
        [config.near.threshold, config.near.containment],
        config.emit.model_dump(),
        [
            mitigation.sink_id,
            mitigation.weights,
            mitigation.goldfish_k,
            mitigation.goldfish_h,
        ],
        tokenizer_digest(config) if mitigation.goldfish_k else None,
        config.policy.cut if CUT_SPANS in config.policy.rules else None,
        masks_personal(config),
        "drop-risk" in config.policy.rules,
        [bool(config.decontaminate.files), config.decontaminate.action, bool(config.minus.run)],
    ]


def also_needs(config: Config) -> tuple[str, ...]:
    """Return the names of the stages whose files the mitigations need."""
    of_proxies = config.mitigation.goldfish_k > 0 and not config.mitigation.tokenizer
    return ("sequences",) if of_proxies else ()


def emit(work: Work) -> Receipt:
    """Write kept/ and removed/ for each shard of a group.

    A *map* stage. Of a shard of which nothing changed the files are those that are there, and where
    only numbers or decisions changed they are written anew from these.

    Raises:
        IntegrityError: When a shard has other rows than were scanned, or rows are lost.
        InputError: When a text is not the one that was scanned.
        SchemaMismatch: When a text column cannot be cut, or a folder's name is taken.
    """
    files: list[FileRecord] = []
    facts: list[dict[str, Any]] = []
    added, tables = Added(work), UnitTables(work)
    for shard in work.shards:
        records, counted = _written(shard, work, added, tables)
        files.extend(records)
        facts.append(counted)
        current().advance(len(facts), len(work.shards), shard.name)
    total = sum(entry["kept"] + entry["removed"] for entry in facts)
    return Receipt(tuple(files), total, total, {"shards": facts, **added.left_out})


def _written(shard: Shard, work: Work, added: Added, tables: UnitTables) -> Written:
    """Return the files of a shard as they must be now, and its facts."""
    facts = RowFacts(shard, work, tables)
    last = last_files(work, shard, facts, tables)
    if last is not None and last.stands:
        return last.records, last.facts
    facts.rewind()
    if last is not None and work.config.emit.format == "parquet":
        renewal = Renewal(work, added, cache(lambda: _layout(shard, work.config)))
        records, rows = renewal.written(facts, last)
        return records, last.facts | rows
    return _ShardWriter(shard, work, added, tables).written(facts)


@dataclass(frozen=True)
class _ShardRows:
    """Some rows of a shard.

    Attributes:
        columns: the user's columns.
        facts: what is known and decided, as `RowFacts` reads it.
        texts: the text of each row; None where nothing needs them, so that they are not copied.
    """

    columns: pa.RecordBatch
    facts: pa.Table
    texts: pa.Array | None

    def slice(self, first: int, size: int) -> _ShardRows:
        """Return some rows that lie side by side."""
        texts = None if self.texts is None else self.texts.slice(first, size)
        return _ShardRows(self.columns.slice(first, size), self.facts.slice(first, size), texts)

    def of(self, chosen: np.ndarray) -> _ShardRows:
        """Return the chosen rows."""
        if chosen.all():
            return self
        rows = pa.array(np.flatnonzero(chosen))
        texts = None if self.texts is None else self.texts.take(rows)
        return _ShardRows(self.columns.take(rows), self.facts.take(rows), texts)


class _ShardWriter:
    """A writer of the files of one shard."""

    def __init__(self, shard: Shard, work: Work, added: Added, tables: UnitTables) -> None:
        self._shard, self._work, self._added, self._tables = shard, work, added, tables
        self._schema = pa.ipc.read_schema(pa.py_buffer(tables.columns[shard.number]))
        check_column(self._schema, work.config.emit.column, shard.name)
        names = text_columns(shard, work.config.input)
        self._texts = TextColumns(names, work.config.input.text_separator.encode())
        changes = text_changes(work.config)
        self._cuts = bool(changes)
        if self._cuts:
            self._texts.require_plain(self._schema, shard.name, changes)
            _require_no_clash(work.names[shard.number], shard.name)
        self._forgotten = frozenset(forgotten_texts(work))
        masks = work.config.mitigation.goldfish_k > 0
        self._reads_texts = self._cuts or bool(self._forgotten) or masks

    def written(self, facts_of: RowFacts) -> Written:
        """Write the shard and return its files, how many rows were kept and removed, made of what.

        Args:
            facts_of: what is known of its rows.

        Raises:
            IntegrityError: When the shard has other rows than were scanned, or rows are lost.
        """
        with ExitStack() as stack:
            kept, removed = self._writers()
            stack.enter_context(kept)
            stack.enter_context(removed)
            spans = stack.enter_context(self._spans_writer()) if self._cuts else None
            parts: list[int] = []
            for batch in read_documents(
                self._shard,
                self._work.config.input,
                everything=True,
                schema=self._schema,
                batch_bytes=BATCH_BYTES,
            ):
                facts = facts_of.take(len(batch.rows))
                self._require_scanned(batch, facts)
                if batch.columns is not None and len(batch.rows):
                    texts = batch.texts if self._reads_texts else None
                    columns = as_written(batch.columns, self._schema)
                    for first, size in _parts(batch.texts):
                        part = _ShardRows(columns, facts, texts).slice(first, size)
                        self._split(part, kept, removed, spans)
                        parts.append(size)
        read = sum(parts)
        if not read == kept.rows + removed.rows == facts_of.rows():
            raise IntegrityError(
                "A shard has other rows than were scanned, or rows were lost.",
                where=self._shard.name,
                found=f"{read} read, {kept.rows + removed.rows} written",
                expected=str(facts_of.rows()),
                fix=SCAN_AGAIN,
            )
        records = [kept.record, removed.record, *([spans.record] if spans else [])]
        counted = {"number": self._shard.number, "kept": kept.rows, "removed": removed.rows}
        digests = made_of(self._shard, self._work, facts_of, self._tables)
        return records, {**counted, "parts": parts, **digests}

    def _writers(self) -> list[TableWriter | JsonWriter]:
        """Return the writers of kept/ and removed/; forgotten rows have no values in removed/."""
        config, name = self._work.config, self._work.names[self._shard.number]
        group = _rows_of_a_group(self._shard)
        nullable = self._schema
        if self._forgotten:
            nullable = pa.schema([f.with_nullable(True) for f in nullable], nullable.metadata)
        writers: list[TableWriter | JsonWriter] = []
        for table, columns, struct in (
            ("kept", self._schema, kept_struct(config)),
            ("removed", nullable, removed_struct(config)),
        ):
            schema = _with(columns, config, struct)
            if config.emit.format == "jsonl":
                writers.append(JsonWriter(self._work.folder, table, name, schema))
            else:
                texts = self._texts.columns
                writers.append(write_table(self._work.folder, table, name, schema, texts, group))
        return writers

    def _spans_writer(self) -> TableWriter:
        return write_table(
            self._work.folder, SPANS, self._work.names[self._shard.number], SPANS_CUT
        )

    def _require_scanned(self, batch: DocumentBatch, facts: pa.Table) -> None:
        """Refuse rows other than were scanned, and a text other than was counted.

        Sizes and times of files can lie. Hashing takes a second per gigabyte.
        """
        keys = row_keys(self._shard.number, batch.rows)
        if not np.array_equal(facts["row_key"].to_numpy(), keys):
            raise IntegrityError(
                "A shard's rows are not those that were scanned.",
                where=self._shard.name,
                fix=SCAN_AGAIN,
            )
        scanned = facts["text_hash"].combine_chunks().cast(pa.binary(16))
        same = pc.equal(scanned, text_hashes(batch.texts))
        if not pc.all(same, min_count=0).as_py():
            first = same.to_numpy(zero_copy_only=False).argmin()
            raise InputError(
                "A text is not the one that was scanned: its file changed.",
                where=f"{self._shard.name}, row {batch.rows[first]:,}",
                found="another hash of the text, though size and time may be the same",
                fix=SCAN_AGAIN,
            )

    def _split(
        self,
        part: _ShardRows,
        kept: TableWriter | JsonWriter,
        removed: TableWriter | JsonWriter,
        spans: TableWriter | None,
    ) -> None:
        """Write some rows to kept/ and removed/, and what is cut of them to removed/spans."""
        drop = np.asarray(part.facts["action"]) == "drop"
        if not drop.all():
            staying = part.of(~drop)
            if self._forgotten and staying.texts is not None:
                require_forgotten(staying.texts, self._forgotten, self._shard.name)
            if spans is not None:
                staying = self._without_cuts(staying, spans)
            self._write(kept, staying.columns, self._added.to_kept(staying.facts, staying.texts))
        if drop.any():
            going = part.of(drop)
            columns = going.columns
            if self._forgotten:
                forgotten = np.asarray(going.facts["reason"]) == "forgotten"
                columns = emptied(columns, forgotten, pa.schema(list(removed.schema)[:-1]))
            self._write(removed, columns, self._added.to_removed(going.facts))

    def _without_cuts(self, part: _ShardRows, spans: TableWriter) -> _ShardRows:
        """Return the rows without what is cut out of their texts, which is written to `spans`."""
        places = np.flatnonzero(np.asarray(part.facts["action"]) == "cut")
        if not places.size or part.texts is None:
            return part
        keys = part.facts["row_key"].to_numpy()
        by_key = self._added.ranges(keys[places])
        ranges = {place: by_key[int(keys[place])] for place in places.tolist()}
        columns, cut, joined = cut_batch(part.columns, self._texts, keys, ranges)
        spans.write(cut)
        texts = part.texts.to_pylist()
        for place, text in joined.items():
            texts[place] = text.decode()
        return _ShardRows(columns, part.facts, pa.array(texts, pa.large_string()))

    def _write(
        self, out: TableWriter | JsonWriter, columns: pa.RecordBatch, struct: pa.StructArray
    ) -> None:
        out.write(pa.RecordBatch.from_arrays([*columns.columns, struct], schema=out.schema))


def _parts(texts: pa.LargeStringArray) -> Iterator[tuple[int, int]]:
    """Yield the first row and the number of rows of each part of a batch.

    A part ends where its texts and the next one would be larger than PART_BYTES.
    """
    ends = text_buffers(texts)[0]
    first = 0
    while first < len(texts):
        room = int(np.searchsorted(ends, ends[first] + PART_BYTES, side="right")) - 1
        size = max(1, room - first)
        yield first, size
        first += size


def _require_no_clash(name: str, where: str) -> None:
    """Refuse a shard whose removed rows would be written where the cuts of another one are.

    Raises:
        SchemaMismatch: When it is in a folder `spans` of the corpus.
    """
    if name.startswith("spans/"):
        raise SchemaMismatch(
            "A rule that changes texts needs the folder removed/spans for itself.",
            where=where,
            found="a shard in a folder `spans` of the corpus",
            fix="rename that folder; cut-spans can list passages instead: --set policy.cut=mask",
        )


def _layout(shard: Shard, config: Config) -> tuple[int, tuple[str, ...]]:
    """Return the most rows of a row group, and the columns of texts."""
    return _rows_of_a_group(shard), text_columns(shard, config.input)


def _rows_of_a_group(shard: Shard) -> int:
    """Return the most rows of a row group: as many as in the shard's largest one, within limits."""
    if shard.format != "parquet":
        return ROW_GROUP
    with reading(shard.path):
        facts = pq.read_metadata(shard.path)
    most = max((facts.row_group(k).num_rows for k in range(facts.num_row_groups)), default=0)
    return min(ROW_GROUP, max(LEAST_GROUP, most))


def _with(columns: pa.Schema, config: Config, struct: pa.DataType) -> pa.Schema:
    """Return the user's columns with the struct column as the last one, and the footer."""
    name = config.emit.column
    metadata = with_rote(columns.metadata, name, struct) | footer(settings(config))
    return columns.append(pa.field(name, struct, nullable=False)).with_metadata(metadata)
