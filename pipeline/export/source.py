"""What a run folder has to take elsewhere: its tables as they are current, each file checked."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.engine.files import damaged_file, digest_file
from pipeline.engine.run_folder import RunFolder, read_run
from pipeline.engine.stage import FileRecord
from pipeline.errors import ConfigError, InputError

KEPT = "kept"
FORMATS = (".parquet", ".jsonl")


@dataclass(frozen=True)
class Source:
    """A run folder that is read.

    Attributes:
        folder: where it is.
        manifest: what its manifest holds.
        tables: the files of each table that is current, in order of their paths.
    """

    folder: Path
    manifest: dict[str, Any]
    tables: dict[str, list[FileRecord]]

    def paths(self, table: str) -> list[Path]:
        """Return the files of a table."""
        return [self.folder / record.path for record in self.tables[table]]

    def facts(self, output: str) -> dict[str, Any]:
        """Return what a stage noted besides its tables; empty when it has not run."""
        return dict(self.manifest["outputs"].get(output, {}).get("facts", {}))

    def check(self, record: FileRecord) -> Path:
        """Return a file that is as it was written.

        Raises:
            IntegrityError: it is not, or is gone.
        """
        path = self.folder / record.path
        if not path.is_file():
            raise damaged_file(path, "nothing there")
        if digest_file(path) != record.digest:
            raise damaged_file(path, "other bytes than were written")
        return path


def read_source(folder: Path, stale: Collection[str]) -> Source:
    """Return what a run folder has, without the tables that are of an earlier scan or setting.

    Args:
        folder: the run folder.
        stale: names of those tables.

    Raises:
        ConfigError: nothing in it is current.
        RunFolderError: it is no run folder.
    """
    run: RunFolder = read_run(folder)
    tables: dict[str, list[FileRecord]] = {}
    for _, entry in sorted(run.manifest["outputs"].items()):
        for record in map(_record, entry["files"]):
            if record.table not in stale and record.path.endswith(FORMATS):
                tables.setdefault(record.table, []).append(record)
    if not tables:
        raise ConfigError(
            "This run folder holds no table that is current.",
            where=str(folder),
            fix=f"finish its scan: rote scan CORPUS... --out {folder}",
        )
    tables = {name: sorted(files, key=lambda file: file.path) for name, files in tables.items()}
    return Source(folder, run.manifest, tables)


def _record(entry: dict[str, Any]) -> FileRecord:
    return FileRecord(**entry)


def require_kept(source: Source) -> list[FileRecord]:
    """Return the files of kept/.

    Raises:
        InputError: The filter has not run, or is of an earlier scan or setting.
    """
    if KEPT not in source.tables or "seal/all" not in source.manifest["outputs"]:
        raise InputError(
            "There is no kept/ to take elsewhere.",
            where=str(source.folder),
            found="no filter, or one of an earlier scan or setting",
            fix=f"rote filter {source.folder}",
        )
    return source.tables[KEPT]


def require_new(path: Path, option: str) -> None:
    """Refuse to write over anything.

    Raises:
        InputError: Something is there, or the folder that it is to be in is not.
    """
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise InputError(
            "Something is there already; nothing was touched.",
            where=f"{option} {path}",
            expected="a new name",
            fix="name another, or move it away",
        )
    if not path.absolute().parent.is_dir():
        raise InputError(
            "The folder to write to does not exist.",
            where=f"{option} {path}",
            found=f"no folder {path.absolute().parent}",
            fix="make it, or name another",
        )
