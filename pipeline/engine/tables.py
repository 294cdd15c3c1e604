"""Tables of a run folder as Parquet files: written whole, read with their checksums verified."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.corpus.casts import in_type
from pipeline.engine.files import PendingFile, damaged_file
from pipeline.errors import IntegrityError

ROW_GROUP = 65_536
ROWS_OF_SHARDS = 8_192
"""Rows of a group of a table that is read shard by shard, each time in whole groups."""
Row: TypeAlias = dict[str, Any]  # one row of a table, or one part of the report, by name


def conform(data: pa.Table | pa.RecordBatch, schema: pa.Schema) -> pa.Table:
    """Return the columns of `schema`, in its order, with its types, nullability and metadata.

    DuckDB and Polars drop field metadata and nullability, so this runs at each boundary.

    Raises:
        IntegrityError: for a missing column, a lossy cast, or a null where none may be.
    """
    table = pa.Table.from_batches([data]) if isinstance(data, pa.RecordBatch) else data
    if table.schema.equals(schema, check_metadata=True) and all(field.nullable for field in schema):
        return table
    where = (schema.metadata or {}).get(b"table", b"?").decode()
    try:
        columns = [_cast(table[field.name], field.type) for field in schema]
        table = pa.Table.from_arrays(columns, schema=schema)
    except (KeyError, ValueError, NotImplementedError) as error:  # Arrow's own are among these
        raise IntegrityError(
            "A table does not have its schema.", where=where, found=str(error)[:300]
        ) from error
    for field, column in zip(schema, table.columns, strict=True):
        if not field.nullable and column.null_count:
            raise IntegrityError(
                "A column has nulls.", where=f"{where}.{field.name}", found=f"{column.null_count}"
            )
    return table


def _cast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    return pa.chunked_array([in_type(chunk, kind) for chunk in column.chunks], kind)


class TableWriter(PendingFile):
    """Writes one Parquet file of a table whole or not at all; use as a context manager."""

    def __init__(
        self,
        folder: Path,
        table: str,
        name: str,
        schema: pa.Schema,
        varied: Collection[str] = (),
        group: int = ROW_GROUP,
    ) -> None:
        super().__init__(folder, table, f"{table}/{name}.parquet")
        self.schema = schema
        self._group = group
        self._writer = parquet_writer(self._temporary, schema, schema, varied)

    def write(self, data: pa.Table | pa.RecordBatch) -> None:
        """Append rows, conformed to the schema."""
        table = conform(data, self.schema)
        self._writer.write_table(table, row_group_size=self._group)
        self.rows += table.num_rows

    def _close(self) -> None:
        self._writer.close()

    def _check(self) -> None:
        check_rows(self._temporary, self.path, self.rows)


def check_rows(file: Path, name: str, rows: int) -> None:
    """Refuse a written file of other rows.

    Raises:
        IntegrityError: It has not that many.
    """
    found = pq.read_metadata(file).num_rows
    if found != rows:
        raise IntegrityError(
            "A written file reads back short.", where=name, found=str(found), expected=str(rows)
        )


def parquet_writer(
    sink: Path | pa.NativeFile,
    columns: pa.Schema,
    schema: pa.Schema,
    varied: Collection[str] = (),
) -> pq.ParquetWriter:
    """Return the writer of a file of some columns of a table, as all of them are written.

    Pages carry checksums, so a flipped bit in our own tables is found when they are read.

    Args:
        sink: where to write.
        columns: those to write.
        schema: of the table.
        varied: string columns for which a dictionary of values is not worth trying.
    """
    return pq.ParquetWriter(
        sink,
        columns,
        write_page_checksum=True,
        write_statistics=_with_statistics(schema, varied),
        use_dictionary=[
            field.name
            for field in schema
            if pa.types.is_string(field.type) and field.name not in varied
        ],
        **_storage(schema),
    )


def _with_statistics(fields: Iterable[pa.Field], varied: Collection[str]) -> list[str]:
    """Return the columns whose least and greatest values are worth a footer's room.

    For long values the writer would hold both, whole, while it writes.
    """
    paths = []
    for field in fields:
        if pa.types.is_struct(field.type):
            inner = [field.type.field(place) for place in range(field.type.num_fields)]
            paths += [f"{field.name}.{path}" for path in _with_statistics(inner, ())]
        elif field.name not in varied and not pa.types.is_large_binary(field.type):
            paths.append(field.name)
    return paths


def _storage(schema: pa.Schema) -> dict[str, Any]:
    """Return how the columns are encoded and compressed; see `schemas.fields.field`."""
    stored = {field.name: (field.metadata or {}).get(b"stored", b"") for field in schema}
    if not any(stored.values()):
        return {"compression": "zstd", "compression_level": 1}
    packed = [name for name, how in stored.items() if how != b"plain"]
    return {
        "compression": {name: "ZSTD" if name in packed else "NONE" for name in stored},
        "compression_level": dict.fromkeys(packed, 1),
        "column_encoding": {
            name: "DELTA_BINARY_PACKED" for name, how in stored.items() if how == b"delta"
        },
    }


def write_table(
    folder: Path,
    table: str,
    name: str,
    schema: pa.Schema,
    varied: Collection[str] = (),
    group: int = ROW_GROUP,
) -> TableWriter:
    """Return a writer of `folder/table/name.parquet`; after its block, `record` is the file.

    Args:
        folder: the run folder.
        table: name of the table.
        name: of the file, without suffix.
        schema: of the table.
        varied: string columns for which a dictionary of values is not worth trying.
        group: rows of a row group at most.
    """
    return TableWriter(folder, table, name, schema, varied, group)


def evenly(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """Yield batches of exactly `rows` rows and a last one.

    The bytes of a file depend on the batches it was written in, and those that DuckDB or threads
    make differ from run to run.
    """
    held: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        held.append(batch)
        size += batch.num_rows
        if size >= rows:
            joined = pa.concat_batches(held)
            for low in range(0, size - size % rows, rows):
                yield joined.slice(low, rows)
            held, size = [joined.slice(size - size % rows)], size % rows
    if size:
        yield pa.concat_batches(held)


class EvenWriter:
    """Writes batches to a file as batches of exactly so many rows, and a last one; see `evenly`."""

    def __init__(self, out: TableWriter, rows: int = ROW_GROUP) -> None:
        self._out = out
        self._rows = rows
        self._held: list[pa.RecordBatch] = []
        self._size = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows; those that make no whole batch yet are held."""
        self._held.append(batch)
        self._size += batch.num_rows
        if self._size >= self._rows:
            *whole, last = evenly(self._held, self._rows)
            rest = last.num_rows < self._rows
            for one in whole if rest else [*whole, last]:
                self._out.write(one)
            self._held, self._size = ([last], last.num_rows) if rest else ([], 0)

    def finish(self) -> None:
        """Write what is held."""
        for batch in evenly(self._held, self._rows):
            self._out.write(batch)
        self._held, self._size = [], 0


