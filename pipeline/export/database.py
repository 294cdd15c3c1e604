"""A run as one DuckDB file: every current table, and what each column means.

Two tables are added: `rote_columns` (table, column, type, unit, meaning) and `rote_run` (the
settings and facts of the run, one row each).
"""

from __future__ import annotations

import glob
import json
from collections.abc import Collection, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.config.load import load_config
from pipeline.engine.files import remove_quietly, temporary_of
from pipeline.engine.memory import budget_of, workers_of
from pipeline.engine.progress import current
from pipeline.engine.query import Limits, write_database
from pipeline.engine.system import writing
from pipeline.errors import InputError
from pipeline.export.source import Source, read_source, require_new

COLUMNS, RUN = "rote_columns", "rote_run"
SUFFIXES = (".duckdb", ".db")


def to_database(folder: Path, target: Path, stale: Collection[str] = ()) -> list[str]:
    """Write every table of a run into a new DuckDB file, whole or not at all; return their names.

    Args:
        folder: the run folder.
        target: the file.
        stale: tables that are of an earlier scan or setting, and left out.

    Raises:
        InputError: The file is there already, or its name is not that of a database.
        IntegrityError: A file of the run is not as it was written.
    """
    if target.suffix.lower() not in SUFFIXES:
        raise InputError(
            "The name is not that of a database.",
            where=f"--to {target}",
            expected="a name that ends in .duckdb",
        )
    require_new(target, "--to")
    source = read_source(folder, stale)
    temporary = temporary_of(target.absolute())
    with writing(target.absolute().parent):
        try:
            names = _written(source, temporary)
            temporary.replace(target)
        finally:
            remove_quietly([temporary, temporary.with_name(f"{temporary.name}.wal")])
    return names


def _written(source: Source, path: Path) -> list[str]:
    """Write the tables, then what is known of them; return their names."""
    tables: dict[str, Sequence[Path] | str | pa.Table] = {}
    for table, records in sorted(source.tables.items()):
        paths = [source.check(record) for record in records]
        below = Path(glob.escape(str(source.folder.absolute()))) / table
        parquet = paths[0].suffix == ".parquet"
        tables[table.replace("/", "_")] = paths if parquet else str(below / "**" / "*.jsonl")
    tables |= {COLUMNS: _columns(source), RUN: _facts(source)}
    config = load_config(base=source.manifest["config"])
    limits = Limits(budget_of(config), workers_of(config), path.parent)
    names = []
    for name in write_database(path, tables, limits):
        names.append(name)
        current().advance(len(names), len(tables), name)
    return names


def _columns(source: Source) -> pa.Table:
    """Return a row per column of each table: its type, unit and meaning."""
    rows = []
    for table in sorted(source.tables):
        first = source.paths(table)[0]
        if first.suffix != ".parquet":
            continue
        schema = pq.read_schema(first)
        rows += [(table.replace("/", "_"), *described) for described in _described(schema, "")]
    names = ("table", "column", "type", "unit", "meaning")
    return pa.table(
        [pa.array([row[place] for row in rows], pa.string()) for place in range(len(names))],
        names=list(names),
    )


def _described(fields: pa.Schema | pa.StructType, above: str) -> list[tuple[str, str, str, str]]:
    """Return name, type, unit and meaning of each field, also of those inside of structs."""
    found = []
    for place in range(len(fields) if isinstance(fields, pa.Schema) else fields.num_fields):
        field = fields.field(place)
        about = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
        name = f"{above}{field.name}"
        kind = str(field.type) if not pa.types.is_struct(field.type) else "struct"
        found.append((name, kind, about.get("unit", ""), about.get("doc", "")))
        if pa.types.is_struct(field.type):
            found += _described(field.type, f"{name}.")
    return found


def _facts(source: Source) -> pa.Table:
    """Return the version, the settings and the facts of each stage, as JSON."""
    manifest = source.manifest
    rows = [("version", manifest["version"]), ("scan", manifest["scan"])]
    rows += [(f"config.{name}", value) for name, value in sorted(manifest["config"].items())]
    rows += [
        (f"facts.{name}", entry["facts"])
        for name, entry in sorted(manifest["outputs"].items())
        if entry.get("facts") and any(f["table"] in source.tables for f in entry["files"])
    ]
    return pa.table(
        {
            "key": pa.array([key for key, _ in rows], pa.string()),
            "value": pa.array([json.dumps(value) for _, value in rows], pa.string()),
        }
    )
