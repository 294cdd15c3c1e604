"""The log of events of a run folder: what its commands did and do, line by line, with times.

It is the only place where times are written, and the only source of `rote status`. Each line is a
JSON object with `event` and `at` (seconds since 1970):

- `begin` and `end` of a command: `command`, `process`; `ok` and `elapsed_s`
- `stage`: it begins, of so many `units`
- `progress` of the present unit, at most every few seconds: `done`, `total`, `note`
- `unit`: it is done: `key`, `rows_in`, `rows_out`, `elapsed_s` since its stage began, and of the
  process so far `cpu_s` and `peak_bytes`
- `alarm`: one that the report raised: `kind`, `sentence`
- `message`: what was said beside
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.engine.manifest import require_file
from pipeline.engine.progress import Progress, current, listen
from pipeline.errors import RunFolderError

EVENTS = "events/stages.jsonl"
EVERY_S = 2.0
"""Seconds between two lines of progress, at least."""
TAIL = 1 << 20
"""Bytes of the log, from its end, in which the last command is looked for."""


class EventLog:
    """The log of one run folder, to be added to; safe to call from any thread.

    Attributes:
        path: the file.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / EVENTS
        self._lock = threading.Lock()

    def add(self, event: str, **facts: str | float) -> None:
        """Append one line.

        Raises:
            RunFolderError: the log is a pipe or a device.
        """
        line = json.dumps({"event": event, "at": round(time.time(), 3), **facts})
        with self._lock:
            require_file(self.path)
            self.path.parent.mkdir(exist_ok=True)
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(f"{line}\n")


class Logged:
    """A listener that writes what it hears into the log, and hands it on to another."""

    def __init__(self, log: EventLog, listener: Progress) -> None:
        self._log = log
        self._next = listener
        self._said = 0.0
        self._lock = threading.Lock()

    def stage(self, name: str, units: int) -> None:
        """Write that a stage begins."""
        self._said = 0.0
        self._log.add("stage", stage=name, units=units)
        self._next.stage(name, units)

    def skipped(self, name: str) -> None:
        """Hand it on: what did nothing is no event."""
        self._next.skipped(name)

    def advance(self, done: float, total: float, note: str = "") -> None:
        """Write how far the present unit is, every few seconds."""
        with self._lock:
            now = time.monotonic()
            due = now - self._said >= EVERY_S
            self._said = now if due else self._said
        if due:
            self._log.add("progress", done=float(done), total=float(total), note=note)
        self._next.advance(done, total, note)

    def unit_done(self, name: str) -> None:
        """Hand it on: the session writes it, with what it has of the unit."""
        self._next.unit_done(name)

    def message(self, text: str) -> None:
        """Write what is said."""
        self._log.add("message", text=text)
        self._next.message(text)


def used() -> dict[str, float]:
    """Return what this process and its children have used so far: CPU seconds, peak memory."""
    own, of_children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    seconds = own.ru_utime + own.ru_stime + of_children.ru_utime + of_children.ru_stime
    return {"cpu_s": round(seconds, 3), "peak_bytes": 1024 * own.ru_maxrss}


@contextlib.contextmanager
def logged(folder: Path, command: str) -> Iterator[EventLog]:
    """Write begin and end of a command, and what its stages say in between.

    Args:
        folder: the run folder, which is there and held by this process.
        command: its name.
    """
    log, before, begun = EventLog(folder), current(), time.perf_counter()
    log.add("begin", command=command, process=os.getpid(), **used())
    listen(Logged(log, before))
    ok = interrupted = False
    try:
        yield log
        ok = True
    except KeyboardInterrupt:
        interrupted = True
        raise
    finally:
        listen(before)
        elapsed = round(time.perf_counter() - begun, 3)
        with contextlib.suppress(OSError, RunFolderError):  # the folder may be gone, the disk full
            log.add("end", ok=ok, interrupted=interrupted, elapsed_s=elapsed, **used())


def last_command(folder: Path) -> list[dict[str, Any]]:
    """Return the events of the last command in the log, in order; empty where there is none.

    What is no line of ours is left out: a kill cuts a line, and a folder may be of someone else.
    """
    path = folder / EVENTS
    require_file(path)
    try:
        with path.open("rb") as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(0, stream.tell() - TAIL))
            lines = stream.read(TAIL).splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []
    events = [event for line in lines if (event := _parsed(line)) is not None]
    begins = [place for place, event in enumerate(events) if event["event"] == "begin"]
    return events[begins[-1] :] if begins else events


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    known = isinstance(event, dict) and isinstance(event.get("event"), str)
    return event if known and isinstance(event.get("at"), int | float) else None
