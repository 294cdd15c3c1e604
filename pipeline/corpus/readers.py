"""Reading a shard: its columns, a check before any stage, and its documents batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.config.sections import InputConfig
from pipeline.corpus.columnar import (
    ipc_batches,
    ipc_schema,
    parquet_batches,
    parquet_batches_with,
    parquet_schema,
)
from pipeline.corpus.columns import SAMPLED, Columns, resolve_columns
from pipeline.corpus.delimited import check_priority, csv_records, csv_schema
from pipeline.corpus.dialect import dialect_of
from pipeline.corpus.documents import DocumentBatch, Records, from_columns, to_documents
from pipeline.corpus.fields import INSIDE, top_of
from pipeline.corpus.files import reading
from pipeline.corpus.json_lines import head_schema, json_records, whole_kinds, whole_schema
from pipeline.corpus.json_schema import Kinds
from pipeline.corpus.lance_table import lance_batches, lance_schema
from pipeline.corpus.plain import SCHEMA, text_record, text_records
from pipeline.corpus.shards import Shard
from pipeline.corpus.token_ids import SCHEMA as OF_TOKENS
from pipeline.corpus.token_ids import token_file, token_records
from pipeline.text.arrays import Int64

BATCH_BYTES = 32 << 20
SAMPLE_BYTES = 1 << 16  # read at a time, where only the first values are looked at


def check_shard(shard: Shard, config: InputConfig) -> pa.Schema:
    """Return the columns of a shard, after a check that it can be opened and read as configured.

    No more than the footer or the first rows is read; JSON Lines that lack an asked-for column in
    their first rows are read whole.

    Raises:
        CorruptFile: When the file cannot be read.
        SchemaMismatch: When its columns are not as configured.
    """
    schema = _schema(shard, config)
    columns = shard_columns(shard, config, schema)
    if shard.format == "csv":
        check_priority(shard.path, dialect_of(shard.path, config), schema, columns)
    if shard.format == "text":
        with reading(shard.path), Path(shard.path).open("rb") as stream:
            stream.read(1)
    if shard.format == "tokens":
        token_file(shard.path, config)
    return schema


def shard_schema(shard: Shard, config: InputConfig) -> pa.Schema:
    """Return the user's columns; for JSON Lines the union over the file, which takes a pass."""
    if shard.format == "jsonl":
        return whole_schema(shard.path, shard_columns(shard, config).text)
    return _schema(shard, config)


def shard_kinds(shard: Shard, config: InputConfig) -> dict[str, Kinds]:
    """Return what each field of a JSON Lines shard holds, which takes a pass."""
    return whole_kinds(shard.path, shard_columns(shard, config).text)


def text_columns(shard: Shard, config: InputConfig) -> tuple[str, ...]:
    """Return the names of the columns that hold the text of a shard."""
    return shard_columns(shard, config).text


def read_documents(
    shard: Shard,
    config: InputConfig,
    *,
    everything: bool = False,
    schema: pa.Schema | None = None,
    batch_bytes: int = BATCH_BYTES,
    wanted: Int64 | None = None,
) -> Iterator[DocumentBatch]:
    """Yield the documents and the rejected rows of a shard, in row order, batch by batch.

    Rows, their numbers and values do not depend on batch_bytes. A shard without rows yields
    nothing.

    Args:
        shard: the file.
        config: says how columns are read.
        everything: also give the user's columns.
        schema: for JSON Lines the result of `shard_schema`, to save its pass.
        batch_bytes: about how much is decoded at a time.
        wanted: numbers of rows, ascending; row groups of Parquet without one are passed over.

    Raises:
        CorruptFile: When the file is damaged, also midway.
        SchemaMismatch: When its columns are not as configured.
    """
    columns = shard_columns(shard, config)
    if wanted is not None and shard.format == "parquet":
        found = _of_rows(shard, config, columns, batch_bytes, wanted)
    else:
        found = _records(shard, config, columns, schema, batch_bytes, everything=everything)
    for records in found:
        yield to_documents(records, columns, shard.name)


def _schema(shard: Shard, config: InputConfig) -> pa.Schema:
    """Return the columns of a shard, from its head or footer."""
    if shard.format == "jsonl":
        named = [*config.text, config.id, config.source, config.priority]
        return head_schema(shard.path, [name for name in named if name is not None])
    if shard.format == "text":
        return SCHEMA
    if shard.format == "tokens":
        return OF_TOKENS
    if shard.format == "csv":
        return csv_schema(shard.path, dialect_of(shard.path, config))
    schemas = {"parquet": parquet_schema, "arrow": ipc_schema, "lance": lance_schema}
    return schemas[shard.format](shard.path)


