"""What a stage is: a function from a unit of work to a receipt.

Nothing larger crosses a task edge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pipeline.config.sections import Config
from pipeline.corpus import Shard

ALL = "all"


@dataclass(frozen=True)
class FileRecord:
    """One finished file of the run folder: enough to tell it from a half-written or damaged one."""

    table: str
    path: str
    rows: int
    bytes: int
    digest: str


@dataclass(frozen=True)
class Work:
    """One unit of a stage: small, frozen, picklable.

    key: "all" for a reduce; "g00000" for a map over one group of shards. shards: those of the
    group, or every active one. tables: the files of each table as the manifest has them when the
    work is made, run-folder-relative. names: the file that each shard's rows are written to, below
    kept/, removed/ and rejected/. scan: the number of the scan. cores, memory (bytes): what this
    unit may use; they never change a result. restored, forgotten: what `rote restore` and
    `--forget` named: rows by key and text hash, text hashes and whether each was named itself.
    known: shards that were there before the last were added. records: the files of `tables`, for a
    stage that asks for them.
    """

    stage: str
    key: str
    folder: Path
    config: Config
    shards: tuple[Shard, ...]
    tables: dict[str, tuple[str, ...]]
    names: dict[int, str] = field(default_factory=dict)
    scan: int = 1
    cores: int = 1
    memory: int = 0
    restored: tuple[tuple[int, str], ...] = ()
    forgotten: tuple[tuple[str, bool], ...] = ()
    known: int = 0
    records: tuple[FileRecord, ...] = ()

    def paths(self, table: str) -> list[Path]:
        """Return the files of `table`, in order; empty when the run has none."""
        return [self.folder / name for name in self.tables.get(table, ())]


@dataclass(frozen=True)
class Receipt:
    """What a unit of work made.

    facts: plain numbers and words for the manifest and the report; no clock in them.
    """

    files: tuple[FileRecord, ...]
    rows_in: int
    rows_out: int
    facts: dict[str, Any] = field(default_factory=dict)


StageFunction = Callable[[Work], Receipt]


class Mapper(Protocol):
    """Runs one function over units of work, in any order.

    Yields each receipt with the place of its work.
    """

    def __call__(  # noqa: D102 - the class says it
        self, stage: str, function: StageFunction, works: Iterable[Work]
    ) -> Iterator[tuple[int, Receipt]]: ...


@dataclass(frozen=True)
class Stage:
    """One stage of the pipeline.

    settings: what of the configuration it depends on. needs: the stages whose outputs it reads;
    optional: those that it reads when they are current. also: those that a configuration makes it
    need. beside: what it reads beside an input. recalls: what of the manifest it depends on.
    by_group: a map over groups of shards instead of a reduce. conserves: rows in must equal rows
    out. records: whether it wants the records of the files that it reads. outside: a digest of
    what it reads besides outputs of this run.
    """

    name: str
    function: StageFunction
    version: int
    settings: Callable[[Config], Any]
    needs: tuple[str, ...] = ()
    by_group: bool = False
    conserves: bool = False
    optional: tuple[str, ...] = ()
    also: Callable[[Config], tuple[str, ...]] = lambda _: ()
    beside: tuple[tuple[str, str], ...] = ()
    recalls: tuple[str, ...] = ()
    records: bool = False
    outside: Callable[[Path, Config], Any] | None = None
