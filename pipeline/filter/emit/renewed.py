"""Write a Parquet file anew from the last one, row group by row group.

A number beside a row changes more often than which rows a row group has. The chunks of the user's
columns are then taken over as they lie, compressed, and only the chunks of the column that rote
adds are encoded. The bytes are those of a file that is written whole, since a writer encodes the
chunks of each column by themselves, and tells their places in the footer alone.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.engine.files import PendingFile, damaged_file
from pipeline.engine.stage import FileRecord
from pipeline.engine.tables import check_rows, conform, parquet_writer
from pipeline.filter.emit.compact import LIST, LONG, STRUCT, Items, Struct, decoded, encoded
from pipeline.text.arrays import Uint64

MAGIC = b"PAR1"
_TAIL = 8  # bytes: how long the footer is, and MAGIC
# numbers of fields in parquet.thrift
NUM_ROWS, GROUPS = 3, 4  # of FileMetaData
COLUMNS, TOTAL, ROWS, OFFSET, PACKED = 1, 2, 3, 5, 6  # of RowGroup
META = 3  # of ColumnChunk
PATH, UNPACKED_SIZE, PACKED_SIZE, PAGES, DICTIONARY = 3, 6, 7, 9, 11  # of ColumnMetaData


class _Chunk(NamedTuple):
    """The chunk of a column in a row group.

    Attributes:
        entry: what the footer says of it.
        start: its first byte in the file.
        size: bytes of it there.
    """

    entry: Struct
    start: int
    size: int


class RenewedFile(PendingFile):
    """A writer of the next version of a file; use as a context manager.

    It goes through the row groups of the last version: some are `taken`, and then renewed, or read
    and left out. Where nothing turns out to be otherwise the last version stands.

    Attributes:
        schema: of the file.
    """

    def __init__(self, folder: Path, last: FileRecord, column: str) -> None:
        """Open the last version.

        Args:
            folder: the run folder.
            last: the file; it is sound.
            column: the name of its last column, that of rote.
        """
        super().__init__(folder, last.table, last.path)
        self._record = last
        self._file = pq.ParquetFile(folder / last.path)
        self.schema: pa.Schema = self._file.schema_arrow
        self._column = column
        self._next = 0  # place of the group that is taken next
        self._ahead: pa.StructArray | None = None  # the last column of that group, if it was read
        self._taken: list[tuple[int, pa.StructArray]] = []
        self._stand = 0  # groups that come first in the next version, as they lie
        self._copy: _Copy | None = None  # from the first row group on that is another

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None and self._stand == self._file.num_row_groups and self._copy is None:
            self._file.close()
            self.record, self.place = self._record, self._final
        else:
            super().__exit__(kind, error, trace)

    def take(self, key: int) -> Uint64:
        """Go on to the next row groups, whose first row_key is up to a key; return their keys."""
        self._taken = []
        while self._next < self._file.num_row_groups:
            values = self._ahead or self._values(self._next)
            if values.field("row_key")[0].as_py() > key:
                self._ahead = values
                break
            self._taken.append((self._next, values))
            self._next, self._ahead = self._next + 1, None
        keys = [values.field("row_key").to_numpy() for _, values in self._taken]
        return np.concatenate([np.zeros(0, np.uint64), *keys])

    def _values(self, place: int) -> pa.StructArray:
        """Return the last column of a row group."""
        table = self._file.read_row_group(place, [self._column], use_threads=False)
        return table[self._column].combine_chunks()

    def renew(self, values: pa.StructArray) -> None:
        """Write the groups that were taken with other values in the last column.

        Args:
            values: for all of their rows.
        """
        first = 0
        for place, before in self._taken:
            own = values.slice(first, len(before))
            first += len(own)
            if _bits(own) != _bits(before):
                column = pa.schema([self.schema.field(len(self.schema) - 1)])
                fresh = self._encoded(pa.table([own], schema=column), len(own))
                self._changed().renew(place, self._column.encode(), fresh)
            elif self._copy is None:
                self._stand = place + 1
            else:
                self._copy.copy(place)
        self.rows += first

    def user_columns(self) -> pa.Table:
        """Return the user's columns of the groups that were taken, which are not written then."""
        places = [place for place, _ in self._taken]
        table = self._file.read_row_groups(places, use_threads=False)
        return table.select(range(len(self.schema) - 1))

    def write(self, rows: pa.Table, group: int, varied: Collection[str]) -> None:
        """Write rows in row groups of their own.

        Args:
            rows: all columns, each in one piece.
            group: rows of a row group at most.
            varied: string columns that are written without a dictionary.
        """
        fresh = self._encoded(conform(rows, self.schema), group, varied)
        self._changed().append(fresh)
        self.rows += rows.num_rows

    def leave_out(self) -> None:
        """Note that the groups that were taken are not in the next version."""
        if self._taken:
            self._changed()

    def _encoded(
        self, table: pa.Table, group: int, varied: Collection[str] = ()
    ) -> pa.BufferReader:
        """Return some columns of the file, as a file."""
        sink = pa.BufferOutputStream()
        with parquet_writer(sink, table.schema, self.schema, varied) as writer:
            writer.write_table(table, row_group_size=group)
        return pa.BufferReader(sink.getvalue())

    def _changed(self) -> _Copy:
        """Return the next version, begun if need be with the groups that are the same so far."""
        if self._copy is None:
            self._copy = _Copy(self._final, self._temporary)
            for place in range(self._stand):
                self._copy.copy(place)
        return self._copy

    def _close(self) -> None:
        self._file.close()
        self._changed().close(self.rows)

    def _check(self) -> None:
        check_rows(self._temporary, self.path, self.rows)


