"""Kills of a run under Prefect: of the command, and of the server that it started."""

import contextlib
import functools
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

from tests.campaign.case import Case, Found, same_bytes, told
from tests.campaign.ground import Ground, command
from tests.campaign.kills import SIGNALS, require_whole
from tests.e2e.command import Ended, begin, ending, files, rote

ROWS = ("the command", "its server")
SECONDS = 150.0


def cases(ground: Ground, seed: int) -> Iterator[Case]:
    """Yield kills of the command and of its server in turns, without end."""
    number = 0
    while True:
        row = ROWS[number % 2]
        name = f"{number:04d}"
        yield Case("prefect", row, name, functools.partial(_tried, ground, row, f"{seed} {name}"))
        number += 1


def _tried(ground: Ground, row: str, name: str, folder: Path) -> str:
    draw = random.Random(name)
    number = draw.choice(SIGNALS)
    run = folder / "run"
    os.environ["PREFECT_HOME"] = str(ground.folder / "prefect")
    words = ("scan", ground.corpus, "--out", run, "--prefect", "--set=limits.workers=2")
    with ending(begin(*words)) as process:
        server = _server_of(process.pid)
        _until(lambda: (run / "manifest.json").exists() or process.poll() is not None)
        time.sleep(draw.uniform(0.0, 6.0))
        with contextlib.suppress(ProcessLookupError):  # the command ended before its turn
            os.kill(process.pid if row == ROWS[0] else server, number)
        out, err = process.communicate(timeout=SECONDS)
    code = process.returncode
    if code not in {-number, 130, 0}:
        told(Ended(code, out, err))
    require_whole(run, {}, files(ground.scanned))
    _until(lambda: not _lives(server))
    if _lives(server):
        raise Found("wrong", "the server outlives the command")
    again = rote(*command("scan", ground.corpus, run))
    if told(again) != "ok":
        raise Found("lost", "the same command again was refused")
    same_bytes(files(run), files(ground.scanned), "lost")
    return "same"


def _server_of(parent: int) -> int:
    """Return the process of the server that a command started."""
    found: list[int] = []

    def look() -> bool:
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                words = path.read_text().rpartition(")")[2].split()
                line = path.with_name("cmdline").read_bytes()
            except OSError:
                continue
            if int(words[1]) == parent and b"flows/server.py" in line:
                found.append(int(path.parent.name))
        return bool(found)

    _until(look)
    if not found:
        raise Found("wrong", "no server was started")
    return found[0]


def _lives(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def _until(holds: object) -> None:
    end = time.monotonic() + SECONDS
    while not holds() and time.monotonic() < end:  # type: ignore[operator]
        time.sleep(0.1)
