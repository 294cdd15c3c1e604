"""Run the unit tests of the rooms that changed since main, or of the rooms that are named.

    python tests/quick.py [ROOM ...]

A room is a folder of tests/unit, or a file of it: `sample` is tests/unit/test_sample.py.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[1]
UNIT = ROOT / "tests" / "unit"
GROUND = ("engine", "text", "corpus", "config")
"""Rooms that every other room stands on."""

SHARED = {"flows": "engine", "docs": "docs", "README.md": "docs"}
"""The room that tests a part of the project which is no room itself."""

RENAMED = {"explain": "inspect", "run": "engine", "manifest": "engine"}
"""Folders and files whose room has another name."""

ALWAYS = ("docs", "docstrings")
"""Rooms that look at every file, in two seconds."""

ELSEWHERE = "tests/property, tests/e2e, tests/fault and tests/browser: `make test` runs them"


def tests_of(room: str) -> Path | None:
    """Return the folder or the file of a room's unit tests; None where there is none."""
    found = (UNIT / room, UNIT / f"test_{room}.py")
    return next((path for path in found if room and path.exists()), None)


def room_of(changed: str) -> str | None:
    """Return the room whose unit tests a changed file needs; None where there is none.

    Args:
        changed: path of the file below the root of the project, with forward slashes.
    """
    parts = PurePosixPath(changed).parts
    if parts[:2] == ("tests", "unit"):
        parts = parts[1:]
    if len(parts) > 1 and parts[0] in ("pipeline", "sql", "schemas", "unit"):
        name = parts[1] if len(parts) > 2 else PurePosixPath(parts[1]).stem.removeprefix("test_")
        room = RENAMED.get(name, name)
    else:
        room = SHARED.get(parts[0], "")
    return room if tests_of(room) else None


def changed_files() -> list[str]:
    """Return the files that differ from where this branch left main, untracked ones too.

    Raises:
        SystemExit: this is no checkout of Git, or it has no branch main.
    """
    lists = (
        ("diff", "--name-only", "--merge-base", "main"),
        ("ls-files", "--others", "--exclude-standard"),
    )
    found: set[str] = set()
    for arguments in lists:
        listed = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
        )
        if listed.returncode:
            sys.exit(f"What changed is not known: {listed.stderr.strip()}\nName rooms: scan text")
        found.update(listed.stdout.splitlines())
    return sorted(found)


def plan(changed: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the rooms to test, and the changed files that have no room; those are left out."""
    rooms = {path: room_of(path) for path in changed}
    chosen = {room for room in rooms.values() if room}
    left = sorted(path for path, room in rooms.items() if room is None)
    return sorted({*chosen, *ALWAYS} if chosen else ()), left


def main(named: list[str]) -> int:
    """Run the tests and say what was run, how long it took and what was left out."""
    unknown = [room for room in named if tests_of(room) is None]
    if unknown:
        sys.exit(f"No unit tests of {' '.join(unknown)}; rooms: {' '.join(every_room())}")
    rooms, left = (named, []) if named else plan(changed_files())
    code, begun = 0, time.monotonic()
    if rooms:
        say(f"unit tests of {', '.join(rooms)}")
        paths = [str(tests_of(room)) for room in rooms]
        command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "worksteal", *paths]
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
    else:
        say("No room changed.")
    say(f"{time.monotonic() - begun:.0f} s; left out: {ELSEWHERE}")
    below = [room for room in rooms if room in GROUND]
    if below:
        say(f"left out: the rooms that stand on {', '.join(below)}, which are all others")
    if left:
        say(f"left out: changed, but of no room: {', '.join(left)}")
    return code


def every_room() -> list[str]:
    """Return the names of all rooms that have unit tests."""
    names = (path.stem.removeprefix("test_") for path in UNIT.iterdir())
    return sorted(name for name in names if not name.startswith(("_", ".")))


def say(line: str) -> None:
    """Print a line now, before what a child process prints next."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
