"""The run folder: its lock, its manifest, and files that either exist whole or do not exist.

A file is written under a temporary name in its own folder, synced, read back, renamed; its entry in
`manifest.json` comes last, so a file without an entry does not exist. The manifest is the only
state: resume, skipping and provenance are one mechanism. Engine errors about our own files are
translated here and nowhere else.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.engine.stage import FileRecord
from pipeline.errors import IntegrityError, RunFolderError
from schemas.manifest import SCHEMA_VERSION

MANIFEST = "manifest.json"
LOCK = ".lock"
TEMPORARY = ".tmp"
SPILL = ".spill-"
DISK_FULL = frozenset([errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
FORBIDDEN = frozenset([errno.EACCES, errno.EPERM, errno.EROFS])
ROW_GROUP = 65_536
# a file that someone else put beside ours is left alone
OWN_SUFFIXES = frozenset(
    {".parquet", ".json", ".jsonl", ".bloom", ".safetensors", ".html", TEMPORARY}
)
SUCCESS = "_SUCCESS"
OWN_FOLDERS = frozenset(
    {
        "signatures",
        "words",
        "copies",
        "audit",
        "buckets",
        "candidates",
        "pairs",
        "links",
        "windows",
        "spans",
        "repeats",
        "contained",
        "families",
        "counts",
        "documents",
        "decisions",
        "cuts",
        "mitigation",
        "sequences",
        "risk",
        "risk_model",
        "document_risk",
        "probes",
        "models",
        "kept",
        "removed",
        "rejected",
        "events",
        "report",
        "backtest_corpus",
        "backtest_reserve",
        "backtest_planted",
        "backtest_scores",
        "backtest_panel",
        "backtest_metrics",
        "backtest_differences",
        "backtest_curve",
        "backtest_reliability",
        "backtest_doses",
        "backtest_arms",
    }
)


def digest_file(path: Path) -> str:
    """Return the BLAKE2b-128 of a file's bytes, as hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def conform(data: pa.Table | pa.RecordBatch, schema: pa.Schema) -> pa.Table:
    """Return the columns of `schema`, in its order, with its types, nullability and metadata.

    DuckDB and Polars drop field metadata and nullability, so this runs at each boundary. Raises
    IntegrityError for a missing column, a lossy cast, or a null where none may be.
    """
    table = pa.Table.from_batches([data]) if isinstance(data, pa.RecordBatch) else data
    if table.schema.equals(schema, check_metadata=True) and all(field.nullable for field in schema):
        return table
    where = (schema.metadata or {}).get(b"table", b"?").decode()
    try:
        table = table.select(schema.names).cast(schema)
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


