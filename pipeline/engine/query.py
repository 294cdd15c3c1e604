"""The one place that runs SQL: DuckDB under a memory limit, with a spill folder.

Values are always bound.
"""

from __future__ import annotations

import atexit
import errno
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeAlias

import duckdb
import pyarrow as pa

from pipeline.engine.files import SPILL
from pipeline.engine.stage import Work
from pipeline.engine.system import refused
from pipeline.engine.tables import (
    conform,
    evenly,
)
from pipeline.errors import IntegrityError, OutOfMemory, PipelineError

REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EMFILE)
OF_SYSTEM = (duckdb.IOException, duckdb.OutOfMemoryException)
Settings: TypeAlias = "dict[str, str | bool | int | float | list[str]]"
_FIXED: Settings = {
    "python_enable_replacements": "false",
    "preserve_insertion_order": "true",
    "autoinstall_known_extensions": "false",  # no network, ever
    "enable_external_file_cache": "false",  # a file is read when a query asks
}
OF_A_THREAD = 125_000_000
"""Bytes that DuckDB's guide to performance wants for each thread, at least."""
NO_MEMORY = "Out of Memory Error"
_IDLE: list[duckdb.DuckDBPyConnection] = []  # one database at most that waits for a query
atexit.register(_IDLE.clear)  # one that is open when Python ends is told as a leak
Input: TypeAlias = "Sequence[Path] | pa.Table | pa.RecordBatchReader"


@dataclass(frozen=True)
class Limits:
    """What a query may use; it never changes a result.

    Attributes:
        memory: bytes; 0 leaves DuckDB's own default.
        threads: threads.
        spill: where data that does not fit goes; None for the system's folder.
    """

    memory: int = 0
    threads: int = 2
    spill: Path | None = None


@cache
def statement(name: str) -> str:
    """Return the text of `sql/<name>.sql`."""
    return files("sql").joinpath(f"{name}.sql").read_text(encoding="utf-8")


def run(
    name: str,
    inputs: Mapping[str, Input],
    params: Mapping[str, Any] | None = None,
    schema: pa.Schema | None = None,
    limits: Limits = Limits(),
) -> pa.Table:
    """Run `sql/<name>.sql` and return its rows.

    Args:
        name: of the statement.
        inputs: a list of Parquet files is bound as the parameter of that name
            (`read_parquet($pairs)`), an Arrow table or reader is visible as a table of that name.
        params: values to bind.
        schema: what the rows are conformed to; None for nothing.
        limits: what it may use.
    """
    with _result(name, inputs, params or {}, limits) as result:
        table = result.to_arrow_table()
    return table if schema is None else conform(table, schema)


def stream(
    name: str,
    inputs: Mapping[str, Input],
    params: Mapping[str, Any] | None = None,
    limits: Limits = Limits(),
    rows: int = 65_536,
) -> Iterator[pa.RecordBatch]:
    """Run `sql/<name>.sql` and yield its rows in order, for results larger than memory."""
    with _result(name, inputs, params or {}, limits) as result:
        yield from evenly(result.to_arrow_reader(rows), rows)


def write_database(
    path: Path, tables: Mapping[str, Sequence[Path] | str | pa.Table], limits: Limits
) -> Iterator[str]:
    """Write tables into a new DuckDB file, and yield the name of each once it is there.

    Args:
        path: the file.
        tables: by name: Parquet files, a glob of JSON Lines files, or rows.
        limits: what DuckDB may use.

    Raises:
        IntegrityError: A file cannot be read.
        OutOfMemory: The memory does not do.
    """
    with tempfile.TemporaryDirectory(prefix=SPILL, dir=limits.spill) as spill:
        try:
            with duckdb.connect(path, config=_settings(limits, spill)) as connection:
                for name, rows in tables.items():
                    if isinstance(rows, pa.Table):
                        found = connection.from_arrow(rows)
                    elif isinstance(rows, str):
                        found = connection.read_json(rows, union_by_name=True)
                    else:
                        paths = [str(path) for path in rows]
                        found = connection.read_parquet(paths, union_by_name=True)
                    found.create(name)
                    yield name
        except duckdb.Error as error:
            raise _translated("", error, path.parent) from error


