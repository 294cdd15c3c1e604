"""Folders that are a table of Delta Lake, Iceberg or Lance: their readers tell which files it has.

Such a folder also holds files of former versions, with rows that were deleted since; only those of
the last version are read. A table whose deletions are noted beside its files is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlparse

from pipeline.corpus.files import reading
from pipeline.errors import CorruptFile, InputError

LOG = "_delta_log"  # the folder of a Delta table's log
LANCE = "_versions"  # the folder of a Lance table's manifests
NOTED = (LOG, LANCE, "_deletions")  # folders of what tells the files of a table
_LOGGED = re.compile(r"\d{20}\.(json|checkpoint)")
_VERSION = re.compile(r"v?(\d+)")


def table_files(folder: Path) -> list[Path] | None:
    """Return the files of the last version of a table; None for a folder that is none.

    Raises:
        InputError: When rows are deleted beside the files, or one of these is not here.
        CorruptFile: When the table cannot be read.
    """
    reader = _reader(folder)
    if reader is None:
        return None
    with reading(str(folder)):
        try:
            found = [_local(uri, folder) for uri in reader(folder)]
        except (ValueError, KeyError, TypeError) as error:  # of the libraries, by their kind
            raise CorruptFile(
                "A table cannot be read.",
                where=str(folder),
                found=type(error).__name__,
                fix="see whether its own tools read it, or name its files one by one",
            ) from error
    missing = [path for path in found if not path.is_file()]
    if missing:
        raise InputError(
            "A file of a table is not here.",
            where=str(folder),
            found=f"{len(missing):,} of {len(found):,} are gone or elsewhere: {missing[0].name}",
            fix="read the table where it is, or write it anew",
        )
    return sorted(found)


def _reader(folder: Path) -> Callable[[Path], list[str]] | None:
    if any(_LOGGED.match(path.name) for path in (folder / LOG).glob("*")):
        return _of_delta
    if (folder / "data").is_dir() and any((folder / "metadata").glob("*.metadata.json")):
        return _of_iceberg
    if any((folder / LANCE).glob("*.manifest")):
        return _of_lance
    return None


def _of_delta(folder: Path) -> list[str]:
    """Return the files of a Delta table."""
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    try:
        table = DeltaTable(folder)
        features = table.protocol().reader_features or []
        if "deletionVectors" in features and any(
            batch.num_rows for batch in table.deletion_vectors()
        ):
            raise _deletions(folder, "REORG TABLE ... APPLY (PURGE)")
        return list(table.file_uris())
    except DeltaError as error:
        raise ValueError from error


def _of_iceberg(folder: Path) -> list[str]:
    """Return the files of an Iceberg table, of its highest version."""
    from pyiceberg.table import StaticTable

    notes = (folder / "metadata").glob("*.metadata.json")
    last = max(notes, key=lambda path: (_number(path.name), path.name))
    tasks = [*StaticTable.from_metadata(str(last)).scan().plan_files()]
    if any(task.delete_files for task in tasks):
        raise _deletions(folder, "rewrite_data_files")
    return [task.file.file_path for task in tasks]


def _of_lance(folder: Path) -> list[str]:
    """Return the last file of each fragment of a Lance table; a new column brings another."""
    import lance

    parts = lance.dataset(str(folder)).get_fragments()
    if any(part.num_deletions for part in parts):
        raise _deletions(folder, "optimize.compact_files")
    return [str(folder / "data" / part.data_files()[-1].path) for part in parts]


def _number(name: str) -> int:
    found = _VERSION.match(name)
    return int(found[1]) if found else -1


def _local(uri: str, folder: Path) -> Path:
    """Return the place of a file below the folder; Iceberg notes where it was first written."""
    path = Path(unquote(urlparse(uri).path)) if "://" in uri else Path(uri)
    for base in (folder, folder.resolve()):
        if path.is_relative_to(base):
            return folder / path.relative_to(base)
    _, _, below = path.as_posix().rpartition("/data/")
    return folder / "data" / below if below else folder / path.name


def _deletions(folder: Path, command: str) -> InputError:
    """Return the error for a table with deletions beside its files."""
    return InputError(
        "A table has rows that are deleted beside its files.",
        where=str(folder),
        found="deletion vectors or delete files",
        expected="files without the deleted rows",
        fix=f"rewrite the table with its own tools ({command}), or write its rows to Parquet",
    )
