"""The n-th call fails: write, fsync, rename, open, mkdir, each with each of five errors.

One message, no traceback, nothing half-written: the same command again gives the same bytes.
"""

import errno
import functools
import itertools
import os
import random
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.engine.tables import TableWriter
from tests.campaign.case import Case, Found, same_bytes, told
from tests.campaign.ground import Ground, command
from tests.e2e.command import files, rote

CALLS = ("open", "write", "fsync", "rename", "mkdir")
ERRORS = ("EIO", "ENOSPC", "EACCES", "ESTALE", "MemoryError")
ACTS = ("scan", "filter", "report")
IN_THE_CHILD = pytest.MonkeyPatch()
"""Changes the process of one command; nothing is ever set back."""


class Failing:
    """Counts calls that touch a run folder, and lets the n-th of one kind fail.

    Attributes:
        kind: which is to fail; empty for none.
        at: the n of it.
        error: what it raises.
        calls: calls so far, by kind.
        each: called with `calls` after every count.
    """

    def __init__(
        self,
        folder: Path,
        kind: str = "",
        at: int = 0,
        error: BaseException | None = None,
        each: Callable[[Counter[str]], None] | None = None,
    ) -> None:
        self.folder, self.kind, self.at, self.error = str(folder), kind, at, error
        self.calls: Counter[str] = Counter()
        self.each = each
        self._lock = threading.Lock()
        self._within = threading.local()

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Put the counting in the place of the calls."""
        for kind, owner, name in (
            ("open", os, "open"),
            ("open", Path, "open"),
            ("write", Path, "write_bytes"),
            ("write", TableWriter, "write"),
            ("write", os, "pwrite"),
            ("fsync", os, "fsync"),
            ("rename", Path, "replace"),
            ("mkdir", os, "mkdir"),
        ):
            patch.setattr(owner, name, self._counting(kind, getattr(owner, name)))

    def _counting(self, kind: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def counted(*args: Any, **named: Any) -> Any:
            own = kind in {"fsync", "write"} or str(args[0]).startswith(self.folder)
            # Path.mkdir lets every error of a folder that is there pass
            own = own and not (kind == "mkdir" and Path(args[0]).is_dir())
            with self._lock:
                self.calls[kind] += own
                fails = own and kind == self.kind and self.calls[kind] == self.at
                if self.each is not None and own:
                    self.each(self.calls)
            if fails and self.error is not None:
                raise self.error
            return function(*args, **named)

        return counted


def cases(ground: Ground, seed: int) -> Iterator[Case]:
    """Yield every act, call, n and error; first each n with one error, then the others."""
    every = [
        (act, call, place)
        for act in ACTS
        for call in CALLS
        for place in range(1, calls_of(ground, act)[call] + 1)
    ]
    draw = random.Random(f"{seed} refusals")
    draw.shuffle(every)
    turns = {one: draw.sample(ERRORS, len(ERRORS)) for one in every}
    for turn, (act, call, place) in itertools.product(range(len(ERRORS)), every):
        error = turns[act, call, place][turn]
        acting = functools.partial(_tried, ground, act, call, place, error)
        yield Case("refusals", f"{call}, {act}", f"{act} {call} {place} {error}", acting)


_KNOWN: dict[str, Counter[str]] = {}


def calls_of(ground: Ground, act: str) -> Counter[str]:
    """Return how often an act makes each call."""
    if act not in _KNOWN:
        run, count = ground.folder / "counting" / act, ground.folder / "calls"
        _begin(ground, act, run)
        ended = rote(
            *command(act, ground.corpus, run), before=functools.partial(count_calls, run, count)
        )
        told(ended)
        lines = [line.split() for line in count.read_text().splitlines()]
        _KNOWN[act] = Counter({name: int(number) for name, number in lines})
    return _KNOWN[act]


def _begin(ground: Ground, act: str, run: Path) -> None:
    if act == "scan":
        run.parent.mkdir(parents=True, exist_ok=True)
    else:
        shutil.copytree(ground.scanned if act == "filter" else ground.filtered, run)


def count_calls(run: Path, place: Path) -> None:
    """Write down how often this process makes each call."""
    handle = os.open(place, os.O_WRONLY | os.O_CREAT)

    def noted(calls: Counter[str]) -> None:
        text = "".join(f"{name} {number:06d}\n" for name, number in sorted(calls.items()))
        os.lseek(handle, 0, os.SEEK_SET)
        os.write(handle, text.encode())

    Failing(run, each=noted).install(IN_THE_CHILD)


def fail(run: Path, call: str, place: int, error: str) -> None:
    """Let the n-th call of this process fail."""
    number = getattr(errno, error, None)
    raised = MemoryError() if number is None else OSError(number, os.strerror(number), str(run))
    Failing(run, call, place, raised).install(IN_THE_CHILD)


def _tried(ground: Ground, act: str, call: str, place: int, error: str, folder: Path) -> str:
    run = folder / "run"
    _begin(ground, act, run)
    plain = command(act, ground.corpus, run)
    ended = rote(*plain, before=functools.partial(fail, run, call, place, error))
    outcome = told(ended)
    if told(rote(*plain)) != "ok":
        raise Found("lost", "the same command again was refused")
    expected = {"scan": ground.scanned, "filter": ground.filtered, "report": ground.reported}[act]
    same_bytes(files(run), files(expected), "lost")
    return "refused" if outcome == "refused" else "same"
