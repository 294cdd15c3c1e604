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
from pipeline.engine.files import writing
from pipeline.engine.memory import begin
from pipeline.engine.run_folder import RunFolder, load_manifest, open_run, refuse_foreign
from pipeline.engine.session import Session, idle
from pipeline.engine.stage import ALL, Mapper, Stage
from pipeline.errors import ConfigError
from pipeline.filter import decisions, documents
from pipeline.filter.emit import emit, seal
from pipeline.report import report
from pipeline.scan import copies, counts, families, signatures
from pipeline.scan.inventory import check_places, inventory, require_unchanged
from pipeline.scan.near import candidates, pairs
from pipeline.scan.repeats import contained, windows
from pipeline.score.forecast import risk
from pipeline.score.probes import probes
from pipeline.score.sequences import sequences
from schemas.manifest import SCHEMA_VERSION

UNICODE = "14.0.0"


def _sketched(config: Config) -> list[dict[str, Any]]:
    return [config.input.model_dump(exclude={"skip_bad_files"}), config.sketch.model_dump()]


SCAN = (
    Stage(
        "sketch", signatures.sketch, signatures.VERSION, _sketched, by_group=True, conserves=True
    ),
    Stage("copies", copies.copies, copies.VERSION, lambda _: None, ("sketch",), conserves=True),
    Stage(
        "candidates",
        candidates.candidates,
        candidates.VERSION,
        lambda c: [c.near.bucket_cap, c.near.neighbours],
        ("sketch", "copies"),
    ),
    Stage(
        "pairs",
        pairs.pairs,
        pairs.VERSION,
        lambda c: c.near.count_threshold,
        ("candidates", "sketch"),
    ),
    Stage(
        "windows", windows.windows, windows.VERSION, lambda c: c.window.model_dump(), ("sketch",)
    ),
    Stage(
        "contained",
        contained.contained,
        contained.VERSION,
        lambda c: c.near.containment > 0,
        ("sketch", "copies", "windows"),
    ),
    Stage(
        "families",
        families.families,
        families.VERSION,
        lambda _: None,
        ("sketch", "copies", "pairs", "windows"),
        conserves=True,
    ),
    Stage(
        "counts",
        counts.counts,
        counts.VERSION,
        lambda _: None,
        ("sketch", "copies", "candidates", "pairs", "windows", "families"),
        conserves=True,
    ),
)
SCORE = (
    Stage(
        "sequences",
        sequences.sequences,
        sequences.VERSION,
        sequences.settings,
        ("counts", "windows", "sketch"),
    ),
    Stage(
        "risk", risk.risk, risk.VERSION, lambda c: c.target.model_dump(), ("sequences", "counts")
    ),
    Stage(
        "probes",
        probes.probes,
        probes.VERSION,
        lambda c: c.probes.model_dump() if c.probes.signals else [],
        ("sequences", "counts"),
    ),
)
FILTER = (
    Stage(
        "documents",
        documents.documents,
        documents.VERSION,
        lambda c: [c.near.threshold, c.near.keep, c.near.sources, c.near.containment],
        ("counts", "pairs", "contained"),
        conserves=True,
    ),
    Stage(
        "decisions",
        decisions.decisions,
        decisions.VERSION,
        lambda c: [c.policy.model_dump(), c.mitigation.sink_id, c.mitigation.weights],
        ("documents", "pairs"),
        conserves=True,
        optional=("risk",),
        also=decisions.also_needs,
        beside=(("risk", "sketch"),),
        recalls=("restored", "forgotten"),
    ),
    Stage(
        "emit",
        emit.emit,
        emit.VERSION,
        emit.settings,
        ("documents", "decisions"),
        by_group=True,
        conserves=True,
        optional=("risk",),
        also=emit.also_needs,
    ),
    Stage(
        "seal",
        seal.seal,
        seal.VERSION,
        seal.settings,
        ("emit",),
        also=seal.also_needs,
        records=True,
    ),
)
REPORT = (
    Stage(
        "report",
        report.report,
        report.VERSION,
        lambda c: c.model_dump(mode="json", exclude={"limits"}),  # the page shows all of it
        ("counts", "pairs", "windows", "candidates"),
        optional=("sequences", "risk", "probes", "documents", "decisions", "emit"),
        outside=report.outside,
    ),
)
STAGES = {stage.name: stage for stage in (*SCAN, *SCORE, *FILTER, *REPORT)}


