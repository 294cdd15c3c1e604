"""CSV and TSV: every field is a string exactly as written; a bad record costs only its own row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.corpus.columns import Columns
from pipeline.corpus.dialect import Dialect
from pipeline.corpus.documents import (
    CSV_FIELDS,
    CSV_QUOTE,
    INVALID_UTF8,
    Records,
    Rejected,
    from_columns,
)
from pipeline.corpus.files import open_stream, reading
from pipeline.corpus.priorities import pairs, written
from pipeline.corpus.room import room, too_long
from pipeline.errors import CorruptFile, SchemaMismatch

BLOCK_CHARACTERS = 1 << 20
MAX_FIELD_CHARACTERS = 1 << 30
BYTE_ORDER_MARK = "\ufeff"
PRIORITY_HEAD = 1000
SWALLOWED_LINES, SWALLOWED_SEPARATORS = 2, 2  # fewer may be those of a text


@dataclass(frozen=True)
class _Record:
    """One record of a delimited file.

    Attributes:
        fields: as written.
        raw: its lines, with bytes that are not UTF-8 as surrogates.
        closed: the file did not end inside of it.
    """

    fields: list[str]
    raw: str
    closed: bool


class _Feed:
    """The lines of a file for csv.reader, which keeps those of the record at hand.

    Attributes:
        taken: lines since the last record.
        ended: the file ended before the record did.
    """

    def __init__(self, stream: io.TextIOWrapper, path: str) -> None:
        self._stream, self._path = stream, path
        self.taken: list[str] = []
        self.ended = False

    def __iter__(self) -> Iterator[str]:
        number, most = 0, room()
        while line := self._stream.readline(most + 1):
            if len(line) > most:
                raise too_long(self._path, number, len(line) + self._rest())
            self.taken.append(line if number else line.removeprefix(BYTE_ORDER_MARK))
            yield self.taken[-1]
            number += 1
        self.ended = True

    def _rest(self) -> int:
        """Return how many characters the line has left, without holding them."""
        size = 0
        while part := self._stream.readline(BLOCK_CHARACTERS):
            size += len(part)
            if part.endswith("\n"):
                break
        return size


@dataclass
class _CsvBatch:
    """Records collected for the next batch.

    Attributes:
        rows: number of each record in the file.
        fields: of each record.
        unparsed: the records that could not be parsed.
        size: characters so far.
    """

    rows: list[int] = field(default_factory=list)
    fields: list[list[str]] = field(default_factory=list)
    unparsed: list[Rejected] = field(default_factory=list)
    size: int = 0


def csv_schema(path: str, dialect: Dialect) -> pa.Schema:
    """Return the columns that the header names, or numbered ones without it, all strings.

    An empty file has none.

    Raises:
        CorruptFile: When the header is not UTF-8.
    """
    header = next(_records(path, dialect), None)
    if header is None:
        return pa.schema([])
    if not _is_text(header.raw):
        raise CorruptFile(
            "A CSV header is not UTF-8.",
            where=path,
            fix="name its encoding: --set input.csv_encoding=latin-1, or convert the file to UTF-8",
        )
    names = header.fields
    if not dialect.header:
        names = [f"column_{place}" for place in range(1, len(names) + 1)]
    return pa.schema([pa.field(name, pa.string()) for name in names])


def check_priority(path: str, dialect: Dialect, schema: pa.Schema, columns: Columns) -> None:
    """Check that the priorities in the head of a file are numbers.

    Raises:
        SchemaMismatch: When one is not.
    """
    if columns.priority is None or not schema.names:
        return
    position = schema.names.index(columns.priority)
    for number, record in enumerate(_records(path, dialect), 0 if dialect.header else 1):
        if 0 < number <= PRIORITY_HEAD and len(record.fields) == len(schema):
            given = record.fields[position].strip()
            if given and written(given) is None and given.lower() != "nan":
                raise SchemaMismatch(
                    "A priority is not a number.",
                    where=f"{path}, column {columns.priority}, row {number - 1}",
                    expected="a number or nothing",
                    fix="--set input.priority=NAME",
                )
        if number > PRIORITY_HEAD:
            return


def csv_records(
    path: str,
    dialect: Dialect,
    columns: Columns,
    batch_bytes: int,
    *,
    separator: str,
    everything: bool,
) -> Iterator[Records]:
    """Yield the rows of a file as strings.

    A Python loop per row, because a quoted field may hold line ends and a record with a wrong
    number of fields must keep its raw text: 120 MB/s on one of two shared cores, 78 MB of the dev
    corpus.
    """
    schema, pending = csv_schema(path, dialect), _CsvBatch()
    records = _records(path, dialect)
    if dialect.header:
        next(records, None)
    for row, record in enumerate(records):
        if len(record.fields) != len(schema) or not record.closed:
            pending.unparsed.append(Rejected(row, CSV_FIELDS, _raw(record, dialect)))
        elif _swallows(record, dialect):
            pending.unparsed.append(Rejected(row, CSV_QUOTE, _raw(record, dialect)))
        elif not _is_text(record.raw):
            pending.unparsed.append(Rejected(row, INVALID_UTF8, _raw(record, dialect)))
        else:
            pending.rows.append(row)
            pending.fields.append(record.fields)
        pending.size += len(record.raw)
        if pending.size >= batch_bytes:
            yield _to_records(pending, schema, columns, separator, everything=everything)
            pending = _CsvBatch()
    if pending.size:
        yield _to_records(pending, schema, columns, separator, everything=everything)


def _records(path: str, dialect: Dialect) -> Iterator[_Record]:
    """Yield the records that are not blank lines, the header first.

    Raises:
        CorruptFile: When the file cannot be split into records.
    """
    csv.field_size_limit(MAX_FIELD_CHARACTERS)
    with reading(path), open_stream(path) as stream:
        feed = _Feed(
            io.TextIOWrapper(
                stream, encoding=dialect.encoding, errors="surrogateescape", newline=""
            ),
            path,
        )
        try:
            for fields in csv.reader(feed, **dialect.reader_options()):  # type: ignore[arg-type]
                raw = "".join(feed.taken)
                feed.taken.clear()
                if fields:
                    yield _Record(fields, raw, closed=not feed.ended)
        except csv.Error as error:
            raise CorruptFile(
                "A CSV file cannot be split into records.",
                where=path,
                found=str(error),
                expected=f"fields of at most {MAX_FIELD_CHARACTERS:,} characters",
                fix="look for a quote left open",
            ) from error


def _to_records(
    pending: _CsvBatch, schema: pa.Schema, columns: Columns, separator: str, *, everything: bool
) -> Records:
    """Return a batch with its columns read as text, id, source and priority."""
    fields = list(zip(*pending.fields, strict=True)) or [()] * len(schema)
    batch = pa.RecordBatch.from_arrays(
        [pa.array(values, pa.string()) for values in fields], schema=schema
    )
    rows = np.array(pending.rows, dtype=np.int64)
    records = from_columns(batch, replace(columns, priority=None), rows, separator)
    priorities, rests = records.priorities, records.rests
    if columns.priority is not None:
        priorities, rests = pairs(map(written, batch.column(columns.priority).to_pylist()))
    return replace(
        records,
        sources=pc.if_else(
            pc.equal(records.sources, ""), pa.scalar(None, pa.string()), records.sources
        ),
        priorities=priorities,
        rests=rests,
        columns=batch if everything else None,
        unparsed=tuple(pending.unparsed),
    )


def _is_text(characters: str) -> bool:
    """Tell whether all characters are Unicode, none a byte that is not UTF-8."""
    try:
        characters.encode()
    except UnicodeEncodeError:
        return False
    return True


def _raw(record: _Record, dialect: Dialect) -> bytes:
    """Return the bytes of a record, without its line end."""
    return record.raw.rstrip("\r\n").encode(dialect.encoding, errors="surrogateescape")


def _swallows(record: _Record, dialect: Dialect) -> bool:
    """Tell whether a record holds others: a quote left open took in the lines up to the next one.

    That is so where each of several lines inside of it has as many separators as a record.
    """
    lines = record.raw.rstrip("\r\n").splitlines()[1:-1]
    wanted = len(record.fields) - 1
    if len(lines) < SWALLOWED_LINES or wanted < SWALLOWED_SEPARATORS:
        return False
    return all(line.count(dialect.separator) == wanted for line in lines)
