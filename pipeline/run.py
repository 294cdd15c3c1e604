"""The only list of the stages, top to bottom, and the mechanism that runs, skips and records them.

An output (`pairs/all`, `sketch/g00003`) is current when the manifest has it with the fingerprint
that its stage would give it now: hash(stage, version, its settings, fingerprints of its inputs).
Resume and caching are this one rule.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipeline import (
    candidates,
    contained,
    counts,
    decisions,
    documents,
    emit,
    families,
    pairs,
    probes,
    report,
    risk,
    seal,
    sequences,
    signatures,
    windows,
)
from pipeline.config import Config, load_config
from pipeline.errors import ConfigError, IntegrityError
from pipeline.inventory import active_shards, check_places, inventory, require_unchanged
from pipeline.memory import CHUNK, base, begin, budget_of, release, workers_of
from pipeline.memory import plan as plan_memory
from pipeline.progress import current
from pipeline.stage import FileRecord, Mapper, Receipt, StageFunction, Work
from pipeline.store import RunFolder, damaged_file, load_manifest, open_run, refuse_foreign, writing
from schemas.manifest import SCHEMA_VERSION

UNICODE = "14.0.0"
ALL = "all"


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


def _sketched(config: Config) -> list[dict[str, Any]]:
    return [config.input.model_dump(exclude={"skip_bad_files"}), config.sketch.model_dump()]


SCAN = (
    Stage(
        "sketch", signatures.sketch, signatures.VERSION, _sketched, by_group=True, conserves=True
    ),
    Stage(
        "copies", candidates.copies, candidates.VERSION, lambda _: None, ("sketch",), conserves=True
    ),
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


@dataclass
class Session:
    """An open run: the folder, the configuration, and who runs the units of work."""

    run: RunFolder
    config: Config
    mapper: Mapper
    verify: bool = False
    corpus: tuple[str, ...] = ()
    _known: dict[str, str | None] = field(default_factory=dict)

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest in memory."""
        return self.run.manifest

    def units(self, stage: Stage) -> list[str]:
        """Return the keys of a stage's units."""
        if not stage.by_group:
            return [ALL]
        return sorted({f"g{shard.group:05d}" for shard in active_shards(self.manifest)})

    def fingerprint(self, stage: Stage, key: str) -> str | None:
        """Return the fingerprint that a unit would have now.

        None while the content of a shard is not known.
        """
        output = f"{stage.name}/{key}"
        if output not in self._known:
            self._known[output] = self._fingerprint(stage, key)
        return self._known[output]

    def _fingerprint(self, stage: Stage, key: str) -> str | None:
        parts: list[Any] = [SCHEMA_VERSION, stage.name, stage.version, stage.settings(self.config)]
        if stage.by_group:
            parts.append(self._content(key))
            parts.append(self.manifest["scan"] if stage.name == "emit" else None)
        if stage.outside is not None:
            parts[3] = [parts[3], stage.outside(self.run.folder, self.config)]
        parts.extend(
            self.fingerprint(STAGES[name], unit)
            for name in self._inputs(stage)
            for unit in self.units(STAGES[name])
        )
        if (stage.by_group and parts[4] is None) or any(
            part is None for part in parts[6 if stage.by_group else 4 :]
        ):
            return None
        parts.extend(
            [name, self.manifest[name]] for name in stage.recalls if self.manifest.get(name)
        )
        return hashlib.blake2b(
            json.dumps(parts, sort_keys=True).encode(), digest_size=16
        ).hexdigest()

    def _content(self, key: str) -> list[list[Any]] | None:
        shards = [entry for entry in self.manifest["corpus"]["shards"] if entry["active"]]
        names = emit.output_names(active_shards(self.manifest))
        own = [entry for entry in shards if f"g{entry['group']:05d}" == key]
        if any(entry["content_digest"] is None for entry in own):
            return None
        return [
            [e["number"], e["name"], names[e["number"]], e["content_digest"], e["format"]]
            for e in own
        ]

    def fresh(self, stage: Stage, key: str) -> bool:
        """Tell whether a unit's output is there and current."""
        fingerprint = self.fingerprint(stage, key)
        return fingerprint is not None and self.run.fresh(
            f"{stage.name}/{key}", fingerprint, verify=self.verify
        )

    def current(self, stage: Stage) -> bool:
        """Tell whether every unit of a stage is fresh."""
        return all(self.fresh(stage, key) for key in self.units(stage))

    def perform(self, stage: Stage) -> None:
        """Run the units of a stage that are not current, and record each as it is done."""
        keys = self.units(stage)
        due = [key for key in keys if not self.fresh(stage, key)]
        prefix = f"{stage.name}/"
        known = [output for output in self.manifest["outputs"] if output.startswith(prefix)]
        self.run.forget(
            [
                output
                for output in known
                if output.removeprefix(prefix) not in keys or output.removeprefix(prefix) in due
            ]
        )
        if not due:
            current().skipped(stage.name)
            return
        self._require_sound(stage)
        current().stage(stage.name, len(due))
        works = [self.work(stage, key, len(due)) for key in due]
        begun = time.perf_counter()
        for place, receipt in self.mapper(stage.name, partial(_unit, stage.function), works):
            self._record(stage, due[place], receipt, time.perf_counter() - begun)
            current().unit_done(stage.name)
        release()

    def plan_memory(self) -> None:
        """Refuse a memory budget that is too small for the corpus."""
        plan_memory(self.manifest, active_shards(self.manifest), self.config)

    def work(self, stage: Stage, key: str, units: int) -> Work:
        """Return one of the units of a stage that are to run side by side."""
        shards = active_shards(self.manifest)
        names = emit.output_names(shards)
        own = [shard for shard in shards if key in (ALL, f"g{shard.group:05d}")]
        workers = workers_of(self.config)
        at_once = min(workers, units)
        memory = max(1, (budget_of(self.config) - base()) // at_once)
        return Work(
            stage.name,
            key,
            self.run.folder,
            self.config,
            tuple(own),
            self._tables(stage),
            {shard.number: names[shard.number] for shard in own},
            self.manifest["scan"],
            max(1, min(workers // at_once, memory // CHUNK)),
            memory,
            tuple((row["row_key"], row["text_hash"]) for row in self.manifest.get("restored", ())),
            tuple(
                (text["text_hash"], text["named"]) for text in self.manifest.get("forgotten", ())
            ),
            self.manifest["corpus"].get("known", 0),
            self._records(stage) if stage.records else (),
        )

    def _inputs(self, stage: Stage) -> list[str]:
        """Return the stages whose outputs a stage reads."""
        names = [*stage.needs, *stage.also(self.config)]
        names += [name for name in stage.optional if self.current(STAGES[name])]
        names += [other for name, other in stage.beside if name in names]
        if "forgotten" in stage.recalls and self.manifest.get("forgotten"):
            names += ["sketch", "windows"]
        return list(dict.fromkeys(names))

    def _require_sound(self, stage: Stage) -> None:
        """Refuse to read files of an earlier run that changed since: DuckDB checks no page."""
        for name in self._inputs(stage):
            for key in self.units(STAGES[name]):
                path = self.run.damaged(f"{name}/{key}")
                if path is not None:
                    raise damaged_file(path, "other bytes than were written")

    def _tables(self, stage: Stage) -> dict[str, tuple[str, ...]]:
        tables: dict[str, list[str]] = {}
        for name in self._inputs(stage):
            for key in self.units(STAGES[name]):
                entry = self.manifest["outputs"].get(f"{name}/{key}", {"files": ()})
                for record in entry["files"]:
                    tables.setdefault(record["table"], []).append(record["path"])
        return {table: tuple(paths) for table, paths in tables.items()}

    def _records(self, stage: Stage) -> tuple[FileRecord, ...]:
        return tuple(
            FileRecord(**record)
            for name in self._inputs(stage)
            for key in self.units(STAGES[name])
            for record in self.manifest["outputs"][f"{name}/{key}"]["files"]
        )

    def _record(self, stage: Stage, key: str, receipt: Receipt, elapsed_s: float) -> None:
        if stage.conserves and receipt.rows_in != receipt.rows_out:
            raise IntegrityError(
                "A stage lost or made rows.",
                where=f"{stage.name}/{key}",
                found=str(receipt.rows_out),
                expected=str(receipt.rows_in),
            )
        if stage.name == "sketch":
            self._register(receipt)
        fingerprint = self.fingerprint(stage, key)
        entry = {
            "fingerprint": fingerprint,
            "rows_in": receipt.rows_in,
            "rows_out": receipt.rows_out,
            "facts": receipt.facts,
            "files": [asdict(record) for record in receipt.files],
        }
        self.run.commit(f"{stage.name}/{key}", entry)
        self.run.event(
            {
                "stage": stage.name,
                "key": key,
                "rows_in": receipt.rows_in,
                "rows_out": receipt.rows_out,
                "elapsed_s": round(elapsed_s, 3),
            }
        )

    def _register(self, receipt: Receipt) -> None:
        """Take the content digests that the sketch read into the registry."""
        by_number = {entry["number"]: entry for entry in self.manifest["corpus"]["shards"]}
        for facts in receipt.facts["shards"]:
            by_number[facts["number"]].update(
                {key: facts[key] for key in ("content_digest", "documents", "rejected")}
            )
        self._known.clear()


def _unit(function: StageFunction, work: Work) -> Receipt:
    """Run one unit; a full disk is translated here, before any mapper sees it."""
    with writing(work.folder):
        return function(work)


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
        yield Session(run, config, mapper, verify, tuple(corpus))


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
    known = Session(RunFolder(out, manifest), load_config(base=manifest["config"]), idle)
    return frozenset(
        record["table"]
        for output, entry in manifest["outputs"].items()
        if not known.current(STAGES[output.partition("/")[0]])
        for record in entry["files"]
    )


def idle(
    stage: str,  # noqa: ARG001 - the form of a Mapper
    function: StageFunction,  # noqa: ARG001
    works: Iterable[Work],  # noqa: ARG001
) -> Iterator[tuple[int, Receipt]]:
    """Map nothing: for a session that only looks."""
    return iter(())


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
    session = Session(RunFolder(out, manifest), config, idle, corpus=tuple(corpus))
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