def read_table(
    paths: Sequence[Path], schema: pa.Schema, columns: Sequence[str] | None = None
) -> pa.Table:
    """Return the rows of a table's files in order, conformed to its schema."""
    wanted = (
        schema
        if columns is None
        else pa.schema([schema.field(name) for name in columns], schema.metadata)
    )
    parts = [conform(part, wanted) for path in paths for part in read_batches(path, wanted.names)]
    return pa.concat_tables(parts) if parts else wanted.empty_table()


def read_batches(
    path: Path, columns: Sequence[str] | None = None, rows: int = ROW_GROUP
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of one of our own files.

    Raises:
        IntegrityError: the file is missing, or a page is damaged; it names the file.
    """
    wanted = None if columns is None else list(columns)
    with _own_file(path) as file:
        for group in range(file.num_row_groups):  # so that memory follows the group
            yield from file.iter_batches(rows, [group], wanted)


def groups_of(path: Path) -> int:
    """Return the row groups of one of our own files."""
    with _own_file(path) as file:
        return int(file.num_row_groups)


def read_group(path: Path, group: int, columns: Sequence[str]) -> pa.Table:
    """Return some columns of one row group of one of our own files."""
    with _own_file(path) as file:
        return file.read_row_group(group, list(columns), use_threads=False)


def cell_bytes(path: Path, group: int, column: str) -> int:
    """Return about how many bytes a column stored plain has in a row group, from the footer."""
    with _own_file(path) as file:
        place = file.schema_arrow.get_field_index(column)
        return int(file.metadata.row_group(group).column(place).total_uncompressed_size)


class KeyedRows:
    """A reader of rows by their key, in tables that are in its order.

    Of each file the row group that was read last stays in memory: a unit of work asks for the rows
    of one small shard after the other. Not for several threads.
    """

    def __init__(self) -> None:
        self._bounds: dict[Path, list[tuple[int, int, int]]] = {}
        self._last: dict[Path, tuple[int, tuple[str, ...], pa.Table]] = {}

    def read(
        self, paths: Sequence[Path], schema: pa.Schema, columns: Sequence[str], low: int, high: int
    ) -> Iterator[pa.Table]:
        """Yield the rows of a table's files with `row_key` in [low, high], in order, by row group.

        Groups without one are not read.

        Args:
            paths: the files.
            schema: of the table.
            columns: to read; `row_key` is the first.
            low: the first key.
            high: the last key.

        Raises:
            IntegrityError: a file is missing, or a page is damaged; it names the file.
        """
        wanted = pa.schema([schema.field(name) for name in columns], schema.metadata)
        for path in paths:
            for group, least, most in self._groups(path, schema):
                if most >= low and least <= high:
                    rows = self._rows(path, group, tuple(columns))
                    keys = rows["row_key"].to_numpy()
                    first = int(np.searchsorted(keys, np.uint64(low)))
                    last = int(np.searchsorted(keys, np.uint64(high), side="right"))
                    yield conform(rows.slice(first, last - first), wanted)

    def _groups(self, path: Path, schema: pa.Schema) -> list[tuple[int, int, int]]:
        """Return number, least and largest key of each row group that has rows."""
        if path not in self._bounds:
            place = schema.names.index("row_key")
            with _own_file(path) as file:
                known = [
                    (group, file.metadata.row_group(group).column(place).statistics)
                    for group in range(file.num_row_groups)
                ]
            self._bounds[path] = [(g, one.min, one.max) for g, one in known if one is not None]
        return self._bounds[path]

    def _rows(self, path: Path, group: int, columns: tuple[str, ...]) -> pa.Table:
        """Return some columns of one row group."""
        last = self._last.get(path)
        if last is None or last[:2] != (group, columns):
            last = (group, columns, read_group(path, group, columns).combine_chunks())
            self._last[path] = last
        return last[2]


def read_keys(
    paths: Sequence[Path], schema: pa.Schema, columns: Sequence[str], low: int, high: int
) -> Iterator[pa.Table]:
    """Yield the rows of a table's files with `row_key` in [low, high], once; see `KeyedRows`."""
    yield from KeyedRows().read(paths, schema, columns, low, high)


def count_rows(paths: Sequence[Path]) -> int:
    """Return the rows of a table's files, from their footers."""
    total = 0
    for path in paths:
        with _own_file(path) as file:
            total += file.metadata.num_rows
    return total


@contextlib.contextmanager
def _own_file(path: Path) -> Iterator[pq.ParquetFile]:
    """Open one of our own files, checksums verified; name it when it is damaged or missing."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            yield file
    except (OSError, pa.ArrowInvalid) as error:
        raise damaged_file(path, str(error)[:200]) from error
