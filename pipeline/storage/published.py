"""A run folder at an address: worked on in a copy on this machine, published as stages end.

An object appears whole or not at all, the manifest after all that it names, kept/_SUCCESS last and
taken away before anything of kept/ changes. One writer at a time holds a lease: an object that only
one can make, written again while its holder lives.
"""

from __future__ import annotations

import json
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pipeline.errors import InputError, PipelineError, RunFolderError, TransientIOError
from pipeline.storage.addresses import Storage, storage_at
from pipeline.storage.mirror import Tell, alone, asked, bring, place_of, require_names

LEASE = ".lease"
LEASE_SECONDS = 60.0
"""A lease that was not written again for so long is of a run that is dead."""
MANIFEST = "manifest.json"
MARK = "kept/_SUCCESS"
STATE = "published.json"
TEMPORARY = ".rote-tmp"
Say = Callable[[str], None]
_OPEN: dict[Path, _Giving] = {}  # run folders at addresses that this process writes to


@contextmanager
def run_folder_at(
    address: str, scratch: Path, tell: Tell, say: Say, *, writes: bool, new: bool = True
) -> Iterator[Path]:
    """Give the copy of a run folder, as it is at its address; publish what becomes of it.

    What was done before an error is published too. What a killed process had done since it last
    called `publish` stays in the copy and is published by the next command on this machine.

    Args:
        address: of the run folder.
        scratch: where copies lie.
        tell: told bytes moved, bytes to move, and of what.
        say: told what takes long.
        writes: whether it may change.
        new: whether it may be made.

    Raises:
        InputError: it is not there.
        RunFolderError: another run writes to it, or did meanwhile.
    """
    storage = storage_at(address)
    folder = place_of(address, scratch, "runs")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with alone(folder.parent):
        if not new and not folder.is_dir():
            _require_there(storage)
        if not writes:
            _take(storage, folder, tell, say)
            yield folder
            return
        with _leased(storage, say) as lease:
            _take(storage, folder, tell, say)
            giving = _Giving(storage, folder, lease, tell)
            _OPEN[folder] = giving
            try:
                yield folder
            except (PipelineError, KeyboardInterrupt):
                giving.end(say)
                raise
            finally:
                del _OPEN[folder]
            giving.end(say)


def publish(folder: Path, every: float = 0.0) -> None:
    """Publish what changed in a run folder that lies at an address; do nothing with others.

    A storage that does not answer is asked again by the next call.

    Args:
        folder: the copy, with no file of it half changed.
        every: least seconds since it was published last.

    Raises:
        RunFolderError: another run took over the folder.
    """
    giving = _OPEN.get(folder)
    if giving and time.monotonic() - giving.at >= every:
        with suppress(TransientIOError):
            giving.give()


def _require_there(storage: Storage) -> None:
    """Refuse to make a run folder where one was to be.

    Raises:
        InputError: none is there.
    """
    if MANIFEST not in {one.name for one in asked(storage.objects)}:
        raise InputError(
            "No run folder lies at an address.",
            where=storage.address,
            expected=MANIFEST,
            fix="check the address, or make one: rote scan CORPUS... --out ADDRESS",
        )


def _take(storage: Storage, folder: Path, tell: Tell, say: Say) -> None:
    """Bring the copy up to date, unless it is that of the last command here, or further."""
    listed = [one for one in asked(storage.objects) if one.name and one.name != LEASE]
    manifest = next((one for one in listed if one.name == MANIFEST), None)
    if manifest is None or _state(folder).get("manifest") == manifest.tag:
        return
    shutil.rmtree(folder, ignore_errors=True)
    require_names(storage.address, listed)
    folder.mkdir()
    bring(storage, folder, listed, tell)
    say(f"{storage.address}: fetched {_amount([one.bytes for one in listed])}")
    known = {one.name: _facts(folder / one.name) for one in listed}
    _note(folder, {"manifest": manifest.tag, "files": known})


def _amount(sizes: list[int]) -> str:
    return f"{len(sizes):,} files, {sum(sizes) / 1e6:,.1f} MB"


