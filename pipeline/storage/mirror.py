"""A corpus at an address as a folder of this machine: fetched once, kept up to date.

Only files that changed are fetched. A file's time is the storage's, so that the inventory sees what
it would see in a folder. Where there is less room than the corpus takes, files come when they are
read (`lent.py`).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.errors import ConfigError, InputError, RunFolderError
from pipeline.storage import lent
from pipeline.storage.addresses import Listed, Storage, storage_at
from pipeline.storage.fetching import AT_ONCE, UNFINISHED, asked, fetch

SPARE_BYTES = 1 << 28
INDEX = "index.json"
Tell = Callable[[int, int, str], None]
Choice = Callable[[str], bool]


@dataclass(frozen=True)
class Room:
    """What copies of a corpus may take.

    Attributes:
        bytes: that may be there at a time; 0 for the whole corpus, None for what the last command
            allowed.
        comes_and_goes: tells by its name whether a file is read through `lent.held` alone, so that
            it need not be there before.
    """

    bytes: int | None = 0
    comes_and_goes: Choice = lambda _: False


WHOLE = Room()


def scratch_folder(named: str) -> Path:
    """Return the folder for copies of what lies at addresses: the setting, or the user's cache."""
    if named:
        return Path(named).expanduser().absolute()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser().absolute() / "rote"


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


def mirrored(address: str, scratch: Path, wanted: Choice, tell: Tell, room: Room = WHOLE) -> Path:
    """Bring the copy of what lies at an address up to date, and return it: a folder, or a file.

    Args:
        address: of a folder or of one file.
        scratch: where copies lie.
        wanted: tells by its name whether a file is read at all.
        tell: told bytes fetched, bytes to fetch, and of what.
        room: what the copies of a folder may take.

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
        allowed = lent.noted(folder)[0] if room.bytes is None else room.bytes
        if single or not allowed:
            lent.lend_no_more(folder)
            bring(storage, folder, listed, tell)
        else:
            _bring_some(storage, folder, listed, tell, replace(room, bytes=allowed))
    return folder


def _bring_some(
    storage: Storage, folder: Path, listed: Sequence[Listed], tell: Tell, room: Room
) -> None:
    """Bring what has to be there up to date, and let the other files come when they are read.

    Raises:
        ConfigError: there is no room for the largest.
    """
    later = [one for one in listed if room.comes_and_goes(one.name)]
    largest = max(later, key=lambda one: one.bytes, default=None)
    if largest is not None and largest.bytes > (room.bytes or 0):
        raise ConfigError(
            "The largest file of the corpus has no room in the scratch folder.",
            where=f"{storage.address}/{largest.name}",
            found=f"{largest.bytes / 1e9:,.1f} GB, and limits.scratch_disk = {room.bytes:,}",
            expected="room for a file for each worker, and for the next ones",
            fix=f"--set limits.scratch_disk={-(-8 * largest.bytes // 10**9)}GB",
        )
    bring(storage, folder, listed, tell, later)
    known = {one.listed: one for one in lent.noted(folder)[1]}
    new = [one for one in later if one not in known]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        tails = threads.map(lambda one: lent.tail_of(storage, one), new)
        known |= {one: lent.LentFile(one, tail) for one, tail in zip(new, tails, strict=True)}
    lent.lend(folder, storage, [known[one] for one in later], room.bytes or 0)


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


def bring(
    storage: Storage,
    folder: Path,
    listed: Sequence[Listed],
    tell: Tell,
    later: Sequence[Listed] = (),
) -> None:
    """Fetch what changed and delete what is gone.

    Args:
        storage: where it lies.
        folder: of the copies.
        listed: what is there.
        tell: told bytes fetched, bytes to fetch, and of what.
        later: of these, what is fetched when it is read: of those not there an empty file is left.
    """
    index = folder.parent / INDEX
    known = _read_index(index)
    due = [one for one in listed if not _is_there(folder / one.name, one, known)]
    awaited = {*due} & {*later}
    for one in awaited:
        lent.put_away(folder / one.name, one)
        known[one.name] = one.tag
    due = [one for one in due if one not in awaited]
    total = sum(one.bytes for one in due)
    _require_room(folder, total)
    done = 0
    with ThreadPoolExecutor(AT_ONCE) as threads:
        for one in due:
            fetch(storage, folder / one.name, one, threads)
            known[one.name] = one.tag
            done += one.bytes
            tell(done, total, storage.address)
    names = {one.name for one in listed}
    with lent.nobody_reads(folder) as alone_here:
        for path in [*folder.rglob("*")] if folder.is_dir() else ():
            comes = path.name.endswith(UNFINISHED) and not alone_here
            if path.is_file() and not comes and path.relative_to(folder).as_posix() not in names:
                path.unlink()
    _write_index(index, {name: tag for name, tag in known.items() if name in names})


def _is_there(path: Path, one: Listed, known: dict[str, str]) -> bool:
    return known.get(one.name) == one.tag and lent.is_whole(path, one)


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
            fix="name another one: --set limits.scratch=FOLDER; or, for a corpus, have files come "
            "when they are read: --set limits.scratch_disk=SIZE",
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
