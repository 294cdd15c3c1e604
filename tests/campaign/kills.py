"""Kills: three signals, at the n-th change of the run folder or after a time, over the commands.

After each kill the folder is held against its manifest, as `rote check` does; after some kills in a
row the same command runs to its end, and the bytes are those of a run that nobody killed.
"""

import functools
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.absent import MANIFEST
from pipeline.engine.check import UNFINISHED, check
from pipeline.engine.files import TEMPORARY
from pipeline.engine.run_folder import CHANGES, SUCCESS
from pipeline.errors import PipelineError
from pipeline.run import TABLES
from pipeline.sealed import unsealed
from tests.campaign.case import Case, Counted, Found, same_bytes, told
from tests.campaign.ground import Ground, command, require
from tests.e2e.command import files, rote

IN_THE_CHILD = pytest.MonkeyPatch()
"""Changes the process that is to die; nothing is ever set back."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
CHANGING = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate"}
REFILTER = ("--set=near.threshold=1.0",)
ROW = 4
"""Kills in a row on one folder, before the command may come to its end."""


def _starts(ground: Ground) -> dict[str, tuple[str, tuple[str, ...], Callable[[], Path | None]]]:
    """Return for each row of the table its command, options and the folder that it starts from."""
    return {
        "scan": ("scan", (), lambda: None),
        "filter": ("filter", (), lambda: ground.scanned),
        "filter again, other settings": ("filter", REFILTER, lambda: ground.filtered),
        "report": ("report", (), lambda: ground.filtered),
        "score": ("score", (), lambda: ground.scanned),
        "run": ("run", (), lambda: None),
    }


WEIGHTS = {
    "scan": 5,
    "filter": 5,
    "filter again, other settings": 5,
    "report": 4,
    "score": 1,
    "run": 1,
}


def cases(ground: Ground, seed: int) -> Iterator[Case]:
    """Yield chains of kills without end; each is one case of `ROW` kills."""
    rows = [row for row, weight in WEIGHTS.items() for _ in range(weight)]
    number = 0
    while True:
        draw = random.Random(f"{seed} kills {number}")
        for row in draw.sample(rows, len(rows)):
            name = f"{number:04d}"
            yield Case("kills", row, name, functools.partial(_chain, ground, row, f"{seed} {name}"))
            number += 1


def _chain(ground: Ground, row: str, name: str, folder: Path) -> str:
    draw = random.Random(name)
    act, options, start = _starts(ground)[row]
    run, origin = folder / "run", start()
    if origin is not None:
        shutil.copytree(origin, run)
    plain = (*command(act, ground.corpus, run), *options)
    changes, seconds, expected = _undisturbed(ground, row)
    before = files(run) if origin is not None else {}
    landed = 0
    for _ in range(ROW):
        number = draw.choice(SIGNALS)
        moment: Callable[[], None] = functools.partial(
            kill_at_change, run, draw.randint(1, changes), number
        )
        if draw.random() < 0.5:
            moment = functools.partial(kill_after, draw.uniform(0.0, seconds), number)
        ended = rote(*plain, before=moment)
        if ended.code not in {-number, 130, 0}:
            told(ended)
            raise Found("wrong", f"exit {ended.code} after signal {number}")
        landed += ended.code != 0
        require_whole(run, before, expected)
        if ended.code == 0:
            break
    if told(rote(*plain)) != "ok":
        raise Found("lost", "the same command again was refused")
    same_bytes(files(run), expected, "lost")
    return Counted("same", landed)


_KNOWN: dict[str, tuple[int, float, dict[str, str]]] = {}


def _undisturbed(ground: Ground, row: str) -> tuple[int, float, dict[str, str]]:
    """Return the changes, seconds and files of the command when nobody kills it."""
    if row not in _KNOWN:
        act, options, start = _starts(ground)[row]
        run = ground.folder / "undisturbed" / row.replace(" ", "-")
        origin = start()
        run.parent.mkdir(exist_ok=True)
        if origin is not None:
            shutil.copytree(origin, run)
        count = ground.folder / "changes"
        rote("--version")  # the process that others are forked from is there from now on
        begun = time.monotonic()
        plain = (*command(act, ground.corpus, run), *options)
        require(rote(*plain, before=functools.partial(count_changes, run, count)))
        _KNOWN[row] = int(count.read_text()), time.monotonic() - begun, files(run)
    return _KNOWN[row]


def require_whole(run: Path, before: dict[str, str], after: dict[str, str]) -> None:
    """Require a killed run folder to be readable, and to be what its manifest and mark say.

    Args:
        run: the folder.
        before: its files before the command.
        after: its files when the command has come to its end.

    Raises:
        Found: a recorded file is missing or changed, or `_SUCCESS` stands over unfinished files.
    """
    if not (run / MANIFEST).exists():
        if before:
            raise Found("lost", "the manifest is gone")
        return
    try:
        _, differences = check(run, TABLES)
    except PipelineError as error:
        raise Found("lost", f"{error.what} {error.found}") from error
    note = run / CHANGES
    noted = set((unsealed(note.read_bytes()) or {}).get("files", ())) if note.exists() else set()
    bad = [one for one in differences if one.kind != UNFINISHED and one.path not in noted]
    if bad:
        raise Found("lost", "; ".join(f"{one.kind} {one.path}" for one in bad[:5]))
    if (run / "kept" / SUCCESS).exists():
        now = _kept(files(run))
        if now not in (_kept(before), _kept(after)):
            raise Found("wrong", "_SUCCESS over a kept/ that is neither the former nor the new one")


def _kept(found: dict[str, str]) -> dict[str, str]:
    """Return the files in kept/ that are finished: what is being written lies beside them."""
    return {
        name: digest
        for name, digest in found.items()
        if name.startswith("kept/") and not name.endswith(TEMPORARY)
    }


# -- in the process that is to die


def kill_after(seconds: float, number: int) -> None:
    """Let another process kill this one after a time."""
    victim = os.getpid()
    if os.fork() == 0:
        time.sleep(seconds)
        if os.getppid() == victim:
            os.kill(victim, number)
        os._exit(0)


def kill_at_change(run: Path, place: int, number: int) -> None:
    """Kill this process just before it changes a run folder for the place-th time."""

    def one(count: int) -> None:
        if count == place:
            os.kill(os.getpid(), number)

    _watch(run, one)


def count_changes(run: Path, place: Path) -> None:
    """Write down how often this process changes a run folder."""
    _watch(run, lambda count: _write(place, str(count)))


def _write(place: Path, text: str) -> None:
    handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.write(handle, text.encode())
    os.close(handle)


def _watch(run: Path, each: Callable[[int], None]) -> None:
    """Call a function before each change of a folder that Python makes, and each sync."""
    below, count = str(run), [0]
    sync = os.fsync

    def next_one() -> None:
        count[0] += 1
        each(count[0])

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event not in CHANGING or not str(args[0]).startswith(below):
            return
        if event == "open" and not _writes(args[1], args[2]):
            return
        next_one()

    def synced(handle: int) -> None:
        next_one()
        sync(handle)

    IN_THE_CHILD.setattr(os, "fsync", synced)
    sys.addaudithook(hook)


def _writes(mode: str | None, flags: int) -> bool:
    return (
        bool(flags & (os.O_WRONLY | os.O_RDWR))
        if mode is None
        else set(mode) & set("wax+") != set()
    )
