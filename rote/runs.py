"""Runs from Python: start one, open one, read its tables, ask it questions."""

from __future__ import annotations

import builtins
import html
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Self, TypeAlias, TypeVar

from rote.settings import Settings, as_options
from rote.tables import Table

if TYPE_CHECKING:
    from pipeline.inspect.explanation import Explanation
    from pipeline.inspect.lookup import Answer

Corpus: TypeAlias = "str | os.PathLike[str] | Sequence[str | os.PathLike[str]]"
Found = TypeVar("Found")


@dataclass(frozen=True, repr=False)
class Told(Generic[Found]):
    """An answer of a run: `str` has it in words, `data` in numbers.

    Attributes:
        data: the answer as the dataclass that the words are made from.
        text: the words.
    """

    data: Found
    text: str

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.text)}</pre>"


class Run:
    """A run folder. Its tables are attributes: called, each is a Polars frame (see `Table`).

    Attributes:
        folder: where it is.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        from pipeline.engine.manifest import load_manifest

        self.folder = _local(folder)
        load_manifest(self.folder)  # refuses what is no run folder

    def filter(self, settings: Settings | None = None, *, progress: bool = False) -> Self:
        """Decide about every row and write kept/ and removed/; return the same run."""
        return self._work("filter", settings, progress=progress)

    def score(
        self, target: str | None = None, settings: Settings | None = None, *, progress: bool = False
    ) -> Self:
        """Train the proxies and forecast what the target memorizes; return the same run.

        Args:
            target: the model to be trained, as `8b:15T`; the settings' one without it.
            settings: those that differ from the run's.
            progress: whether to say on standard error how far it is.
        """
        return self._work("score", settings, target, progress=progress)

    def report(self, settings: Settings | None = None, *, progress: bool = False) -> Self:
        """Write report/index.html and report/report.json; return the same run."""
        return self._work("report", settings, progress=progress)

    def _work(
        self,
        command: str,
        settings: Settings | None,
        target: str | None = None,
        *,
        progress: bool,
    ) -> Self:
        _start(command, self.folder, (), settings, target, progress=progress)
        self.__dict__.pop("_tables", None)
        return self

    @cached_property
    def _tables(self) -> dict[str, builtins.list[Path]]:
        """The files of each table that is current."""
        from pipeline.engine.run_folder import read_run
        from pipeline.outline import stale_tables

        return read_run(self.folder).tables(stale_tables(self.folder))

    @property
    def tables(self) -> builtins.list[str]:
        """The names of the tables that this run has and that are current."""
        return sorted(name for name, paths in self._tables.items() if paths[0].suffix == ".parquet")

    def table(self, name: str) -> Table:
        """Return a table by its name; a finished scan that rejected no row has an empty `rejected`.

        Raises:
            InputError: The run has none of that name, or it is of an earlier scan or setting.
        """
        import pyarrow as pa

        from pipeline.errors import InputError
        from schemas.scan.rejected import rejected

        if name == "rejected" and name not in self._tables and "signatures" in self._tables:
            return Table(name, [], rejected(pa.schema([])))
        if name not in self.tables:
            raise InputError(
                "This run has no such table, or it is of an earlier scan or setting.",
                where=f"{self.folder}, table {name}",
                expected=", ".join(self.tables),
                fix="run what makes it: .score() for risk and sequences, .filter() for documents, "
                "decisions, kept and removed",
            )
        return Table(name, self._tables[name])

    @property
    def documents(self) -> Table:
        """Counts of each document and its keeper, if it can be removed."""
        return self.table("documents")

    @property
    def counts(self) -> Table:
        """Counts of each document, under no threshold."""
        return self.table("counts")

    @property
    def pairs(self) -> Table:
        """Verified pairs of near copies with their exact Jaccard."""
        return self.table("pairs")

    @property
    def families(self) -> Table:
        """The family of each document: what is linked by copies, pairs or shared passages."""
        return self.table("families")

    @property
    def spans(self) -> Table:
        """Repeated passages, as byte ranges of their texts."""
        return self.table("spans")

    @property
    def decisions(self) -> Table:
        """What the filter decided about each document, and why."""
        return self.table("decisions")

    @property
    def kept(self) -> Table:
        """The rows that stay: the user's columns and the struct `rote`."""
        return self.table("kept")

    @property
    def removed(self) -> Table:
        """The rows that go, each with its reason and proof in the struct `rote`."""
        return self.table("removed")

    @property
    def rejected(self) -> Table:
        """Rows that are no documents, with their reason; empty where there is none."""
        return self.table("rejected")

    @property
    def sequences(self) -> Table:
        """The sequences that were scored, with counts and statistics."""
        return self.table("sequences")

    @property
    def risk(self) -> Table:
        """The forecast of each scored sequence, with its interval."""
        return self.table("risk")

    @property
    def document_risk(self) -> Table:
        """The forecast of each document."""
        return self.table("document_risk")

    @property
    def settings(self) -> dict[str, Any]:
        """Every setting of the last command, by section."""
        from pipeline.engine.manifest import saved_config

        return saved_config(self.folder)

    def summary(self) -> str:
        """Return what the command says when it has ended: rows, reasons, forecast, alarms."""
        from flows.summary import summarize

        return summarize(self.folder)[0]

    def explain(self, doc_id: str) -> Told[builtins.list[Explanation]]:
        """Return why a row stayed or went, for each row of an id (or SHARD#ROW).

        Raises:
            InputError: No row has that name.
        """
        from pipeline.inspect.explain import explanations
        from pipeline.inspect.explanation_words import in_words
        from pipeline.outline import stale_tables

        told = explanations(self.folder, doc_id, stale_tables(self.folder))
        return Told(told, in_words(told))

    def query(self, text: str) -> Told[Answer]:
        """Return how often a text occurs in the corpus, and what is near it.

        Raises:
            ConfigError: The text has no words, or the scan is not finished.
        """
        from flows.answer import in_words
        from pipeline.inspect.lookup import lookup
        from pipeline.outline import stale_tables

        threads = len(os.sched_getaffinity(0))
        answer = lookup(self.folder, text.encode(), stale_tables(self.folder), threads)
        return Told(answer, in_words(answer))

    def __repr__(self) -> str:
        return f"<rote run {self.folder}>\n{self.summary()}"

    def _repr_html_(self) -> str:
        page = self.folder / "report" / "index.html"
        link = f'<p><a href="{html.escape(page.absolute().as_uri())}">report</a></p>'
        text = html.escape(self.summary())
        shown = link if "report" in self._tables else ""
        return f"<p><b>rote run</b> {html.escape(str(self.folder))}</p><pre>{text}</pre>{shown}"


