"""A corpus at an address as a folder of this machine: fetched once, kept up to date.

Only files that changed are fetched, in ranges, several at a time, and each gets its name when it is
whole. A file's time is the storage's, so that the inventory sees what it would see in a folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from pipeline.errors import ConfigError, CorruptFile, InputError, RunFolderError, TransientIOError
from pipeline.storage.addresses import Listed, Storage, storage_at

RANGE_BYTES = 16 << 20
AT_ONCE = 8
ATTEMPTS = 3
SPARE_BYTES = 1 << 28
INDEX = "index.json"
UNFINISHED = ".rote-fetch"
Tell = Callable[[int, int, str], None]
T = TypeVar("T")


def scratch_folder(named: str) -> Path:
    """Return the folder for copies of what lies at addresses: the setting, or the user's cache."""
    if named:
        return Path(named).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "rote"


def place_of(address: str, scratch: Path, kind: str) -> Path:
    """Return the folder of one address in the scratch folder; its name ends as the address does."""
    digest = hashlib.blake2b(address.encode(), digest_size=8).hexdigest()
    return scratch / kind / digest / (address.rstrip("/").rpartition("/")[2] or "bucket")


def scratch_of(address: str, file: str) -> Path | None:
    """Return the scratch folder in which a file is part of the copy of an address, if it is."""
    above = Path(file).parents
    return next(
        (one for one in above if {Path(file), *above} & {place_of(address, one, "corpora")}), None
    )


def mirrored(address: str, scratch: Path, wanted: Callable[[str], bool], tell: Tell) -> Path:
    """Bring the copy of what lies at an address up to date, and return it: a folder, or a file.

    Args:
        address: of a folder or of one file.
        scratch: where copies lie.
        wanted: tells by its name whether a file is read at all.
        tell: told bytes fetched, bytes to fetch, and of what.

    Raises:
        InputError: nothing lies there, or nothing may be read.
        ConfigError: the scratch folder has too little room.
        TransientIOError: the storage did not answer.
    """
    storage = storage_at(address)
    found = asked(storage.objects)
    listed = [one for one in found if _is_data(one) and (not one.name or wanted(one.name))]
    if not listed:
        raise InputError(
            "Nothing that rote reads lies at an address.",
            where=address,
            found=f"{len(found)} other objects",
            fix="check the path",
        )
    folder = place_of(address, scratch, "corpora")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with alone(folder.parent):
        single = [one.name for one in listed] == [""]
        if not single:
            require_names(address, listed)
            folder.mkdir(exist_ok=True)
        bring(storage, folder, listed, tell)
    return folder


def _is_data(one: Listed) -> bool:
    """Tell whether an object is a file: some tools write empty ones that stand for folders."""
    return not one.name.endswith("/") and (bool(one.bytes) or bool(one.name))


def require_names(address: str, listed: Sequence[Listed]) -> None:
    """Refuse names that cannot be those of files.

    Raises:
        InputError: one leads out of the folder, or is that of a file and of a folder.
    """
    names = {one.name for one in listed}
    for name in names:
        steps = name.split("/")
        above = {"/".join(steps[:k]) for k in range(1, len(steps))}
        if {"", ".", ".."} & set(steps) or "\0" in name or above & names:
            raise InputError(
                "The name of an object cannot be that of a file.",
                where=f"{address}/{name}",
                fix="rename it, or name the others",
            )


def bring(storage: Storage, folder: Path, listed: Sequence[Listed], tell: Tell) -> None:
    """Fetch what changed and delete what is gone."""
    index = folder.parent / INDEX
    known = _read_index(index)
    due = [one for one in listed if not _is_there(folder / one.name, one, known)]
    total = sum(one.bytes for one in due)
    _require_room(folder, total)
    done = 0
    with ThreadPoolExecutor(AT_ONCE) as threads:
        for one in due:
            _fetch(storage, folder / one.name, one, threads)
            known[one.name] = one.tag
            done += one.bytes
            tell(done, total, storage.address)
    names = {one.name for one in listed}
    for path in [*folder.rglob("*")] if folder.is_dir() else ():
        if path.is_file() and path.relative_to(folder).as_posix() not in names:
            path.unlink()
    _write_index(index, {name: tag for name, tag in known.items() if name in names})


def _is_there(path: Path, one: Listed, known: dict[str, str]) -> bool:
    if known.get(one.name) != one.tag or not path.is_file():
        return False
    facts = path.stat()
    return facts.st_size == one.bytes and facts.st_mtime_ns == one.modified_ns


def _fetch(storage: Storage, path: Path, one: Listed, threads: ThreadPoolExecutor) -> None:
    """Fetch one file whole, or leave the former one.

    Raises:
        CorruptFile: it came short: it was written anew meanwhile.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(
        f"{hashlib.blake2b(path.name.encode(), digest_size=8).hexdigest()}{UNFINISHED}"
    )
    with part.open("wb") as stream:
        ranges = [
            (low, min(low + RANGE_BYTES, one.bytes)) for low in range(0, one.bytes, RANGE_BYTES)
        ]

        def take(span: tuple[int, int]) -> int:
            return os.pwrite(
                stream.fileno(), asked(lambda: storage.read(one.name, *span, one.tag)), span[0]
            )

        got = sum(threads.map(take, ranges))
    if got != one.bytes:
        raise CorruptFile(
            "A file was not fetched whole: it may have been written anew meanwhile.",
            where=f"{storage.address}/{one.name}",
            found=f"{got:,} bytes",
            expected=f"{one.bytes:,}",
            fix="run the same command again",
        )
    os.utime(part, ns=(one.modified_ns, one.modified_ns))
    part.replace(path)


def asked(question: Callable[[], T]) -> T:
    """Ask a storage something; where the answer ends early, ask again."""
    for _ in range(ATTEMPTS - 1):
        with contextlib.suppress(TransientIOError):
            return question()
    return question()


def _require_room(folder: Path, total: int) -> None:
    """Refuse to fill the disk.

    Raises:
        ConfigError: there is less room than that.
    """
    place = folder if folder.is_dir() else folder.parent
    free = shutil.disk_usage(place).free
    if total + SPARE_BYTES > free:
        raise ConfigError(
            "The scratch folder has too little room for the corpus.",
            where=str(place),
            found=f"{free / 1e9:,.1f} GB free",
            expected=f"{(total + SPARE_BYTES) / 1e9:,.1f} GB",
            fix="name another one: --set limits.scratch=FOLDER",
        )


def _read_index(path: Path) -> dict[str, str]:
    try:
        return dict(json.loads(path.read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):  # of a fetch that was killed: fetch again
        return {}


def _write_index(path: Path, known: dict[str, str]) -> None:
    part = path.with_name(f"{path.name}{UNFINISHED}")
    part.write_text(json.dumps(known))
    part.replace(path)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep others from fetching into the same folder.

    Raises:
        RunFolderError: another process does.
    """
    with (folder / ".lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RunFolderError(
                "Another rote is fetching from the same address.",
                where=str(folder),
                fix="wait for it to end, or name another place: --set limits.scratch=FOLDER",
            ) from error
        yield