class Pending:
    """A file of a table that is written whole or not at all, under a name of its own until then.

    folder, path: of the run, and below it. After its block `record` tells the finished file.
    """

    def __init__(self, folder: Path, table: str, path: str) -> None:
        self.table = table
        self.path = path
        self.rows = 0
        self.record: FileRecord
        self._final = folder / path
        self._final.parent.mkdir(parents=True, exist_ok=True)
        self._temporary = self._final.with_name(f"{self._final.name}.{os.getpid()}{TEMPORARY}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()
        if kind is not None:
            self._temporary.unlink(missing_ok=True)
            return
        self._check()
        self.record = publish(self._temporary, self._final, self.table, self.path, self.rows)

    def _close(self) -> None:
        """End the writing of the temporary file."""

    def _check(self) -> None:
        """Refuse a temporary file that does not hold what was written."""


class TableWriter(Pending):
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
        # pages carry checksums, so a flipped bit in our own tables is found when they are read
        self._writer = pq.ParquetWriter(
            self._temporary,
            schema,
            write_page_checksum=True,
            write_statistics=_with_statistics(schema, varied),
            use_dictionary=[
                field.name
                for field in schema
                if pa.types.is_string(field.type) and field.name not in varied
            ],
            **_storage(schema),
        )

    def write(self, data: pa.Table | pa.RecordBatch) -> None:
        """Append rows, conformed to the schema."""
        table = conform(data, self.schema)
        self._writer.write_table(table, row_group_size=self._group)
        self.rows += table.num_rows

    def _close(self) -> None:
        self._writer.close()

    def _check(self) -> None:
        found = pq.read_metadata(self._temporary).num_rows
        if found != self.rows:
            raise IntegrityError(
                "A written file reads back short.",
                where=self.path,
                found=str(found),
                expected=str(self.rows),
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
    """Return a writer of `folder/table/name.parquet`.

    varied: string columns for which a dictionary of values is not worth trying. group: rows of a
    row group at most. After its block `record` tells the finished file.
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


def write_file(folder: Path, table: str, name: str, data: bytes) -> FileRecord:
    """Write `folder/table/name` whole or not at all; rows are 0 for a file that is no table."""
    final = folder / table / name
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.with_name(f"{final.name}.{os.getpid()}{TEMPORARY}")
    temporary.write_bytes(data)
    return publish(temporary, final, table, f"{table}/{name}", 0)


def publish(temporary: Path, final: Path, table: str, path: str, rows: int) -> FileRecord:
    """Make a finished temporary file exist under its name, and return its record."""
    digest = digest_file(temporary)
    size = temporary.stat().st_size
    _sync(temporary)
    temporary.replace(final)
    _sync(final.parent)
    return FileRecord(table, path, rows, size, digest)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


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

    A damaged page raises IntegrityError naming the file.
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


def read_keys(
    paths: Sequence[Path], schema: pa.Schema, columns: Sequence[str], low: int, high: int
) -> Iterator[pa.Table]:
    """Yield the rows of a table's files with `row_key` in [low, high], in order, by row group.

    Groups without one are not read. A damaged page raises IntegrityError naming the file.
    """
    wanted = pa.schema([schema.field(name) for name in columns], schema.metadata)
    key = pc.field("row_key")
    own = (key >= pa.scalar(low, pa.uint64())) & (key <= pa.scalar(high, pa.uint64()))
    for path in paths:
        with _own_file(path) as file:
            for group in range(file.num_row_groups):
                column = file.metadata.row_group(group).column(schema.names.index("row_key"))
                known = column.statistics  # None when the group is empty
                if known is not None and known.max >= low and known.min <= high:
                    yield conform(file.read_row_group(group, columns).filter(own), wanted)


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


def damaged_file(path: Path, found: str) -> IntegrityError:
    """Return the error for one of our own files that is not as it was written."""
    return IntegrityError(
        "A file of the run folder is damaged or missing.",
        where=str(path),
        found=found,
        fix="run `rote run` or `rote scan` again with --verify: what is damaged is made anew",
    )


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Translate what the system says when it does not let us write to the run folder."""
    try:
        yield
    except OSError as error:
        if error.errno not in {*DISK_FULL, *FORBIDDEN}:
            raise
        full = error.errno in DISK_FULL
        raise RunFolderError(
            "The disk is full." if full else "The run folder cannot be written to.",
            where=str(error.filename or folder),
            found=os.strerror(error.errno or 0),
            fix=f"{'make room' if full else 'allow it'} and run the same command again: "
            "what is finished stays",
        ) from error


class RunFolder:
    """An open run folder: the manifest in memory, and the lock while writing."""

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        self.folder = folder
        self.manifest = manifest
        self._sound: set[str] = set()

    def fresh(self, output: str, fingerprint: str, *, verify: bool = False) -> bool:
        """Tell whether `output` was made from exactly this and its files are all there.

        verify: bit for bit.
        """
        entry = self.manifest["outputs"].get(output)
        if entry is None or entry["fingerprint"] != fingerprint:
            return False
        for record in entry["files"]:
            path = self.folder / record["path"]
            if not path.is_file() or path.stat().st_size != record["bytes"]:
                return False
        return not verify or self.damaged(output, anew=True) is None

    def damaged(self, output: str, *, anew: bool = False) -> Path | None:
        """Return the first file of an output that has other bytes than were written.

        Unless `anew`, an output that this process wrote or has found sound is not read again.
        """
        if anew or output not in self._sound:
            for record in self.manifest["outputs"][output]["files"]:
                path: Path = self.folder / record["path"]
                if digest_file(path) != record["digest"]:
                    return path
            self._sound.add(output)
        return None

    def forget(self, outputs: Sequence[str]) -> None:
        """Remove the entries and files of outputs to be made again or no longer wanted."""
        known = [output for output in outputs if output in self.manifest["outputs"]]
        if not known:
            return
        entries = [self.manifest["outputs"].pop(output) for output in known]
        self._sound.difference_update(known)
        self.save()
        for entry in entries:
            for record in entry["files"]:
                (self.folder / record["path"]).unlink(missing_ok=True)

    def commit(self, output: str, entry: dict[str, Any]) -> None:
        """Make a finished output exist."""
        self.manifest["outputs"][output] = entry
        self._sound.add(output)
        self.save()

    def save(self) -> None:
        """Write the manifest whole."""
        self.manifest["outputs"] = dict(sorted(self.manifest["outputs"].items()))
        data = json.dumps(self.manifest, indent=1, ensure_ascii=False).encode()
        temporary = self.folder / f"{MANIFEST}{TEMPORARY}"
        temporary.write_bytes(data)
        _sync(temporary)
        temporary.replace(self.folder / MANIFEST)
        _sync(self.folder)

    def event(self, event: dict[str, Any]) -> None:
        """Append one line to the log of events: the only place where times are written."""
        path = self.folder / "events" / "stages.jsonl"
        path.parent.mkdir(exist_ok=True)
        with path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(event) + "\n")

    def files(self, table: str) -> list[dict[str, Any]]:
        """Return the records of a table's files, in order of output name."""
        return [
            record
            for _, entry in sorted(self.manifest["outputs"].items())
            for record in entry["files"]
            if record["table"] == table
        ]

    def sweep(self) -> None:
        """Delete what a killed run left: temporary files, and our files without an entry."""
        known = {
            record["path"]
            for entry in self.manifest["outputs"].values()
            for record in entry["files"]
        }
        for path in self.folder.glob(f"{SPILL}*"):
            shutil.rmtree(path, ignore_errors=True)
        for name in sorted(OWN_FOLDERS - {"events"}):
            for path in sorted((self.folder / name).rglob("*"), reverse=True):
                if path.is_dir():
                    with contextlib.suppress(OSError):  # not empty: it holds known files
                        path.rmdir()
                elif (path.suffix in OWN_SUFFIXES or path.name == SUCCESS) and path.relative_to(
                    self.folder
                ).as_posix() not in known:
                    path.unlink()


def load_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a run folder.

    Raises RunFolderError when it is none, is damaged, or of another version.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
    except OSError as error:
        raise RunFolderError(
            "This is not a run folder.",
            where=str(folder),
            found="no manifest.json",
            fix="make one: rote run CORPUS... --out FOLDER",
        ) from error
    except ValueError as error:
        raise RunFolderError(
            "The manifest of this run folder is damaged.",
            where=str(path),
            found=str(error),
            fix="rebuild it: rote run CORPUS... --out NEW_FOLDER",
        ) from error
    if not isinstance(manifest, dict) or manifest.get("rote") != SCHEMA_VERSION:
        found = manifest.get("rote") if isinstance(manifest, dict) else None
        raise RunFolderError(
            "This run folder is of another version, or not of rote.",
            where=str(path),
            found=f"version {found}",
            expected=f"version {SCHEMA_VERSION}",
            fix="rebuild it: rote run CORPUS... --out NEW_FOLDER",
        )
    return manifest


@contextlib.contextmanager
def open_run(folder: Path, *, create: dict[str, Any] | None = None) -> Iterator[RunFolder]:
    """Open a run folder for writing, alone.

    With `create`, make it with that manifest when it is not there. The lock is the kernel's
    (flock), so a killed process leaves none behind. Raises RunFolderError for a folder that holds
    anything that is not ours, and for one that another process is writing.
    """
    if create is None:
        load_manifest(folder)
    else:
        refuse_foreign(folder)
        folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        if create is not None and not (folder / MANIFEST).exists():
            RunFolder(folder, create).save()
        run = RunFolder(folder, load_manifest(folder))
        run.sweep()
        yield run


def refuse_foreign(folder: Path) -> None:
    """Raise RunFolderError for an output that is neither new nor empty nor a run folder."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise RunFolderError(
            "The output is a file.", where=str(folder), expected="a new or empty folder, or a run"
        )
    if (folder / MANIFEST).exists():
        load_manifest(folder)  # a manifest of something else is refused before the lock is made
        return
    foreign = sorted(
        path.name for path in folder.iterdir() if path.name not in {LOCK, f"{MANIFEST}{TEMPORARY}"}
    )
    if foreign:
        raise RunFolderError(
            "The output folder holds files that are not of rote; nothing was touched.",
            where=str(folder),
            found=", ".join(foreign[:5])
            + (f" and {len(foreign) - 5} more" if len(foreign) > 5 else ""),
            expected="a new or empty folder, or a run folder",
            fix="name another folder with --out",
        )


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / LOCK).open("a+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            stream.seek(0)
            raise RunFolderError(
                "Another rote is writing to this run folder.",
                where=str(folder),
                found=f"process {stream.read().strip() or 'unknown'}",
                fix="wait for it to end, or use another --out",
            ) from error
        stream.truncate(0)
        stream.write(f"{os.getpid()}")
        stream.flush()
        try:
            yield
        finally:
            stream.truncate(0)