class _Giving:
    """Publishes what changed in the copy, as often as it is told to.

    Attributes:
        at: when it did last, by the monotonic clock.
    """

    def __init__(self, storage: Storage, folder: Path, lease: _Lease, tell: Tell) -> None:
        self._storage, self._folder, self._lease, self._tell = storage, folder, lease, tell
        self._sizes: list[int] = []
        self.at = time.monotonic()

    def end(self, say: Say) -> None:
        """Publish for the last time, and say how much that was in all.

        Raises:
            RunFolderError: the lease was lost.
        """
        self.give()
        if self._sizes:
            say(f"{self._storage.address}: published {_amount(self._sizes)}")

    def give(self) -> None:
        """Publish what changed.

        Raises:
            RunFolderError: the lease was lost.
        """
        folder, storage, self.at = self._folder, self._storage, time.monotonic()
        if not (folder / MANIFEST).is_file():
            return
        state = _state(folder)
        before: dict[str, list[int]] = state.get("files", {})
        now = {
            path.relative_to(folder).as_posix(): _facts(path)
            for path in sorted(folder.rglob("*"))
            if path.is_file() and not _is_transient(path.relative_to(folder))
        }
        changed = [name for name, facts in now.items() if before.get(name) != facts]
        if not changed and before.keys() <= now.keys():
            return
        self._lease.require()
        if any(name.startswith("kept/") for name in changed) and MARK in before:
            storage.delete([MARK])
        sizes = [now[name][0] for name in changed]
        self._write([name for name in changed if name not in (MANIFEST, MARK)], sum(sizes))
        self._lease.require()
        try:
            data = (folder / MANIFEST).read_bytes()
            tag = storage.write(MANIFEST, data, tag=state.get("manifest", ""))
        except FileExistsError as error:
            raise self._lease.lost() from error
        if MARK in now:
            storage.write(MARK, b"")
        storage.delete([name for name in before if name not in now])
        _note(folder, {"manifest": tag, "files": now})
        self._sizes += sizes
        self.at = time.monotonic()

    def _write(self, names: list[str], total: int) -> None:
        """Write files to the storage."""
        done = 0
        for name in names:
            path = self._folder / name
            self._storage.write(name, path)
            done += path.stat().st_size
            self._tell(done, total, self._storage.address)


def _is_transient(name: Path) -> bool:
    """Tell whether a file is of a command at work: checkpoints, data put aside, a lock."""
    return name.parts[0].startswith(".") or name.name.endswith(TEMPORARY)


def _facts(path: Path) -> list[int]:
    facts = path.stat()
    return [facts.st_size, facts.st_mtime_ns]


def _state(folder: Path) -> dict[str, Any]:
    """Return what is known of the last publishing from here; empty where the copy is gone."""
    if not folder.is_dir():
        return {}
    with suppress(FileNotFoundError, ValueError):
        return dict(json.loads((folder.parent / STATE).read_bytes()))
    return {}


def _note(folder: Path, state: dict[str, Any]) -> None:
    part = folder.parent / f"{STATE}{TEMPORARY}"
    part.write_text(json.dumps(state))
    part.replace(folder.parent / STATE)


class _Lease:
    """The right to write to a run folder at an address, while it is written again in time."""

    def __init__(self, storage: Storage, tag: str, holder: bytes) -> None:
        self._storage, self._tag, self._holder = storage, tag, holder
        self._gone, self._ended = False, threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def _beat(self) -> None:
        while not self._ended.wait(LEASE_SECONDS / 4):
            try:
                self._tag = self._storage.write(LEASE, self._holder, tag=self._tag)
            except FileExistsError:
                self._gone = True
                return
            except PipelineError:  # it did not answer: the next beat, or the next write, tells
                continue

    def require(self) -> None:
        """Refuse to write without the lease.

        Raises:
            RunFolderError: another run has it.
        """
        if self._gone:
            raise self.lost()

    def lost(self) -> RunFolderError:
        """Return the error for a run folder that another run wrote to meanwhile."""
        return RunFolderError(
            "Another run took over this run folder; nothing was written over what it wrote.",
            where=self._storage.address,
            fix="look which of the two is wanted, and run that command again",
        )

    def end(self) -> None:
        """Give the lease back."""
        self._ended.set()
        self._thread.join()
        if not self._gone:
            self._storage.delete([LEASE])


@contextmanager
def _leased(storage: Storage, say: Say) -> Iterator[_Lease]:
    """Hold the lease of a run folder; one of a dead run is taken over after a while.

    Raises:
        RunFolderError: a living run has it.
    """
    holder = json.dumps({"rote": uuid.uuid4().hex}).encode()
    try:
        tag = storage.write(LEASE, holder, tag="")
    except FileExistsError:
        tag = _taken_over(storage, holder, say)
    lease = _Lease(storage, tag, holder)
    try:
        yield lease
    finally:
        lease.end()


def _taken_over(storage: Storage, holder: bytes, say: Say) -> str:
    """Wait whether a lease is written again, and take it over when it is not."""
    seen = _tag_of_lease(storage)
    say(f"{storage.address}: another run has it, or was killed; waiting {LEASE_SECONDS:.0f} s")
    time.sleep(LEASE_SECONDS)
    try:
        if _tag_of_lease(storage) == seen:
            return storage.write(LEASE, holder, tag=seen)
    except FileExistsError:
        pass
    raise RunFolderError(
        "Another rote is writing to this run folder.",
        where=storage.address,
        fix="wait for it to end, or use another --out",
    )


def _tag_of_lease(storage: Storage) -> str:
    return next((one.tag for one in asked(storage.objects) if one.name == LEASE), "")