def open(folder: str | os.PathLike[str]) -> Run:
    """Open a run folder.

    Raises:
        RunFolderError: It is none, is damaged, or of another version.
    """
    return Run(folder)


def scan(
    corpus: Corpus,
    out: str | os.PathLike[str],
    settings: Settings | None = None,
    *,
    progress: bool = False,
) -> Run:
    """Make or continue a run folder: count every repetition, verify every near copy.

    Args:
        corpus: files, folders or globs.
        out: the run folder.
        settings: those that differ from the defaults, as {"near.threshold": 0.9}.
        progress: whether to say on standard error how far it is.
    """
    _start("scan", _local(out), _roots(corpus), settings, progress=progress)
    return Run(out)


def run(
    corpus: Corpus,
    out: str | os.PathLike[str],
    settings: Settings | None = None,
    *,
    target: str | None = None,
    score: bool = True,
    progress: bool = False,
) -> Run:
    """Do everything: scan, score, filter, report.

    Args:
        corpus: files, folders or globs.
        out: the run folder.
        settings: those that differ from the defaults, as {"near.threshold": 0.9}.
        target: the model to be trained, as `8b:15T`.
        score: whether to train proxies and to forecast; else nothing of rote[score] is needed.
        progress: whether to say on standard error how far it is.
    """
    command = "run" if score else "run --no-score"
    _start(command, _local(out), _roots(corpus), settings, target, progress=progress)
    return Run(out)


def _local(folder: str | os.PathLike[str]) -> Path:
    """Return the place of a run folder.

    Raises:
        ConfigError: It is an address of object storage, which the command alone works on.
    """
    from flows.places import address_of

    path = Path(folder)
    if address_of(path) is not None:
        from pipeline.errors import ConfigError

        raise ConfigError(
            "A run folder at an address is for the command, not for the library.",
            where=os.fspath(folder),
            expected="a folder of this machine",
            fix="name one here, or copy the run",
        )
    return path


def _roots(corpus: Corpus) -> builtins.list[str]:
    if isinstance(corpus, str | os.PathLike):
        return [os.fspath(corpus)]
    return [os.fspath(root) for root in corpus]


def _start(
    command: str,
    out: Path,
    corpus: Sequence[str],
    settings: Settings | None,
    target: str | None = None,
    *,
    progress: bool,
) -> None:
    """Run the stages of a command in this process, as the command with --local does."""
    from flows.runners import LocalMapper
    from pipeline.config.load import load_config
    from pipeline.config.target_names import target_settings
    from pipeline.engine.manifest import saved_config
    from pipeline.engine.memory import workers_of
    from pipeline.installed import parts
    from pipeline.run import COMMANDS, session
    from rote.progress import telling

    options = as_options(settings)
    if target is not None:
        options += target_settings(target, options)
    config = load_config(settings=options, base={} if corpus else saved_config(out))
    with (
        parts(),
        telling(progress),
        session(
            out, config, LocalMapper(workers_of(config)), corpus=corpus, command=command
        ) as opened,
    ):
        COMMANDS[command](opened)
