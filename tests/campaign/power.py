"""Loss of power: what was written and not synced is gone, names and contents apart.

A run is recorded at every sync: the contents that were synced, and the names of each folder that
was. From each record two folders are made. In `nothing unsynced` nothing survives that was not
synced; in `names without contents` every name does, and files have what was synced of them, which
may be nothing. The same command on such a folder must give the same bytes.
"""

import functools
import hashlib
import json
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.campaign.case import Case, Found, same_bytes, told
from tests.campaign.ground import ACTS, Ground, command
from tests.e2e.command import files, rote

IN_THE_CHILD = pytest.MonkeyPatch()
STATES = ("nothing unsynced", "names without contents", "some names, no contents")


def cases(ground: Ground, seed: int) -> Iterator[Case]:
    """Yield each recorded moment of each act in each of the states, in a seeded order."""
    every = [
        (act, moment, state)
        for act in ACTS
        for moment in range(len(list(recorded(ground, act).glob("*.json"))))
        for state in STATES
    ]
    random.Random(f"{seed} power").shuffle(every)
    for act, moment, state in every:
        acting = functools.partial(_tried, ground, act, moment, state)
        yield Case("power", state, f"{act} {moment} {state}", acting)


def recorded(ground: Ground, act: str) -> Path:
    """Return the folder with the records of an act, made once."""
    notes = ground.folder / "power" / act
    if not notes.exists():
        run = ground.folder / "power" / f"{act}-run"
        start = {"filter": ground.scanned, "report": ground.filtered}.get(act)
        notes.mkdir(parents=True)
        if start is not None:
            shutil.copytree(start, run)
        told(rote(*command(act, ground.corpus, run), before=functools.partial(record, run, notes)))
    return notes


class Disk:
    """What would be on the disk if the power went now.

    Attributes:
        run: the run folder.
        notes: where a record of each moment goes: `N.json` and the contents by digest.
    """

    def __init__(self, run: Path, notes: Path) -> None:
        self.run, self.notes = run, notes
        self._contents: dict[int, str] = {}  # by inode: the digest of what was synced
        self._names: dict[str, dict[str, int]] = {}  # by folder: the names that were synced
        self._handles: dict[int, int] = {}  # keep inodes from being given to other files
        self._moments = 0
        if run.exists():
            for path in [run, *run.rglob("*")]:
                self.synced(path)

    def synced(self, path: Path) -> None:
        """Take a file's contents, or a folder's names, to be on the disk for good."""
        if path.is_dir():
            self._names[self._name(path)] = {p.name: p.stat().st_ino for p in path.iterdir()}
        elif path.is_file():
            self._contents[path.stat().st_ino] = self._kept(path)

    def note(self) -> None:
        """Write down what is on the disk, and the names that are there and may survive."""
        live: dict[str, dict[str, int]] = {}
        for folder in [self.run, *self.run.rglob("*")] if self.run.exists() else ():
            if folder.is_dir():
                live[self._name(folder)] = {p.name: p.stat().st_ino for p in folder.iterdir()}
        for path in self.run.rglob("*"):
            self._hold(path)
        folders = {self._inode(name): name for name in live}
        facts = [live, self._names, {str(k): v for k, v in self._contents.items()}]
        (self.notes / f"{self._moments}.json").write_text(
            json.dumps([*facts, {str(k): v for k, v in folders.items()}])
        )
        self._moments += 1

    def _name(self, path: Path) -> str:
        return path.relative_to(self.run).as_posix()

    def _inode(self, name: str) -> int:
        return (self.run / name).stat().st_ino

    def _hold(self, path: Path) -> None:
        number = path.stat().st_ino
        if number not in self._handles:
            self._handles[number] = _OPEN(path, os.O_RDONLY)

    def _kept(self, path: Path) -> str:
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        (self.notes / digest).write_bytes(data)
        self._hold(path)
        return digest


_OPEN = os.open


def record(run: Path, notes: Path) -> None:
    """Record in this process, at every sync, what would be on the disk."""
    disk, sync = Disk(run, notes), os.fsync

    def noting(handle: int) -> None:
        disk.note()
        sync(handle)
        path = Path(f"/proc/self/fd/{handle}").resolve()
        if path == run or run in path.parents:
            disk.synced(path)

    IN_THE_CHILD.setattr(os, "fsync", noting)


def restored(notes: Path, moment: int, state: str, out: Path) -> None:
    """Make the folder that would be found after the power went at a moment."""
    live, names, contents, folders = json.loads((notes / f"{moment}.json").read_bytes())
    draw = random.Random(f"{moment} {state}")

    def chosen(name: str) -> dict[str, int]:
        now, then = live.get(name, {}), names.get(name, {})
        if state == STATES[0]:
            return dict(then)
        if state == STATES[1]:
            return dict(now)
        return dict(now if draw.random() < 0.5 else then)

    def made(name: str, place: Path) -> None:
        place.mkdir(parents=True)
        for child, inode in chosen(name).items():
            if str(inode) in folders:
                made(folders[str(inode)], place / child)
            else:
                digest = contents.get(str(inode))
                data = b"" if digest is None else (notes / digest).read_bytes()
                (place / child).write_bytes(data)

    made(".", out)


def _tried(ground: Ground, act: str, moment: int, state: str, folder: Path) -> str:
    run = folder / "run"
    restored(recorded(ground, act), moment, state, run)
    ended = rote(*command(act, ground.corpus, run))
    if told(ended) != "ok":
        raise Found("lost", ended.err[-400:])
    expected = {"scan": ground.scanned, "filter": ground.filtered, "report": ground.reported}[act]
    same_bytes(files(run), files(expected), "lost")
    return "same"
