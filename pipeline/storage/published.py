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
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pipeline.absent import MANIFEST
from pipeline.errors import InputError, PipelineError, TransientIOError
from pipeline.sealed import sealed
from pipeline.storage.addresses import Storage, storage_at
from pipeline.storage.fetching import asked
from pipeline.storage.lease import LEASE, Lease, Say, leased
from pipeline.storage.mirror import Tell, alone, bring, place_of, require_names
from pipeline.storage.overwriting import read_whole, there, write_over

CHANGES = ".changes"
"""Lists files that change, while they do: of the copy, and at the address while it is published."""
BESIDES = (MANIFEST, CHANGES, "events/", "backtest/")  # what is of no output
MARK = "kept/_SUCCESS"
STATE = "published.json"
TEMPORARY = ".rote-tmp"
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
        with leased(storage, say) as lease:
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
    if there(storage, MANIFEST) is None:
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
    if state.get("sent") and _is_one_of(read_whole(storage, manifest), state["sent"]):
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

    def __init__(self, storage: Storage, folder: Path, lease: Lease, tell: Tell) -> None:
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
            tag = write_over(
                storage, MANIFEST, data, state["manifest"], lambda d: _is_one_of(d, sent)
            )
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


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _is_one_of(data: bytes, sent: list[str]) -> bool:
    return _digest(data) in sent
