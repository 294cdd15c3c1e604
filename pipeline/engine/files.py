"""Files of a run folder: each exists whole or does not exist.

A file is written under a temporary name in its own folder, synced, and renamed once it reads back
as written. Errors of the operating system about our own files are translated here and nowhere
else.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from pipeline.engine.stage import FileRecord
from pipeline.errors import IntegrityError, RunFolderError

TEMPORARY = ".tmp"
SPILL = ".spill-"
DISK_FULL = frozenset([errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
FORBIDDEN = frozenset([errno.EACCES, errno.EPERM, errno.EROFS])


def digest_file(path: Path) -> str:
    """Return the BLAKE2b-128 of a file's bytes, as hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


class PendingFile:
    """A file of a table that is written whole or not at all, under a name of its own until then.

    Attributes:
        table: the table that it is part of.
        path: below the run folder.
        rows: rows written so far.
        record: the finished file; there once its block has ended.
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
    sync(temporary)
    temporary.replace(final)
    sync(final.parent)
    return FileRecord(table, path, rows, size, digest)


def sync(path: Path) -> None:
    """Wait until a file, or the entries of a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


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
    """Translate what the system says when it does not let us write to the run folder.

    Raises:
        RunFolderError: the disk is full, or the folder may not be written to.
    """
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
