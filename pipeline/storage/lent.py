"""Copies of a corpus larger than the scratch folder: a file comes when it is read, and goes again.

A file that is not there is one of no bytes, with the time of its object. What is read stays; else
the files read longest ago make room. Who reads files in order finds the next one fetched already.
Who reads a file has a lock on it (`flock`), and only a file that nobody has locked goes, so that
commands that share a scratch folder, each with its own room, do not take files from one another.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import astuple, dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO
from weakref import finalize

from pipeline.errors import PipelineError, RunFolderError, TransientIOError
from pipeline.storage.addresses import Listed, Storage, storage_at
from pipeline.storage.fetching import AT_ONCE, ATTEMPTS, UNFINISHED, asked, fetch

NOTE = "lent.json"  # beside a folder of such copies
IN_USE = ".lent"  # beside it, locked while files may come and go
TAIL_BYTES = 1 << 16


@dataclass(frozen=True)
class LentFile:
    """A file of which the copy may not be there.

    Attributes:
        listed: its object.
        tail: digest of its last bytes, as of a file that is there.
    """

    listed: Listed
    tail: str


def tail_digest(tail: bytes) -> str:
    """Return the BLAKE2b-128 hex of the last `TAIL_BYTES` of a file."""
    return hashlib.blake2b(tail, digest_size=16).hexdigest()


class Lent:
    """A folder of copies of which only some are there at a time; threads share it.

    Attributes:
        files: by their names below the folder.
        room: bytes that may be there, beside what is being read.
        close: lets other commands have the whole copy.
    """

    def __init__(
        self, folder: Path, storage: Storage, files: Sequence[LentFile], room: int
    ) -> None:
        self.files = {one.listed.name: one for one in files}
        self.room = room
        self._folder = folder
        self._storage = storage
        self._names = sorted(self.files)
        self._places = {name: place for place, name in enumerate(self._names)}
        self._there = OrderedDict[str, int]()  # bytes of each, read longest ago first
        self._taken = 0  # bytes of these, and of what is coming
        self._coming: set[str] = set()
        self._readers = Counter[str]()
        self._read: set[str] = set()
        self._waiting: set[str] = set()  # fetched, not read yet
        self._changed = threading.Condition()
        used = os.open(folder.parent / IN_USE, os.O_CREAT | os.O_RDWR, 0o644)
        fcntl.flock(used, fcntl.LOCK_SH)
        self.close = finalize(self, os.close, used)  # as the process ends, at the latest
        for name in self._names:
            if is_whole(folder / name, self.files[name].listed):
                self._enter(name)

    def _enter(self, name: str) -> None:
        self._there[name] = self.files[name].listed.bytes
        self._taken += self._there[name]

    def _leave(self, name: str) -> None:
        self._taken -= self._there.pop(name, 0)

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(AT_ONCE)

    @cached_property
    def _ahead(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1)

    @contextmanager
    def holding(self, name: str) -> Iterator[None]:
        """Have a file there while it is read.

        Raises:
            InputError: it is not in the storage any more, or written anew.
            TransientIOError: the storage did not answer.
        """
        with self._changed:
            self._readers[name] += 1
            self._waiting.discard(name)
        try:
            with self._locked(name):
                self._look_ahead(name)
                yield
        finally:
            with self._changed:
                self._readers[name] -= 1
                self._make_room(0)

    def _locked(self, name: str) -> BinaryIO:
        """Return a file that is there and stays until it is closed.

        Raises:
            TransientIOError: others let it go each time before it could be read.
        """
        for _ in range(ATTEMPTS):
            self._come(name)
            with suppress(FileNotFoundError):
                stream = (self._folder / name).open("rb")
                fcntl.flock(stream, fcntl.LOCK_SH)
                if is_whole(self._folder / name, self.files[name].listed):
                    return stream
                stream.close()
        raise TransientIOError(
            "A file of the corpus was let go by others before it could be read.",
            where=str(self._folder / name),
            fix="raise limits.scratch_disk, or name another place: --set limits.scratch=FOLDER",
        )

    def _come(self, name: str, *, needed: bool = True) -> None:
        """Fetch a file unless it is there or another thread does.

        Args:
            name: of it.
            needed: else it is only fetched where there is room.
        """
        size = self.files[name].listed.bytes
        with self._changed:
            while name in self._coming:
                self._changed.wait()
            if is_whole(self._folder / name, self.files[name].listed):
                self._leave(name)  # and enter it as the last
                self._enter(name)
                return
            self._leave(name)  # another command let it go, or someone deleted it
            free = self._make_room(size, last_resort=needed)
            if not needed and free < size:
                return
            self._coming.add(name)
            self._taken += size
        try:
            fetch(self._storage, self._folder / name, self.files[name].listed, self._threads)
        except BaseException:
            with self._changed:
                self._coming.discard(name)
                self._taken -= size
                self._changed.notify_all()
            raise
        with self._changed:
            self._coming.discard(name)
            self._there[name] = size
            if not self._readers[name]:
                self._waiting.add(name)
            self._changed.notify_all()

    def _make_room(self, size: int, *, last_resort: bool = False) -> int:
        """Let files go until there is room for one; return the bytes that are free then.

        None that is being read goes, and one that waits to be read as a last resort. The caller
        holds the lock.
        """
        if self.room - self._taken >= size:
            return self.room - self._taken
        idle = [name for name in self._there if not self._readers[name]]
        ready = [name for name in idle if name not in self._waiting]
        for name in [*ready, *(self._waiting & {*idle} if last_resort else ())]:
            if put_away(self._folder / name, self.files[name].listed):
                self._waiting.discard(name)
                self._leave(name)
            if self.room - self._taken >= size:
                break
        return self.room - self._taken

    def _look_ahead(self, name: str) -> None:
        """Have the next file fetched meanwhile, where the one before was read before."""
        place = self._places[name]
        before = self._names[place - 1] if place else None
        in_order = before is None or before in self._read
        self._read.add(name)
        if in_order and place + 1 < len(self._names):
            self._ahead.submit(self._try, self._names[place + 1])

    def _try(self, name: str) -> None:
        with suppress(PipelineError, OSError):  # who reads it is told
            self._come(name, needed=False)


_LENT: dict[Path, Lent] = {}
_ONE = threading.Lock()


def lend(folder: Path, storage: Storage, files: Sequence[LentFile], room: int) -> None:
    """Let the files of a folder of copies come when they are read; other processes know by a note.

    Args:
        folder: of the copies; each is there, or a file of no bytes.
        storage: where they come from.
        files: that come and go.
        room: bytes that may be there.
    """
    rows = [[*astuple(one.listed), one.tail] for one in files]
    part = folder.parent / f"{NOTE}{UNFINISHED}"
    part.write_text(json.dumps({"address": storage.address, "room": room, "files": rows}))
    part.replace(folder.parent / NOTE)
    with _ONE:
        former = _LENT.pop(folder, None)
        _LENT[folder] = Lent(folder, storage, files, room)
    if former is not None:
        former.close()


def lend_no_more(folder: Path) -> None:
    """Treat a folder of copies as one of which all are there.

    Raises:
        RunFolderError: another process reads from it a file at a time.
    """
    with _ONE:
        former = _LENT.pop(folder, None)
    if former is not None:
        former.close()
    if not (folder.parent / NOTE).is_file():
        return
    with nobody_reads(folder) as whole:
        if not whole:
            raise RunFolderError(
                "Another rote has files of this corpus come and go.",
                where=str(folder.parent),
                fix="wait for it to end, or name another place: --set limits.scratch=FOLDER",
            )
        (folder.parent / NOTE).unlink(missing_ok=True)


@contextmanager
def nobody_reads(folder: Path) -> Iterator[bool]:
    """Tell whether files of a folder of copies come and go for nobody, and let none meanwhile."""
    with (folder.parent / IN_USE).open("w") as used:
        try:
            fcntl.flock(used, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True


def noted(folder: Path) -> tuple[int, list[LentFile]]:
    """Return how many bytes of a folder of copies may be there, and its files; 0 if all may."""
    try:
        note = json.loads((folder.parent / NOTE).read_bytes())
        return int(note["room"]), [LentFile(Listed(*row[:4]), row[4]) for row in note["files"]]
    except (OSError, ValueError, TypeError, KeyError):
        return 0, []


def held(path: str) -> AbstractContextManager[None]:
    """Have a file of a corpus there while it is read, if it is one that comes and goes.

    Raises:
        PipelineError: it cannot be fetched.
    """
    found = _lent(Path(path))
    return nullcontext() if found is None else found[0].holding(found[1])


def identity_of(path: Path) -> tuple[int, int, str] | None:
    """Return size, time in ns and digest of the tail of a file that comes and goes; else None."""
    found = _lent(path)
    if found is None:
        return None
    one = found[0].files[found[1]]
    return one.listed.bytes, one.listed.modified_ns, one.tail


def is_away(path: Path) -> bool:
    """Tell whether a file would have to be fetched to be read."""
    return _is_empty(path) and _lent(path) is not None


def is_whole(path: Path, one: Listed) -> bool:
    """Tell whether a copy is there with the size and the time of its object."""
    try:
        facts = path.stat()
    except OSError:
        return False
    return facts.st_size == one.bytes and facts.st_mtime_ns == one.modified_ns


def put_away(path: Path, one: Listed) -> bool:
    """Leave a file of no bytes in place of a copy, unless it is read; tell whether it was done."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        if path.exists():
            stream = stack.enter_context(path.open("rb"))
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        part = path.with_name(f"{secrets.token_hex(8)}{UNFINISHED}")
        part.write_bytes(b"")
        os.utime(part, ns=(one.modified_ns, one.modified_ns))
        part.replace(path)
    return True


def tail_of(storage: Storage, one: Listed) -> str:
    """Return the digest of the last bytes of an object."""
    low = max(0, one.bytes - TAIL_BYTES)
    return tail_digest(asked(lambda: storage.read(one.name, low, one.bytes, one.tag)))


def _lent(path: Path) -> tuple[Lent, str] | None:
    """Return the folder of copies that a file is in, and its name there."""
    for folder in path.parents:
        lent = _LENT.get(folder) or _opened(folder)
        if lent is not None:
            name = path.relative_to(folder).as_posix()
            return (lent, name) if name in lent.files else None
    return None


def _is_empty(path: Path) -> bool:
    try:
        return path.stat().st_size == 0
    except OSError:
        return False


def _opened(folder: Path) -> Lent | None:
    """Return a folder of copies that an earlier process lent, if it is one."""
    if not (folder.parent / NOTE).is_file():
        return None
    room, files = noted(folder)
    if not room:
        return None
    address = json.loads((folder.parent / NOTE).read_bytes())["address"]
    with _ONE:
        if folder not in _LENT:
            _LENT[folder] = Lent(folder, storage_at(address), files, room)
        return _LENT[folder]
