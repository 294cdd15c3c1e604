"""What a person sees while stages run.

One live line with ETA on a terminal, plain lines elsewhere.
"""

from __future__ import annotations

import sys
import threading
import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from pipeline.names import shown

PLAIN_EVERY_S = 10.0
PACE_AFTER_S = 3.0  # of a part, before which its pace is not told

_QUOTED = "\u201c[^\u201d]*\u201d"
_DIFFERENT = "\u00ab[^\u00bb]*\u00bb"
EXPLANATION_STYLES = (
    (r"(?m)^(?:Counts|Risk|Otherwise|Beside what stays|Repeated spans).*$", "bold"),
    (r"(?m)^KEPT.*$", "bold green"),
    (r"(?m)^(?:REMOVED|REJECTED|NOT DECIDED).*$", "bold red"),
    (_QUOTED, "italic"),
    (_DIFFERENT, "reverse"),
)


class PlainProgress:
    """One line when a stage begins and one when it ends.

    A line every ten seconds within long units.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stage, self._units, self._done, self._part = "", 0, 0, ""
        self._begun = self._said = self._part_begun = time.monotonic()
        self._part_from = 0.0

    def stage(self, name: str, units: int) -> None:
        """Begin a stage."""
        self._stage, self._units, self._done, self._part = name, units, 0, ""
        self._begun = self._said = self._part_begun = time.monotonic()
        self._part_from = 0.0

    def skipped(self, name: str) -> None:
        """Say that a stage is already done."""
        self._line(f"{name}: already done")

    def advance(self, done: float, total: float, note: str = "") -> None:
        """Say how far a unit is, at most every ten seconds."""
        with self._lock:
            now = time.monotonic()
            if note != self._part:  # another part of the unit: its pace is its own
                self._part, self._part_begun, self._part_from = note, now, done
            if now - self._said < PLAIN_EVERY_S:
                return
            self._said = now
        share = f"{100 * done / total:.0f}%" if total else f"{done:,.0f}"
        part = f" {shown(note)}" if note else ""
        self._line(f"{self._stage}: {share}{part}{self._left(done, total)}")

    def unit_done(self, name: str) -> None:
        """Say that a stage is done when its last unit is."""
        self._done += 1
        if self._done == self._units:
            units = f" ({self._units} units)" if self._units > 1 else ""
            self._line(f"{name}: done in {time.monotonic() - self._begun:.1f} s{units}")

    def message(self, text: str) -> None:
        """Say something worth a line, which may hold names of the user's."""
        self._line(shown(text))

    def close(self) -> None:
        """Do nothing: there is nothing to put back."""

    def _left(self, done: float, total: float) -> str:
        spent, made = time.monotonic() - self._part_begun, done - self._part_from
        if self._units != 1 or not total or made <= 0 or spent < PACE_AFTER_S:
            return ""
        return f", about {spent * (total - done) / made:.0f} s left"

    def _line(self, text: str) -> None:
        with self._lock:
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()


class LiveProgress:
    """A bar for the present stage with its ETA; finished stages stay above it as lines."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            TextColumn("{task.description:<12}"),
            BarColumn(32),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", style="dim", markup=False),
            console=console,
            transient=True,
        )  # fmt: skip
        self._bar.start()
        self._lock = threading.Lock()
        self._task: TaskID | None = None
        self._units, self._done, self._begun, self._part = 0, 0, time.monotonic(), ""

    def stage(self, name: str, units: int) -> None:
        """Begin a stage."""
        with self._lock:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._task = self._bar.add_task(name, total=units, note="")
            self._units, self._done, self._begun, self._part = units, 0, time.monotonic(), ""

    def skipped(self, name: str) -> None:
        """Say that a stage is already done."""
        self._console.print(f"{name:<12} already done", style="dim", highlight=False)

    def advance(self, done: float, total: float, note: str = "") -> None:
        """Move the bar within a single unit; several at once move it by whole units only."""
        with self._lock:
            if self._task is None:
                return
            told = shown(note) if not total else f"{shown(note)} {100 * done / total:.0f}%"
            whole = self._units == 1 and total > 0
            if whole and note != self._part:  # another part of the unit: its pace is its own
                self._part = note
                self._bar.reset(self._task, total=self._units)
            self._bar.update(
                self._task, note=told[:48], completed=done / total if whole else self._done
            )

    def unit_done(self, name: str) -> None:
        """Count one unit; leave a line when it was the last."""
        with self._lock:
            self._done += 1
            if self._task is not None:
                self._bar.update(self._task, completed=self._done)
            if self._done == self._units:
                self._console.print(
                    f"{name:<12} {time.monotonic() - self._begun:6.1f} s", highlight=False
                )

    def message(self, text: str) -> None:
        """Say something worth a line, which may hold names of the user's."""
        self._console.print(shown(text), highlight=False, markup=False, emoji=False)

    def close(self) -> None:
        """Take the bar away."""
        self._bar.stop()


def open_progress() -> PlainProgress | LiveProgress:
    """Return what suits standard error: a live bar on a terminal, plain lines elsewhere."""
    console = Console(stderr=True)
    return LiveProgress(console) if console.is_terminal else PlainProgress()


def show_explanation(text: str) -> None:
    """Print an explanation; on a terminal verdicts, titles and differences stand out.

    Elsewhere the text is printed as it is. Nothing in it is taken for markup.
    """
    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    if not console.is_terminal:
        sys.stdout.write(f"{text}\n")
        return
    shown = Text(text)
    for pattern, style in EXPLANATION_STYLES:
        shown.highlight_regex(pattern, style)
    console.print(shown)
