"""Files of a run folder: each exists whole or does not exist.

A file is written under a temporary name in its own folder, synced, and renamed once it reads back
as written. While a stage runs, its finished files wait under their temporary names (`holding`) and
get their own when the whole unit is recorded, so that what the last version needs stays until the
next is whole. Errors of the operating system about our own files are translated in
`pipeline.engine.system`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from pipeline.engine.manifest import require_below, require_no_link
from pipeline.engine.stage import FileRecord
from pipeline.errors import IntegrityError

TEMPORARY = ".rote-tmp"  # nobody else's: a name that ends so is swept away
SPILL = ".spill-"
_SPILLED = re.compile(r"\.spill-[a-z0-9_]{8}")  # as `tempfile` completes it
_NODE = secrets.token_hex(3)  # processes of several machines may have one number
_LONG = 200  # bytes of a name from which on its temporary name is a digest of it


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
        place: where the finished file lies until its unit is recorded.
    """

    def __init__(self, folder: Path, table: str, path: str) -> None:
        self.table = table
        self.path = path
        self.rows = 0
        self.record: FileRecord
        self.place: Path
        self._final = _ready(folder, path)
        self._temporary = temporary_of(self._final)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        finished = False
        try:
            if kind is not None:
                with contextlib.suppress(OSError, ValueError):  # the first error is the one to tell
                    self._close()
                return
            self._close()
            self._check()
            self.record = publish(self._temporary, self._final, self.table, self.path, self.rows)
            self.place = place_of(self._final)
            finished = True
        finally:
            if not finished:
                remove_quietly([self._temporary])

    def _close(self) -> None:
        """End the writing of the temporary file."""

    def _check(self) -> None:
        """Refuse a temporary file that does not hold what was written."""


def write_file(folder: Path, table: str, name: str, data: bytes) -> FileRecord:
    """Write `folder/table/name` whole or not at all; rows are 0 for a file that is no table."""
    path = f"{table}/{name}"
    final = _ready(folder, path)
    temporary = temporary_of(final)
    try:
        temporary.write_bytes(data)
        return publish(temporary, final, table, path, 0)
    except OSError:
        remove_quietly([temporary])
        raise


def _ready(folder: Path, path: str) -> Path:
    """Return the place of a file to be written, its folder made; it must be in the run folder."""
    final = require_below(folder, path, str(folder))
    require_no_link(folder, path, str(folder))
    final.parent.mkdir(parents=True, exist_ok=True)
    return final


def temporary_of(final: Path) -> Path:
    """Return the name of a file while it is written, in the same folder."""
    name = os.fsencode(final.name)
    short = hashlib.blake2b(name, digest_size=16).hexdigest() if len(name) > _LONG else final.name
    return final.with_name(f"{short}.{os.getpid()}-{_NODE}{TEMPORARY}")


def publish(temporary: Path, final: Path, table: str, path: str, rows: int) -> FileRecord:
    """Make a finished temporary file ready, and return its record.

    It gets its own name at once, or with `named` where its folder is held.

    Raises:
        IntegrityError: the hold on its folder ended by an error, and a thread of it still writes.
    """
    digest = digest_file(temporary)
    size = temporary.stat().st_size
    sync(temporary)
    with _LOCK:
        held = any(folder in final.parents for folder in _HELD)
        if held:
            _WAITING[final] = temporary
        elif any(folder in final.parents for folder in _ABANDONED):
            raise _too_late(final)
    if not held:
        temporary.replace(final)
        sync(final.parent)
    return FileRecord(table, path, rows, size, digest)


_LOCK = threading.Lock()
_HELD: list[Path] = []  # run folders in which a stage runs
_ABANDONED: set[Path] = set()  # those in which the last one was stopped, until the next begins
_WAITING: dict[Path, Path] = {}  # finished files without their name yet, and where they lie


@contextlib.contextmanager
def holding(folder: Path) -> Iterator[None]:
    """Let finished files below a run folder wait for `named`; what still waits at the end goes.

    Ctrl-C ends a hold while threads are in the middle of a unit: what they finish afterwards has no
    entry to wait for, so it gets no name either.
    """
    with _LOCK:
        _HELD.append(folder)
        _ABANDONED.discard(folder)
    try:
        yield
    except BaseException:
        with _LOCK:
            _ABANDONED.add(folder)
        raise
    finally:
        with _LOCK:
            _HELD.remove(folder)
            left = [_WAITING.pop(final) for final in [*_WAITING] if folder in final.parents]
        remove_quietly(left)


def _too_late(final: Path) -> IntegrityError:
    return IntegrityError(
        "A file was finished after the work that it is part of had been stopped.",
        where=str(final),
        fix="run the same command again: the file does not count",
    )


def handed_over(folder: Path) -> dict[str, str]:
    """Return the finished files below a folder and where they lie, and forget them here.

    For another process that shares the folder, which names them (`taken_over`).
    """
    with _LOCK:
        finals = [final for final in _WAITING if folder in final.parents]
        return {str(final): str(_WAITING.pop(final)) for final in finals}


def taken_over(waiting: Mapping[str, str]) -> None:
    """Let files that another process finished wait here for `named`."""
    with _LOCK:
        _WAITING.update({Path(final): Path(place) for final, place in waiting.items()})


def place_of(final: Path) -> Path:
    """Return where a finished file lies now: under its own name, or waiting for it."""
    with _LOCK:
        return _WAITING.get(final, final)


def waiting(finals: Iterable[Path]) -> list[Path]:
    """Return those of some files that are finished and wait for their name."""
    with _LOCK:
        return [final for final in finals if final in _WAITING]


def named(finals: Iterable[Path]) -> None:
    """Give waiting files their own names, for good."""
    for final in finals:
        with _LOCK:
            temporary = _WAITING[final]
        temporary.replace(final)
        with _LOCK:
            del _WAITING[final]
    for parent in sorted({final.parent for final in finals}):
        sync(parent)


def remove_quietly(paths: Iterable[Path]) -> None:
    """Delete temporary files as far as the system lets us; the next sweep takes what is left."""
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink()


def is_spilled(path: Path) -> bool:
    """Tell whether a folder is one of those that hold data put aside."""
    return _SPILLED.fullmatch(path.name) is not None


def sync(path: Path) -> None:
    """Wait until a file, or the entries of a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def files_below(folder: Path, tables: Iterable[str]) -> Iterator[Path]:
    """Yield all files and links below some folders of a run folder, in order; follow no link."""
    for name in sorted(set(tables)):
        top = folder / name
        if top.is_symlink() or top.is_file():
            yield top
        elif top.is_dir():
            for path in sorted(top.rglob("*")):
                if path.is_symlink() or not path.is_dir():
                    yield path


def write_whole(path: Path, data: bytes) -> None:
    """Write a file beside the manifest whole or not at all, for good."""
    temporary = path.with_name(f"{path.name}{TEMPORARY}")
    temporary.unlink(missing_ok=True)  # a link that someone put there is not written through
    with temporary.open("xb") as stream:
        stream.write(data)
    sync(temporary)
    temporary.replace(path)
    sync(path.parent)


def damaged_file(path: Path, found: str) -> IntegrityError:
    """Return the error for one of our own files that is not as it was written."""
    return IntegrityError(
        "A file of the run folder is damaged or missing.",
        where=str(path),
        found=found,
        fix="make it anew: rote check RUN --repair, or the command that made it with --verify",
    )
