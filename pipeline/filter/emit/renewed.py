"""Write a Parquet file whose rows are those of the last one, with another last column.

A number beside a row changes more often than which rows a file has. The chunks of the user's
columns are then taken over as they lie, compressed, and only the chunks of the column that rote
adds are encoded. The bytes are those of a file that is written whole, since a writer encodes the
chunks of each column by themselves, and tells their places in the footer alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.engine.files import PendingFile, damaged_file
from pipeline.engine.stage import FileRecord
from pipeline.engine.tables import check_rows, parquet_writer
from pipeline.filter.emit.compact import LIST, LONG, STRUCT, Items, Struct, decoded, encoded

MAGIC = b"PAR1"
_TAIL = 8  # bytes: how long the footer is, and MAGIC
# numbers of fields in parquet.thrift
GROUPS = 4  # of FileMetaData
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
    """A writer of a file anew with other values in its last column; use as a context manager.

    The values of one row group are held at a time.
    """

    def __init__(self, folder: Path, last: FileRecord, column: str) -> None:
        """Read the footer of the last file.

        Args:
            folder: the run folder.
            last: the file; it is sound.
            column: the name of its last column.
        """
        super().__init__(folder, last.table, last.path)
        self._schema = pq.read_schema(folder / last.path)
        self._name = column.encode()
        self._last = (folder / last.path).open("rb")
        self._footer = _footer(self._last)
        groups: Items = self._footer[GROUPS][1]
        self._left: Iterator[Struct] = iter(groups[1])
        self._written: list[Struct] = []
        self._held: list[pa.StructArray] = []
        self._out = self._temporary.open("wb")
        self._out.write(MAGIC)
        self._group = next(self._left, None)

    def write(self, column: pa.StructArray) -> None:
        """Append values of the last column, in the order of the rows."""
        self._held.append(column)
        self.rows += len(column)
        held = sum(map(len, self._held))
        while self._group is not None and held >= (size := self._group[ROWS][1]):
            values = pa.concat_arrays(self._held)
            self._write_group(self._group, values.slice(0, size))
            self._held, held = [values.slice(size)], held - size
            self._group = next(self._left, None)

    def _write_group(self, group: Struct, values: pa.StructArray) -> None:
        """Write a row group: the chunks that were there, but those of the last column."""
        first = self._out.tell()
        staying = [chunk for chunk in _chunks(group) if _path(chunk)[0] != self._name]
        chunks = [self._copied(self._last, chunk) for chunk in staying]
        fresh = pa.BufferReader(self._encoded(values))
        [only] = _footer(fresh)[GROUPS][1][1]
        chunks += [self._copied(fresh, chunk) for chunk in _chunks(only)]
        self._written.append(_group(group, chunks, first))

    def _encoded(self, values: pa.StructArray) -> pa.Buffer:
        """Return a file of some values of the last column alone, which is a row group."""
        sink = pa.BufferOutputStream()
        column = pa.schema([self._schema.field(len(self._schema) - 1)])
        with parquet_writer(sink, column, self._schema) as writer:
            writer.write_table(
                pa.table([values], schema=column), row_group_size=max(1, len(values))
            )
        return sink.getvalue()

    def _copied(self, source: BinaryIO, chunk: _Chunk) -> Struct:
        """Copy a chunk to the end of the new file; return what the footer says of it there."""
        moved = self._out.tell() - chunk.start
        source.seek(chunk.start)
        data = source.read(chunk.size)
        if len(data) != chunk.size:
            raise damaged_file(self._final, "a chunk that ends before its end")
        self._out.write(data)
        kind, meta = chunk.entry[META]
        places = {n: (LONG, meta[n][1] + moved) for n in (PAGES, DICTIONARY) if n in meta}
        return {**chunk.entry, META: (kind, {**meta, **places})}

    def _close(self) -> None:
        self._last.close()
        groups: Items = (STRUCT, self._written)
        footer = encoded({**self._footer, GROUPS: (LIST, groups)})
        self._out.write(footer + len(footer).to_bytes(_TAIL - len(MAGIC), "little") + MAGIC)
        self._out.close()

    def _check(self) -> None:
        check_rows(self._temporary, self.path, self.rows)


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
