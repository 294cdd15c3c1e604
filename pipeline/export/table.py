"""The kept rows as a new version of a table of Delta Lake or Lance."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.corpus.casts import in_types
from pipeline.engine.progress import current
from pipeline.engine.system import writing
from pipeline.errors import InputError
from pipeline.export.source import read_source, require_kept

LANCE = ".lance"
MARK = "rote"
BATCH_ROWS = 1024


def to_table(folder: Path, target: Path, stale: Collection[str] = ()) -> int:
    """Write the kept rows of a run as the new version of a table; return how many there are.

    A table that is not there is made, of Lance where the name ends in `.lance`, else of Delta Lake.
    Former versions stay in it until its own tools remove them.

    Args:
        folder: the run folder.
        target: the folder of the table.
        stale: tables of the run that are of an earlier scan or setting.

    Raises:
        InputError: There are no kept rows in Parquet, the folder holds something else, or a column
            has several types, or one that the table cannot hold.
        IntegrityError: A file of the run is not as it was written.
    """
    source = read_source(folder, stale)
    records = require_kept(source)
    paths = [source.check(record) for record in records]
    if any(path.suffix != ".parquet" for path in paths):
        raise InputError(
            "Kept rows in JSON Lines have no types for a table.",
            where=str(folder),
            fix='filter with --set emit.format="parquet"',
        )
    about = json.dumps({key: source.manifest[key] for key in ("version", "scan")})
    schema = _schema(paths)
    rows = pa.RecordBatchReader.from_batches(schema, _batches(paths, schema))
    write = _write_lance if target.suffix == LANCE else _write_delta
    with writing(target.absolute().parent):
        write(rows, target, about)
    return sum(record.rows for record in records)


def _schema(paths: Sequence[Path]) -> pa.Schema:
    """Return the columns of all files.

    Raises:
        InputError: When one is not of the same type in all of them.
    """
    first, *others = [pq.read_schema(path) for path in paths]
    for path, schema in zip(paths[1:], others, strict=True):
        for field in first:
            kind = schema.field(field.name).type
            if kind != field.type:
                raise InputError(
                    "A column is of several types, and a table has one.",
                    where=f"column {field.name}",
                    found=f"{field.type} in {paths[0].name}, {kind} in {path.name}"[:300],
                    fix="leave the column out or convert it, or use --hub",
                )
    return first


def _batches(paths: Sequence[Path], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for number, path in enumerate(paths):
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(BATCH_ROWS):
                yield in_types(batch, schema)
        current().advance(number + 1, len(paths), path.name)


def _write_delta(rows: pa.RecordBatchReader, target: Path, about: str) -> None:
    """Write rows as the new version of a Delta table."""
    from deltalake import CommitProperties, DeltaTable, write_deltalake

    there = DeltaTable.is_deltatable(str(target))
    _require_ours(target, ours=there and MARK in DeltaTable(target).history(1)[0])
    try:
        write_deltalake(
            target,
            rows,
            mode="overwrite",
            schema_mode="overwrite",
            commit_properties=CommitProperties(custom_metadata={MARK: about}),
        )
    except Exception as error:  # the library raises nothing narrower for a type that it lacks
        raise _not_written(target, error) from error


def _write_lance(rows: pa.RecordBatchReader, target: Path, about: str) -> None:
    """Write rows as the new version of a Lance table."""
    import lance

    try:
        there = (target / "_versions").is_dir()
        ours = there and MARK.encode() in (lance.dataset(str(target)).schema.metadata or {})
        _require_ours(target, ours=ours)
        schema = rows.schema.with_metadata({**(rows.schema.metadata or {}), MARK: about})
        marked = pa.RecordBatchReader.from_batches(
            schema, (batch.replace_schema_metadata(schema.metadata) for batch in rows)
        )
        lance.write_dataset(marked, str(target), schema=schema, mode="overwrite")
    except (ValueError, OSError, pa.ArrowException) as error:
        raise _not_written(target, error) from error


def _require_ours(target: Path, *, ours: bool) -> None:
    """Refuse to write a version over what rote did not write."""
    if ours or not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    raise InputError(
        "Something that rote did not write is there already; nothing was touched.",
        where=f"--table {target}",
        expected="a new name, or a table whose last version is by rote",
        fix="name another",
    )


def _not_written(target: Path, error: Exception) -> InputError:
    return InputError(
        "The rows cannot be written as a table.",
        where=f"--table {target}",
        found=str(error).partition("\n")[0][:200],
        fix="leave the column out or convert it, or use --hub",
    )