def shard_columns(shard: Shard, config: InputConfig, schema: pa.Schema | None = None) -> Columns:
    """Return the columns of a shard that are read as text, id, source and priority.

    Args:
        shard: the file.
        config: the columns that the user named.
        schema: of the shard, where it is known.

    Raises:
        SchemaMismatch: When its columns are not as configured, or none is clearly the text.
    """
    schema = _schema(shard, config) if schema is None else schema
    if shard.format in ("jsonl", "csv") and not schema.names:
        return Columns(config.text or ("text",), config.id, config.source, config.priority, ())

    def sample(name: str) -> list[bytes | None]:
        return _first_texts(shard, config, name)

    return resolve_columns(schema, config, shard.path, shard.format, sample)


def _first_texts(shard: Shard, config: InputConfig, name: str) -> list[bytes | None]:
    """Return the first texts that a column would give, of at most `SAMPLED` rows."""
    columns = Columns((name,), None, None, None, ())
    found: list[bytes | None] = []
    for records in _records(shard, config, columns, None, SAMPLE_BYTES, everything=False):
        found += records.texts[: SAMPLED - len(found)].to_pylist()
        if len(found) >= SAMPLED:
            break
    return found


def _records(
    shard: Shard,
    config: InputConfig,
    columns: Columns,
    schema: pa.Schema | None,
    batch_bytes: int,
    *,
    everything: bool,
) -> Iterator[Records]:
    """Yield the records of a shard of any format."""
    if shard.format == "jsonl":
        if everything and schema is None:
            schema = whole_schema(shard.path, columns.text)
        return json_records(
            shard.path, columns, config, schema if everything else None, batch_bytes
        )
    if shard.format == "csv":
        dialect = dialect_of(shard.path, config)
        return csv_records(
            shard.path,
            dialect,
            columns,
            batch_bytes,
            separator=config.text_separator,
            everything=everything,
        )
    if shard.format in ("text", "tokens"):
        found = _plain(shard, config, batch_bytes)
        return found if everything else (replace(one, columns=None) for one in found)
    return _columnar(shard, config, columns, batch_bytes, everything=everything)


def _plain(shard: Shard, config: InputConfig, batch_bytes: int) -> Iterator[Records]:
    """Yield the records of a shard without columns of the user's."""
    if shard.format == "tokens":
        return token_records(shard.path, shard.name, config, batch_bytes)
    if config.text_rows == "file":
        return iter([text_record(shard.path, shard.name)])
    return text_records(shard.path, shard.name, config.text_rows, batch_bytes)


def _of_rows(
    shard: Shard, config: InputConfig, columns: Columns, batch_bytes: int, wanted: Int64
) -> Iterator[Records]:
    """Yield the records of the row groups of a Parquet shard that hold wanted rows."""
    names = _tops(shard, config, columns)
    for row, batch in parquet_batches_with(shard.path, names, batch_bytes, wanted):
        rows = np.arange(row, row + batch.num_rows, dtype=np.int64)
        yield from_columns(batch, columns, rows, config.text_separator)


def _tops(shard: Shard, config: InputConfig, columns: Columns) -> list[str]:
    """Return the columns to read of a Parquet or Arrow shard."""
    roles = (columns.id, columns.source, columns.priority)
    names = [*columns.text, *(name for name in roles if name is not None)]
    if any(INSIDE in name for name in names):
        known = _schema(shard, config).names
        names = [top_of(name, known) for name in names]
    return list(dict.fromkeys(names))


def _columnar(
    shard: Shard, config: InputConfig, columns: Columns, batch_bytes: int, *, everything: bool
) -> Iterator[Records]:
    """Yield the records of a Parquet or Arrow shard."""
    readers = {"parquet": parquet_batches, "arrow": ipc_batches, "lance": lance_batches}
    read = readers[shard.format]
    row = 0
    names = None if everything else _tops(shard, config, columns)
    for batch in read(shard.path, names, batch_bytes):
        rows = np.arange(row, row + batch.num_rows, dtype=np.int64)
        row += batch.num_rows
        records = from_columns(batch, columns, rows, config.text_separator)
        yield replace(records, columns=batch) if everything else records