def scan(session: Session) -> None:
    """Bring the inventory up to date, then count everything that is repeated in it."""
    inventory(session.manifest, session.corpus, session.config, verify=session.verify)
    session.plan_memory()
    _adopt(session)
    for stage in SCAN:
        session.perform(stage)


def score(session: Session) -> None:
    """Train the proxies, score sequences, forecast what the target memorizes."""
    _require(session, SCAN, "score")
    for stage in SCORE:
        session.perform(stage)


def filter_rows(session: Session) -> None:
    """Decide about every row and write kept/ and removed/."""
    _require(session, SCAN, "filter")
    session.plan_memory()
    if not all(session.current(stage) for stage in FILTER):
        session.run.forget([f"seal/{ALL}"])  # kept/ is not whole until it is sealed again
    for stage in FILTER:
        session.perform(stage)


def write_report(session: Session) -> None:
    """Write the page and its JSON."""
    _require(session, SCAN, "report")
    session.plan_memory()
    for stage in REPORT:
        session.perform(stage)


def everything(session: Session) -> None:
    """Scan, score, filter, report."""
    scan(session)
    score(session)
    filter_rows(session)
    write_report(session)


COMMANDS: dict[str, Callable[[Session], None]] = {
    "run": everything,
    "scan": scan,
    "score": score,
    "filter": filter_rows,
    "report": write_report,
}


def _require(session: Session, stages: Sequence[Stage], command: str) -> None:
    """Refuse to go on when the scan is not there, not finished, or of a corpus that has changed."""
    require_unchanged(session.manifest)
    missing = [stage.name for stage in stages if not session.current(stage)]
    if missing:
        raise ConfigError(
            f"This run folder cannot be used for `{command}` yet: "
            "its scan is not finished, or is of other settings.",
            where=str(session.run.folder),
            found=f"not current: {', '.join(missing)}",
            fix="finish it: rote scan CORPUS... --out RUN (with the same settings)",
        )
    if command == "filter":
        found = [session.run.folder / record["path"] for record in session.run.files("counts")]
        documents.require_sources(found, session.config.near)
        decisions.require_sources(found, session.config.policy)
        decisions.require_scored(
            session.config, scored=session.current(STAGES["risk"]), folder=session.run.folder
        )
    _adopt(session)


def _adopt(session: Session) -> None:
    """Save the configuration as that of the run folder.

    A command that was refused leaves the former one.
    """
    session.manifest["config"] = session.config.model_dump(mode="json", exclude={"limits"})
    session.run.save()


@contextmanager
def session(
    out: Path, config: Config, mapper: Mapper, *, corpus: Sequence[str] = (), verify: bool = False
) -> Iterator[Session]:
    """Open a run folder, alone; with a corpus, make it when it is not there."""
    begin()
    if corpus:
        check_places(corpus, out)
    with writing(out), open_run(out, create=new_manifest() if corpus else None) as run:
        yield Session(run, config, mapper, STAGES, verify, tuple(corpus))


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


def saved_config(out: Path) -> dict[str, Any]:
    """Return the configuration that a run folder was last worked on with."""
    return dict(load_manifest(out)["config"])


def stale_tables(out: Path) -> frozenset[str]:
    """Return the tables of a run folder that its last scan or settings have left behind."""
    manifest = load_manifest(out)
    known = Session(RunFolder(out, manifest), load_config(base=manifest["config"]), idle, STAGES)
    return frozenset(
        record["table"]
        for output, entry in manifest["outputs"].items()
        if not known.current(STAGES[output.partition("/")[0]])
        for record in entry["files"]
    )


def plan(
    command: str, out: Path, config: Config, corpus: Sequence[str] = ()
) -> list[tuple[str, int, int]]:
    """Return (stage, units due, units) of what a command would do; writes nothing."""
    manifest = load_manifest(out) if (out / "manifest.json").exists() else new_manifest()
    if corpus:
        check_places(corpus, out)
        refuse_foreign(out)
        inventory(manifest, corpus, config)
    elif not (out / "manifest.json").exists():
        load_manifest(out)
    session = Session(RunFolder(out, manifest), config, idle, STAGES, corpus=tuple(corpus))
    stages = {
        "run": (*SCAN, *SCORE, *FILTER, *REPORT),
        "scan": SCAN,
        "score": SCORE,
        "filter": FILTER,
        "report": REPORT,
    }[command]
    return [
        (
            stage.name,
            sum(not session.fresh(stage, key) for key in session.units(stage)),
            len(session.units(stage)),
        )
        for stage in stages
    ]