@contextmanager
def _result(
    name: str, inputs: Mapping[str, Input], params: Mapping[str, Any], limits: Limits
) -> Iterator[duckdb.DuckDBPyRelation]:
    bound = dict(params)
    faults: list[Exception] = []
    with (
        tempfile.TemporaryDirectory(prefix=SPILL, dir=limits.spill) as spill,
        _connected(limits, spill) as connection,
    ):
        try:
            for key, value in inputs.items():
                if isinstance(value, pa.RecordBatchReader):
                    connection.register(key, _watched(value, faults))
                elif isinstance(value, pa.Table):
                    connection.register(key, value)
                else:
                    bound[key] = [str(path) for path in value]
            yield connection.sql(statement(name), params=bound or None)
        except duckdb.Error as error:
            if faults:
                raise faults[0] from error
            raise _translated(name, error, Path(spill)) from error
        except OSError as error:  # how Arrow tells what DuckDB says while rows are read
            if NO_MEMORY in str(error):
                raise _no_memory(f"sql/{name}.sql", error) from error
            raise


@contextmanager
def _connected(limits: Limits, spill: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """Give a connection of its own to a database that no other query uses at the time.

    To open a database costs 13 ms, ten times a small query, so that it waits for the next one;
    unless it has put data aside, since its folder cannot be changed then, or a query has failed.
    """
    try:
        database = _IDLE.pop()
    except IndexError:
        database = duckdb.connect(config=_FIXED)
    again = False
    try:
        with database.cursor() as connection:
            connection.execute("set temp_directory = $folder", {"folder": spill})
            connection.execute("set threads = $threads", {"threads": limits.threads})
            if limits.memory:
                connection.execute("set memory_limit = $size", {"size": f"{limits.memory}B"})
            else:
                connection.execute("reset memory_limit")
            yield connection
        again = not os.listdir(spill)  # noqa: PTH208
    finally:
        if again and not _IDLE:
            _IDLE.append(database)
        else:
            database.close()


def _watched(reader: pa.RecordBatchReader, faults: list[Exception]) -> pa.RecordBatchReader:
    """Return a reader of the same batches; what making them raises is noted, which DuckDB hides."""

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            yield from reader
        except Exception as error:
            faults.append(error)
            raise

    return pa.RecordBatchReader.from_batches(reader.schema, batches())


def _translated(name: str, error: duckdb.Error, spill: Path) -> PipelineError:
    """Return the error for what DuckDB says."""
    where, found = f"sql/{name}.sql", str(error)[:400]
    if not name:  # what it says of the files of a run may quote a document
        where, found = str(spill), str(error)[:400] if isinstance(error, OF_SYSTEM) else ""
    if isinstance(error, duckdb.OutOfMemoryException):
        return _no_memory(where, error)
    if isinstance(error, duckdb.IOException):
        codes = [code for code in REFUSALS if os.strerror(code) in found]
        if codes:
            return refused(OSError(codes[0], os.strerror(codes[0])), spill)
    return IntegrityError("A query failed.", where=where, found=found)


def _no_memory(where: str, error: Exception) -> OutOfMemory:
    return OutOfMemory(
        "A query ran out of memory.",
        where=where,
        found=str(error)[:400],
        fix="raise limits.memory",
    )


def _settings(limits: Limits, spill: str) -> Settings:
    found = {**_FIXED, "threads": str(limits.threads), "temp_directory": spill}
    return {**found, "memory_limit": f"{limits.memory}B"} if limits.memory else found


def limits(work: Work) -> Limits:
    """Return what a query of this unit may use: one thread where there is no memory for more."""
    memory = work.memory // 3
    threads = min(work.cores, max(1, memory // OF_A_THREAD)) if memory else work.cores
    return Limits(memory, threads, work.folder)