class _Copy:
    """A Parquet file that is put together from chunks of others."""

    def __init__(self, last: Path, path: Path) -> None:
        """Begin a file.

        Args:
            last: the file whose footer and row groups are taken over.
            path: the file to write.
        """
        self._path = last
        self._last = last.open("rb")
        self._footer = _footer(self._last)
        self._groups: list[Struct] = self._footer[GROUPS][1][1]
        self._written: list[Struct] = []
        self._out = path.open("wb")
        self._out.write(MAGIC)

    def copy(self, place: int) -> None:
        """Copy a row group of the last file."""
        group = self._groups[place]
        self._write(group, [(self._last, _chunks(group))])

    def renew(self, place: int, column: bytes, fresh: pa.BufferReader) -> None:
        """Copy a row group of the last file, but its last column from a file of that alone."""
        group = self._groups[place]
        staying = [chunk for chunk in _chunks(group) if _path(chunk)[0] != column]
        [only] = _footer(fresh)[GROUPS][1][1]
        self._write(group, [(self._last, staying), (fresh, _chunks(only))])

    def append(self, fresh: pa.BufferReader) -> None:
        """Copy the row groups of another file of all columns."""
        for group in _footer(fresh)[GROUPS][1][1]:
            self._write(group, [(fresh, _chunks(group))])

    def close(self, rows: int) -> None:
        """End the file, which has so many rows."""
        self._last.close()
        groups: Items = (STRUCT, self._written)
        told = {GROUPS: (LIST, groups), NUM_ROWS: (LONG, rows)}
        footer = encoded({**self._footer, **told})
        self._out.write(footer + len(footer).to_bytes(_TAIL - len(MAGIC), "little") + MAGIC)
        self._out.close()

    def _write(self, group: Struct, parts: list[tuple[BinaryIO, list[_Chunk]]]) -> None:
        """Write a row group of chunks that are copied from where they lie."""
        first = self._out.tell()
        chunks = [self._copied(source, chunk) for source, own in parts for chunk in own]
        self._written.append(_group(group, chunks, first))

    def _copied(self, source: BinaryIO, chunk: _Chunk) -> Struct:
        """Copy a chunk to the end of the file; return what the footer says of it there."""
        moved = self._out.tell() - chunk.start
        source.seek(chunk.start)
        data = source.read(chunk.size)
        if len(data) != chunk.size:
            raise damaged_file(self._path, "a chunk that ends before its end")
        self._out.write(data)
        kind, meta = chunk.entry[META]
        places = {n: (LONG, meta[n][1] + moved) for n in (PAGES, DICTIONARY) if n in meta}
        return {**chunk.entry, META: (kind, {**meta, **places})}


def _footer(file: BinaryIO) -> Struct:
    """Return what the footer of an open file says."""
    end = file.seek(0, 2)
    file.seek(end - _TAIL)
    size = int.from_bytes(file.read(_TAIL - len(MAGIC)), "little")
    file.seek(end - _TAIL - size)
    return decoded(file.read(size))


def _chunks(group: Struct) -> list[_Chunk]:
    """Return the chunks of a row group, in the order of its columns."""
    found = []
    columns: Items = group[COLUMNS][1]
    for entry in columns[1]:
        meta: Struct = entry[META][1]
        start = min(meta[n][1] for n in (PAGES, DICTIONARY) if n in meta)
        found.append(_Chunk(entry, start, meta[PACKED_SIZE][1]))
    return found


def _bits(values: pa.StructArray) -> list[pa.Array]:
    """Return the fields of a column such that equal ones are written with the same bytes.

    Zero and negative zero are equal as numbers.
    """
    fields = values.flatten()
    return [one.view(pa.int64()) if one.type == pa.float64() else one for one in fields]


def _path(chunk: _Chunk) -> list[bytes]:
    """Return the names that lead to the values of a chunk."""
    path: Items = chunk.entry[META][1][PATH][1]
    return path[1]


def _group(group: Struct, chunks: list[Struct], first: int) -> Struct:
    """Return what the footer says of a row group of some chunks, which begin at a byte."""
    sizes = [[chunk[META][1][n][1] for chunk in chunks] for n in (UNPACKED_SIZE, PACKED_SIZE)]
    columns: Items = (STRUCT, chunks)
    told = {
        COLUMNS: (LIST, columns),
        TOTAL: (LONG, sum(sizes[0])),
        OFFSET: (LONG, first),
        PACKED: (LONG, sum(sizes[1])),
    }
    return {number: told.get(number, value) for number, value in group.items()}
