"""How far a command is, as one share of all its stages, and what its run is called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pipeline.corpus.listed import MARK
from pipeline.engine.progress import Progress
from pipeline.engine.session import Session
from pipeline.names import shown
from pipeline.run import ACTS, ACTS_OF

NAME = 40  # characters of a corpus' name in that of a run


def run_name(roots: list[str], command: str, scan: int | None = None) -> str:
    """Return the name of a run, such as `corpus scan 14`.

    Args:
        roots: files, folders, globs, lists and addresses of the corpus.
        command: what it does.
        scan: the number of the scan; None before it is known.
    """
    names = [Path(root.removeprefix(MARK)).name for root in roots]
    named = [name for name in names if name and not set(name) & set("*?[")] or ["corpus"]
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    parts = [f"{shown(named[0])[:NAME]}{more}", command, "" if scan is None else str(scan)]
    return " ".join(part for part in parts if part)


class Followed:
    """A listener that keeps how far a command is, and hands on what it hears.

    It names the run by the scan once its number is known: when the first stage begins or is
    skipped.

    Attributes:
        share: of the stages that are done, 0 to 1; each counts the same.
        said: the stage and its units, in words.
    """

    def __init__(
        self, session: Session, command: str, listener: Progress, name: Callable[[str], None]
    ) -> None:
        stages = [stage for act in ACTS_OF[command] for stage in ACTS[act]]
        self._stages = max(1, sum(stage.wanted(session.config) for stage in stages))
        self._session, self._command, self._next = session, command, listener
        self._ended, self._units, self._done = 0, 1, 0
        self._name_run: Callable[[str], None] | None = name
        self.share, self.said = 0.0, "begins"

    def stage(self, name: str, units: int) -> None:
        """Note that a stage begins."""
        self._name()
        self._units, self._done, self.said = units, 0, f"{name}: 0 of {units} units"
        self._next.stage(name, units)

    def skipped(self, name: str) -> None:
        """Note that a stage was done before."""
        self._name()
        self._end_stage()
        self._next.skipped(name)

    def advance(self, done: float, total: float, note: str = "") -> None:
        """Note how far a stage of one unit is."""
        if self._units == 1 and total > 0:
            self.share = (self._ended + min(1.0, done / total)) / self._stages
        self._next.advance(done, total, note)

    def unit_done(self, name: str) -> None:
        """Note that one unit of a stage is done."""
        self._done += 1
        self.said = f"{name}: {self._done} of {self._units} units"
        if self._done == self._units:
            self._end_stage()
        else:
            self.share = (self._ended + self._done / self._units) / self._stages
        self._next.unit_done(name)

    def message(self, text: str) -> None:
        """Hand it on."""
        self._next.message(text)

    def _end_stage(self) -> None:
        self._ended += 1
        self.share = min(1.0, self._ended / self._stages)

    def _name(self) -> None:
        if self._name_run is not None:
            manifest = self._session.manifest
            roots = manifest["corpus"]["roots"]
            self._name_run(run_name(roots, self._command, manifest["scan"]))
            self._name_run = None
