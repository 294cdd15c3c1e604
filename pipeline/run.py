"""The only list of the stages, top to bottom, and the commands that go through it.

How a stage is run, skipped and recorded: `pipeline.engine.session`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipeline.config.load import load_config
from pipeline.config.sections import Config
from pipeline.corpus.token_ids import tokenizer_digest
from pipeline.engine.events import logged
from pipeline.engine.forgotten import FORGOTTEN
from pipeline.engine.lineage import lineage
from pipeline.engine.memory import begin, for_scoring
from pipeline.engine.progress import current
from pipeline.engine.run_folder import RunFolder, open_run
from pipeline.engine.session import Session, idle
from pipeline.engine.stage import Mapper, Recall, Stage
from pipeline.engine.system import writing
from pipeline.errors import ConfigError, PipelineError, SchemaMismatch
from pipeline.expected import require_disk
from pipeline.filter import (
    columns,
    contaminated,
    decisions,
    documents,
    evaluation,
    former,
    held,
    other_run,
)
from pipeline.filter.emit import emit, seal
from pipeline.filter.overrides import RESTORED
from pipeline.filter.personal import personal
from pipeline.names import shown
from pipeline.report import report
from pipeline.required import adopt, check_settings, require
from pipeline.scan import copies, counts, families, signatures
from pipeline.scan.inventory import check_places, inventory
from pipeline.scan.near import candidates, pairs
from pipeline.scan.rejections import require_documents
from pipeline.scan.repeats import contained, windows
from pipeline.score.forecast import risk
from pipeline.score.probes import probes
from pipeline.score.sequences import declared, sequences
from pipeline.text import forms
from pipeline.text.segmentation import are_compiled
from schemas.manifest import SCHEMA_VERSION

UNICODE = "14.0.0"


def _read(config: Config) -> Any:  # noqa: ANN401 - plain values
    """Return the settings by which rows of the corpus are read."""
    settings = config.input.model_dump(exclude={"skip_bad_files", "most_rejected", "tokenizer"})
    return settings, tokenizer_digest(config.input)


def _form(config: Config) -> Any:  # noqa: ANN401
    """Return how texts are normalized, with the version of the tables where they are."""
    return [config.text.normalize, forms.version(config.text.normalize)]


def _worded(config: Config) -> Any:  # noqa: ANN401
    """Return how rows are read, and what a word is: kept proxies were taught words of that kind."""
    return [_read(config), config.sketch.seed, signatures.VERSION, _form(config)]


def _probed(config: Config) -> Any:  # noqa: ANN401
    return [config.probes.model_dump(), config.proxy.model_dump(), _read(config)]


def _decided(config: Config) -> Any:  # noqa: ANN401
    near, added = config.near, config.mitigation
    return [
        config.policy.model_dump(),
        [added.sink_id, added.weights],
        [near.threshold, near.keep, near.sources],
        near.containment if config.minus.run else None,
        [bool(config.decontaminate.files), config.decontaminate.model_dump(exclude={"files"})],
        [config.window.words, config.sketch.seed, config.sketch.shingle_words],
    ]


def _kept_out(config: Config) -> tuple[str, ...]:
    """Return the stages that find rows which go whatever else is decided."""
    return tuple(stage.name for stage in KEEP_OUT if stage.wanted(config))


def _ranked_by(config: Config) -> tuple[str, ...]:
    """Return the stages that say besides the counts which of two copies is the better."""
    return tuple(stage.name for stage in BEFORE if stage.wanted(config))


def _found(config: Config) -> tuple[str, ...]:
    """Return the stages that find what a rule or the report tells of."""
    return tuple(stage.name for stage in FIND if stage.wanted(config))


SCAN = (
    Stage(
        "sketch",
        signatures.sketch,
        signatures.VERSION,
        lambda c: [_read(c), c.sketch.model_dump(), _form(c)],
        tables=("signatures", "words", "rejected"),
        by_group=True,
        conserves=True,
        registers=True,
    ),
    Stage(
        "copies",
        copies.copies,
        copies.VERSION,
        lambda _: None,
        tables=("copies",),
        needs=("sketch",),
        conserves=True,
    ),
    Stage(
        "candidates",
        candidates.candidates,
        candidates.VERSION,
        lambda c: [c.near.bucket_cap, c.near.neighbours, c.sketch.model_dump()],
        tables=("buckets", "candidates", "audit"),
        needs=("sketch", "copies"),
    ),
    Stage(
        "pairs",
        pairs.pairs,
        pairs.VERSION,
        lambda c: [c.near.count_threshold, c.sketch.model_dump()],
        tables=("pairs", "refuted"),
        needs=("candidates", "sketch"),
        spreads=True,
        continues=True,
    ),
    Stage(
        "windows",
        windows.windows,
        windows.VERSION,
        lambda c: [c.window.model_dump(), c.sketch.model_dump()],
        tables=("windows", "spans", "repeats", "links", "anchors"),
        needs=("sketch",),
        spreads=True,
        continues=True,
    ),
    Stage(
        "contained",
        contained.contained,
        contained.VERSION,
        lambda c: [c.near.containment > 0, c.window.model_dump(), c.sketch.model_dump()],
        tables=("contained",),
        needs=("sketch", "copies", "windows"),
        spreads=True,
    ),
    Stage(
        "families",
        families.families,
        families.VERSION,
        lambda _: None,
        tables=("families",),
        needs=("sketch", "copies", "pairs", "windows"),
        conserves=True,
    ),
    Stage(
        "counts",
        counts.counts,
        counts.VERSION,
        lambda c: [c.near.bucket_cap, c.window.words],
        tables=("counts",),
        needs=("sketch", "copies", "candidates", "pairs", "windows", "families"),
        conserves=True,
    ),
)
SCORE = (
    Stage(
        "sequences",
        sequences.sequences,
        sequences.VERSION,
        lambda c: [_worded(c), sequences.settings(c), c.window.words],
        tables=("sequences", "contexts", "plants", "dynamics", "taught", "models"),
        needs=("counts", "windows", "sketch"),
        recalls=(Recall(FORGOTTEN, later=True),),  # a filter needs the forecast until then
        continues=True,
        goes_on_with=lambda c: [_worded(c), sequences.settings_of_training(c), c.window.words],
        outside=declared.digests,
    ),
    Stage(
        "risk",
        risk.risk,
        risk.VERSION,
        lambda c: [c.target.model_dump(), c.proxy.seed],
        tables=("risk", "document_risk", "laws", "risk_model"),
        needs=("sequences", "counts"),
    ),
    Stage(
        "probes",
        probes.probes,
        probes.VERSION,
        lambda c: _probed(c) if c.probes.signals else [],
        tables=("probes",),
        needs=("sequences", "counts"),
    ),
)
FIND = (
    Stage(
        "personal",
        personal.personal,
        personal.VERSION,
        personal.settings,
        tables=("personal",),
        by_group=True,
        wanted=personal.is_asked,
    ),
)
KEEP_OUT = (
    Stage(
        "held",
        held.held,
        held.VERSION,
        held.settings,
        tables=("held",),
        needs=("sketch", "counts"),
        outside=other_run.digest,
        wanted=held.is_asked,
    ),
    Stage(
        "contaminated",
        contaminated.contaminated,
        contaminated.VERSION,
        contaminated.settings,
        tables=("contaminated", "passages"),
        needs=("sketch",),
        outside=evaluation.digests,
        wanted=contaminated.is_asked,
    ),
)
BEFORE = (
    Stage(
        "former",
        former.former,
        former.VERSION,
        lambda _: None,
        tables=("former",),
        former=("documents",),
        names_scan=True,
        wanted=former.is_asked,
    ),
)
FILTER = (
    Stage(
        "documents",
        documents.documents,
        documents.VERSION,
        lambda c: [
            *(c.near.threshold, c.near.keep, c.near.sources, c.near.containment),
            *(c.near.symbol_words, c.near.across_splits),
        ],
        tables=("documents",),
        needs=("counts", "pairs", "contained"),
        also=lambda c: (*_kept_out(c), *_ranked_by(c)),
        conserves=True,
    ),
    Stage(
        "decisions",
        decisions.decisions,
        decisions.VERSION,
        _decided,
        tables=("decisions", "cuts"),
        needs=("documents", "pairs"),
        optional=("risk",),
        also=lambda c: (*decisions.also_needs(c), *_kept_out(c), *_ranked_by(c)),
        beside=(("risk", "sketch"),),
        recalls=(Recall(RESTORED), Recall(FORGOTTEN, needs=("sketch", "windows"))),
        conserves=True,
    ),
    Stage(
        "columns",
        columns.columns,
        columns.VERSION,
        _read,
        tables=("columns",),
        needs=("sketch",),
        conserves=True,
    ),
    Stage(
        "emit",
        emit.emit,
        emit.VERSION,
        emit.settings,
        tables=("kept", "removed"),
        needs=("documents", "decisions", "columns"),
        optional=("risk",),
        also=lambda c: (*emit.also_needs(c), *_kept_out(c)),
        recalls=(Recall(FORGOTTEN),),
        by_group=True,
        conserves=True,
        own_rows=("documents", "decisions", "columns", "risk", "contaminated", "held"),
        sealed_by=("seal",),
        continues=True,
    ),
    Stage(
        "seal",
        seal.seal,
        seal.VERSION,
        lambda c: [seal.settings(c), _read(c)] if seal.has_memfree(c) else [],
        tables=("kept", "removed", "lists", "mitigation"),
        needs=("emit",),
        also=seal.also_needs,
        names_scan=True,
        records=True,
    ),
)
REPORT = (
    Stage(
        "report",
        report.report,
        report.VERSION,
        lambda c: c.model_dump(mode="json", exclude={"limits"}),  # the page shows all of it
        tables=("report",),
        needs=("sketch", "counts", "pairs", "windows", "candidates"),
        optional=("sequences", "risk", "probes", "documents", "decisions", "emit", "seal"),
        also=lambda c: (*_found(c), *_kept_out(c)),
        names_scan=True,
        names_skipped=True,
        outside=report.outside,
    ),
)
ACTS = {
    "scan": SCAN,
    "score": SCORE,
    "filter": (*FIND, *KEEP_OUT, *BEFORE, *FILTER),
    "report": REPORT,
}
STAGES = {stage.name: stage for stages in ACTS.values() for stage in stages}
TABLES = frozenset(table for stage in STAGES.values() for table in stage.tables)


def scan(session: Session, at_least: int = 0) -> None:
    """Bring the inventory up to date, then count everything that is repeated in it.

    Args:
        session: the open run.
        at_least: bytes that what follows the scan needs, so that it is refused before.
    """
    if not are_compiled():
        current().message("compiling loops: half a minute, once after an installation")
    inventory(session.manifest, session.corpus, session.config, verify=session.verify)
    session.refresh()
    session.plan_memory(at_least)
    require_disk(session.run.folder, session.manifest, session.config)
    adopt(session)
    for stage in SCAN:
        session.perform(stage)
        if stage.name == "sketch":
            require_documents(session.manifest, session.config.input)


def score(session: Session) -> None:
    """Train the proxies, score sequences, forecast what the target memorizes."""
    require(session, "score", SCAN, SCORE, FILTER)
    session.plan_memory(for_scoring(session.config))
    for stage in SCORE:
        session.perform(stage)


def filter_rows(session: Session) -> None:
    """Decide about every row and write kept/ and removed/."""
    require(session, "filter", SCAN, SCORE, FILTER)
    session.plan_memory()
    for stage in (*FIND, *KEEP_OUT, *BEFORE):
        if stage.wanted(session.config):
            session.perform(stage)
        else:
            session.leave_out(stage)
    for stage in FILTER:
        session.perform(stage)


def write_report(session: Session) -> None:
    """Write the page and its JSON."""
    require(session, "report", SCAN, SCORE, FILTER)
    session.plan_memory()
    for stage in REPORT:
        session.perform(stage)


def everything(session: Session) -> None:
    """Scan, score, filter, report."""
    check_settings(session, "score", "filter")
    scan(session, for_scoring(session.config))
    score(session)
    filter_rows(session)
    write_report(session)


def without_score(session: Session) -> None:
    """Scan, filter, report: nothing is trained, and a forecast that is current is used."""
    scored = session.current(STAGES["risk"])
    decisions.require_scored(session.config, scored=scored, folder=session.run.folder)
    check_settings(session, "filter", "report")
    scan(session)
    filter_rows(session)
    write_report(session)


def scan_and_filter(session: Session) -> None:
    """Scan and filter."""
    scored = session.current(STAGES["risk"])
    decisions.require_scored(session.config, scored=scored, folder=session.run.folder)
    check_settings(session, "filter")
    scan(session)
    filter_rows(session)


COMMANDS: dict[str, Callable[[Session], None]] = {
    "run": everything,
    "run --no-score": without_score,
    "scan": scan,
    "scan --filter": scan_and_filter,
    "score": score,
    "filter": filter_rows,
    "report": write_report,
}


ACTS_OF = {
    "run": tuple(ACTS),
    "run --no-score": ("scan", "filter", "report"),
    "scan --filter": ("scan", "filter"),
} | {act: (act,) for act in ACTS}
"""The acts that each command goes through."""
RESULTS = ("kept", "removed", "rejected", "report")


@contextmanager
def session(
    out: Path,
    config: Config,
    mapper: Mapper,
    *,
    corpus: Sequence[str] = (),
    verify: bool = False,
    command: str = "",
) -> Iterator[Session]:
    """Open a run folder, alone; with a corpus, make it when it is not there.

    Args:
        out: the run folder.
        config: the configuration.
        mapper: runs the units.
        corpus: files, folders and globs of a scan.
        verify: whether to trust no size or date.
        command: what this is for, in the log of events.
    """
    begin(config)
    if corpus:
        check_places(corpus, out)
    created = new_manifest() if corpus else None
    with writing(out), open_run(out, tables=TABLES, create=created) as run:
        if run.foreign:
            current().message(f"not of rote, left alone: {_first(run.foreign)}")
        former = run.manifest["config"]
        try:
            with (
                logged(out, command),
                lineage(run, config.limits.lineage, command, corpus, _results(command)),
            ):
                yield Session(run, config, mapper, STAGES, verify, tuple(corpus))
        except (ConfigError, SchemaMismatch):
            _take_back(run, former)
            raise


def _results(command: str) -> list[str]:
    """Return the folders with results that a command writes to."""
    stages = [stage for act in ACTS_OF.get(command, ()) for stage in ACTS[act]]
    written = {table for stage in stages for table in stage.tables}
    return [table for table in RESULTS if table in written]


def _first(names: Sequence[str], most: int = 20) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(shown(name) for name in names[:most]) + more


def _take_back(run: RunFolder, former: dict[str, Any]) -> None:
    """Save the former configuration again where it is still that of the scan.

    A stage that refuses a setting would else refuse the next command, which does not name it.
    """
    if not former or run.manifest["config"] == former:
        return
    try:
        session = Session(run, load_config(base=former), idle, STAGES)
        scanned = all(session.current(stage) for stage in SCAN)
    except PipelineError:  # the former settings cannot be used either
        return
    if scanned:
        run.manifest["config"] = former
        run.save()


def new_manifest() -> dict[str, Any]:
    """Return the manifest of a run folder in which nothing was done yet."""
    return {
        "rote": SCHEMA_VERSION,
        "version": version("rote"),
        "unicode": UNICODE,
        "scan": 0,
        "config": {},
        "corpus": {"roots": [], "skipped": {}, "shards": []},
        "outputs": {},
    }
