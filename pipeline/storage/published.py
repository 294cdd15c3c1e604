"""A run folder at an address: worked on in a copy on this machine, published as stages end.

An object appears whole or not at all, the manifest after all that it names, then old files go, and
kept/_SUCCESS comes last; it is taken away before anything of kept/ changes. Until then `.changes`
lists there what changes, so that whoever fetches the folder goes on from it as from one whose
command was killed (`RunFolder.settle`). What is at the address is noted beside the copy before and
after these steps, so that the next publishing does what one left undone. One writer at a time holds
a lease: an object that only one can make, written again while its holder lives.
"""

from __future__ import annotations

import hashlib
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
from pipeline.sealed import sealed
from pipeline.storage.addresses import Listed, Storage, storage_at
from pipeline.storage.fetching import asked
from pipeline.storage.mirror import Tell, alone, bring, place_of, require_names

LEASE = ".lease"
LEASE_SECONDS = 60.0
"""A lease that was not written again for so long is of a run that is dead."""
MANIFEST = "manifest.json"
CHANGES = ".changes"
"""Lists files that change, while they do: of the copy, and at the address while it is published."""
BESIDES = (MANIFEST, CHANGES, "events/", "backtest/")  # what is of no output
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
    called `publish` stays in the copy and is published by the next command on this machine; so does
    what was stopped while files got their names.

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
    if _there(storage, MANIFEST) is None:
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
    state = _state(folder)
    if manifest is None or state.get("manifest") == manifest.tag:
        return
    if state.get("sent") and _is_one_of(_read(storage, manifest), state["sent"]):
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
        if not (folder / MANIFEST).is_file() or (folder / CHANGES).exists():
            return
        state = {"manifest": "", "sent": [], "files": {}, **_state(folder)}
        before, now = state["files"], _files(folder)
        changed = [name for name, facts in now.items() if before.get(name) != facts]
        touched = dict.fromkeys([*changed, *(name for name in before if name not in now)])
        if not touched:
            return
        self._lease.require()
        if any(name.startswith("kept/") for name in touched):
            touched[MARK] = None
        outputs = [name for name in touched if not name.startswith(BESIDES)]
        touched[CHANGES] = None
        data = (folder / MANIFEST).read_bytes()
        sent = [*state["sent"], _digest(data)]
        _note(folder, {**state, "sent": sent, "files": before | touched})
        storage.write(CHANGES, sealed({"files": outputs}))
        if MARK in touched:
            storage.delete([MARK])
        sizes = [now[name][0] for name in changed]
        self._write([name for name in changed if name not in (MANIFEST, MARK)], sum(sizes))
        self._lease.require()
        try:
            tag = _over(storage, MANIFEST, data, state["manifest"], lambda d: _is_one_of(d, sent))
        except FileExistsError as error:
            raise self._lease.lost() from error
        rest = [name for name in touched if name == MARK or name not in now]
        _note(folder, {"manifest": tag, "files": now | dict.fromkeys(rest)})
        self._sizes += sizes
        storage.delete([name for name in rest if name != MARK])
        if MARK in rest and MARK in now:
            storage.write(MARK, b"")
        _note(folder, {"manifest": tag, "files": now})
        self.at = time.monotonic()

    def _write(self, names: list[str], total: int) -> None:
        """Write files to the storage."""
        done = 0
        for name in names:
            path = self._folder / name
            self._storage.write(name, path)
            done += path.stat().st_size
            self._tell(done, total, self._storage.address)


def _files(folder: Path) -> dict[str, list[int]]:
    """Return the facts of the files of a run folder by name, without those of a command at work.

    These are checkpoints, data put aside, a lock: a thread of a stopped command may delete them
    meanwhile, so they are not looked at.
    """
    tops = [one for one in sorted(folder.iterdir()) if not one.name.startswith(".")]
    return {
        path.relative_to(folder).as_posix(): _facts(path)
        for top in tops
        for path in ([top] if top.is_file() else sorted(top.rglob("*")))
        if not path.name.endswith(TEMPORARY) and path.is_file()
    }


def _facts(path: Path) -> list[int]:
    facts = path.stat()
    return [facts.st_size, facts.st_mtime_ns]


def _state(folder: Path) -> dict[str, Any]:
    """Return what is known of the last publishing from here; empty where the copy is gone.

    manifest: the tag of the last one that was written. sent: digests of those sent since, of which
    it is not known whether they came. files: facts of those at the address, none where these may
    be other ones, or may not be there.
    """
    if not folder.is_dir():
        return {}
    with suppress(FileNotFoundError, ValueError):
        return dict(json.loads((folder.parent / STATE).read_bytes()))
    return {}


def _note(folder: Path, state: dict[str, Any]) -> None:
    part = folder.parent / f"{STATE}{TEMPORARY}"
    part.write_text(json.dumps(state))
    part.replace(folder.parent / STATE)


def _there(storage: Storage, name: str) -> Listed | None:
    return next((one for one in asked(storage.objects) if one.name == name), None)


def _read(storage: Storage, one: Listed) -> bytes:
    return asked(lambda: storage.read(one.name, 0, one.bytes, one.tag))


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _is_one_of(data: bytes, sent: list[str]) -> bool:
    return _digest(data) in sent


def _over(
    storage: Storage, name: str, data: bytes, tag: str, is_own: Callable[[bytes], bool]
) -> str:
    """Write an object over the last one that was written from here, and return its tag.

    The answer to a write may have been lost: what it wrote is told by its bytes.

    Raises:
        FileExistsError: one that is not ours is there, or none.
    """
    try:
        return storage.write(name, data, tag=tag)
    except FileExistsError:
        one = _there(storage, name)
        if one is None or one.tag == tag or not is_own(_read(storage, one)):
            raise
        return _over(storage, name, data, one.tag, is_own)


class _Lease:
    """The right to write to a run folder at an address, while it is written again in time."""

    def __init__(self, storage: Storage, tag: str, holder: bytes) -> None:
        self._storage, self._tag, self._holder = storage, tag, holder
        self._gone, self._ended = False, threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def _beat(self) -> None:
        beats = 0
        while not self._ended.wait(LEASE_SECONDS / 4):
            beats += 1
            data = self._holder + b" %d" % beats  # never the same: a tag may be a digest of it
            try:
                self._tag = _over(self._storage, LEASE, data, self._tag, self._is_own)
            except FileExistsError:
                self._gone = True
                return
            except PipelineError:  # it did not answer: the next beat, or the next write, tells
                continue

    def _is_own(self, data: bytes) -> bool:
        return data.startswith(self._holder)

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
    holder = f"rote {uuid.uuid4().hex}".encode()
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
    seen = _there(storage, LEASE)
    say(f"{storage.address}: another run has it, or was killed; waiting {LEASE_SECONDS:.0f} s")
    time.sleep(LEASE_SECONDS)
    try:
        if _there(storage, LEASE) == seen:
            return storage.write(LEASE, holder, tag=seen.tag if seen else "")
    except FileExistsError:
        pass
    raise RunFolderError(
        "Another rote is writing to this run folder.",
        where=storage.address,
        fix="wait for it to end, or use another --out",
    )
