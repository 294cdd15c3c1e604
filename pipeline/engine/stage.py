"""What a stage is: a function from a unit of work to a receipt, and what is declared about it.

Nothing larger than a unit of work or a receipt crosses a task edge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pipeline.config.sections import Config
from pipeline.corpus import Shard

ALL = "all"
"""The key of the only unit of a reduce."""


@dataclass(frozen=True)
class FileRecord:
    """One finished file of the run folder: enough to tell it from a half-written or damaged one.

    Attributes:
        table: the table that it is part of.
        path: below the run folder, with forward slashes.
        rows: rows in it; 0 for a file that is no table.
        bytes: its size.
        digest: BLAKE2b-128 of its bytes, hex.
    """

    table: str
    path: str
    rows: int
    bytes: int
    digest: str


@dataclass(frozen=True)
class Former:
    """The last output of a unit: made by the same code with the same settings.

    The files of a reduce are sound; those of a map are as they lie, since it takes over some alone.

    Attributes:
        tables: its files by table, below the run folder.
        same: those of the outputs that it was made from, as `stage/key`, that are what they were.
        records: its files.
        facts: what it recorded.
        shards: numbers of the shards of a map whose names and bytes are what they were.
        unchanged: whether all that a reduce reads is what it was, so that another setting is why it
            is made again.
    """

    tables: dict[str, tuple[str, ...]]
    same: frozenset[str]
    records: tuple[FileRecord, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    shards: frozenset[int] = frozenset()
    unchanged: bool = False


@dataclass(frozen=True)
class Work:
    """One unit of a stage: small, frozen, picklable.

    Attributes:
        stage: name of the stage.
        key: "all" for a reduce, "g00000" for a map over one group of shards.
        folder: the run folder.
        config: the whole configuration; a stage reads only the settings that it declares.
        shards: those of the group, or every active one, by number.
        tables: files of each input table when the work is made, below the run folder.
        names: the file of each shard's rows below kept/, removed/ and rejected/, by shard number.
        scan: number of the scan.
        cores: threads that this unit may use; changes no result.
        memory: bytes that this unit may use; changes no result.
        recalled: what users asked the run folder to remember, by the keys that the stage declares.
        known: number of shards that were there before the last were added.
        records: the files of `tables`, for a stage that asks for them.
        former: the last output of this unit, for a stage that goes on from it; changes no result.
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
    recalled: dict[str, tuple[dict[str, Any], ...]] = field(default_factory=dict)
    known: int = 0
    records: tuple[FileRecord, ...] = ()
    former: Former | None = None

    def paths(self, table: str) -> list[Path]:
        """Return the files of a table, in order; empty when the run has none."""
        return [self.folder / name for name in self.tables.get(table, ())]

    def former_path(self, table: str) -> Path:
        """Return the file of a table that this unit wrote last; there must be a `former`."""
        tables = self.former.tables if self.former else {}
        return self.folder / tables[table][0]


@dataclass(frozen=True)
class Receipt:
    """What a unit of work made.

    Attributes:
        files: the finished files.
        rows_in: rows that it read, as its stage counts them.
        rows_out: rows that it accounts for; equal to rows_in where the stage conserves rows.
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
class Recall:
    """Something that the user asked a run folder to remember, and a stage acts on.

    Attributes:
        key: its name in the manifest.
        needs: stages whose outputs are read as well while anything is remembered.
        later: whether an output from before it was asked stays current for what reads it, and is
            made anew when its stage is performed next: a stage that `continues`.
    """

    key: str
    needs: tuple[str, ...] = ()
    later: bool = False


@dataclass(frozen=True)
class Stage:
    """One stage of the pipeline: what it does, and everything that its outputs depend on.

    Attributes:
        name: name of the stage, and of its outputs: `name/key`.
        function: makes the output of one unit of work.
        version: raised when the same inputs and settings give other bytes than before.
        settings: what of the configuration it reads, as plain values.
        tables: folders of the run folder that it writes its files to.
        needs: stages whose outputs it reads.
        optional: stages whose outputs it reads where they are current.
        also: stages that a configuration makes it need.
        former: stages whose last outputs it reads, current or not; its fingerprint has them not.
        beside: (a stage that it may read, a stage that it then reads too).
        recalls: what users asked the run folder to remember and this stage acts on.
        by_group: whether it is a map over groups of shards; else it is a reduce.
        own_rows: stages of whose tables a map reads the rows of its group alone; they tell a digest
            of these (`pipeline.engine.group_digests`).
        conserves: whether rows in must equal rows out.
        registers: whether its facts tell each shard's content digest, for the registry of shards.
        names_scan: whether the number of the scan is in its output.
        names_skipped: whether the files that a scan left out are named in its output.
        records: whether it wants the records of the files that it reads.
        sealed_by: stages whose outputs say that its files are whole; they go before one changes.
        outside: digest of what it reads besides outputs of this run; None for nothing.
        wanted: whether a configuration asks for it; else it is left out, with what it made before.
        spreads: whether it maps parts of its own (`pipeline.engine.parts`): on a cluster it runs
            where the flow does, and its parts on the nodes.
        continues: whether it goes on from its own last output where inputs of that are unchanged:
            the manifest notes what that was made from. The bytes are those of one made anew.
        goes_on_with: what of the configuration must be the same for that; None for `settings`.
    """

    name: str
    function: StageFunction
    version: int
    settings: Callable[[Config], Any]
    tables: tuple[str, ...]
    needs: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    also: Callable[[Config], tuple[str, ...]] = lambda _: ()
    former: tuple[str, ...] = ()
    beside: tuple[tuple[str, str], ...] = ()
    recalls: tuple[Recall, ...] = ()
    by_group: bool = False
    own_rows: tuple[str, ...] = ()
    conserves: bool = False
    registers: bool = False
    names_scan: bool = False
    names_skipped: bool = False
    records: bool = False
    sealed_by: tuple[str, ...] = ()
    outside: Callable[[Path, Config], Any] | None = None
    wanted: Callable[[Config], bool] = lambda _: True
    spreads: bool = False
    continues: bool = False
    goes_on_with: Callable[[Config], Any] | None = None
