"""An open run: the mechanism that runs the stages, skips those that are current, records them.

An output (`pairs/all`, `sketch/g00003`) is current when the manifest has it with the fingerprint
that its stage would give it now. A fingerprint is a hash of named parts: the stage and its version,
its settings, and the digests of the outputs that it reads, which must be current themselves. So a
stage that is run again and gives the same bytes leaves everything after it current. Resume and
caching are this one rule. Which stages there are is told in `pipeline.run`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from pipeline.absent import MANIFEST
from pipeline.config.sections import Config
from pipeline.corpus import Shard
from pipeline.engine.events import used
from pipeline.engine.facts import fault_of_facts
from pipeline.engine.files import damaged_file, holding
from pipeline.engine.gathered import Entries, Gathered
from pipeline.engine.group_digests import GROUPS, NO_ROWS, group_key
from pipeline.engine.manifest import damaged_manifest
from pipeline.engine.memory import CHUNK, base, budget_of, release, workers_of
from pipeline.engine.memory import plan as plan_memory
from pipeline.engine.progress import current
from pipeline.engine.run_folder import RunFolder, digest_of, noted, tables_of
from pipeline.engine.shards import active_shards, output_names
from pipeline.engine.sound import require_sound
from pipeline.engine.stage import (
    ALL,
    FileRecord,
    Former,
    Mapper,
    Receipt,
    Stage,
    StageFunction,
    Work,
)
from pipeline.engine.system import writing
from pipeline.errors import IntegrityError
from pipeline.storage.published import publish
from schemas.manifest import SCHEMA_VERSION

PUBLISH_SECONDS = 300.0
"""A long stage over a run folder at an address is published so often, as far as it is done."""


@dataclass
class Session:
    """An open run: its folder, the configuration, the stages, and who runs their units.

    Attributes:
        run: the run folder.
        config: the configuration of this command.
        mapper: runs the units of a stage.
        stages: every stage, by name.
        verify: whether outputs are read again, once, instead of trusting their size.
        corpus: files, folders and globs of a scan, as given.
    """

    run: RunFolder
    config: Config
    mapper: Mapper
    stages: Mapping[str, Stage]
    verify: bool = False
    corpus: tuple[str, ...] = ()
    _fingerprints: dict[str, str | None] = field(default_factory=dict)
    _inputs: dict[str, dict[str, str] | None] = field(default_factory=dict)
    _groups: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    _shards: dict[str, tuple[Shard, ...]] = field(default_factory=dict)
    _names: dict[int, str] = field(default_factory=dict)

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest in memory."""
        return self.run.manifest

    def units(self, stage: Stage) -> list[str]:
        """Return the keys of a stage's units."""
        return sorted(self._grouped()) if stage.by_group else [ALL]

    def _grouped(self) -> dict[str, list[dict[str, Any]]]:
        """Return the registry's entries of the shards in the corpus, by the key of their group."""
        if not self._groups:
            for entry in self.manifest["corpus"]["shards"]:
                if entry["active"]:
                    self._groups.setdefault(group_key(entry["group"]), []).append(entry)
            shards = active_shards(self.manifest)
            by_key: dict[str, list[Shard]] = {}
            for shard in shards:  # once: a corpus may have more shards than a unit takes time
                by_key.setdefault(group_key(shard.group), []).append(shard)
            self._shards = {key: tuple(own) for key, own in by_key.items()} | {ALL: tuple(shards)}
            self._names = output_names(shards)
        return self._groups

    def refresh(self) -> None:
        """Look at the registry of shards anew, after it was brought up to date."""
        self._groups = {}
        self._forget_what_was_known()

    def fingerprint(self, stage: Stage, key: str) -> str | None:
        """Return the fingerprint that a unit would have now.

        None while that cannot be known: an input is not current, or a shard's content not read.
        """
        output = f"{stage.name}/{key}"
        if output not in self._fingerprints:
            self._fingerprints[output] = self._fingerprint(stage, key)
        return self._fingerprints[output]

    def _fingerprint(self, stage: Stage, key: str) -> str | None:
        inputs = self._digests(stage)
        shards = self._content(key) if stage.by_group else []
        if inputs is None or shards is None:
            return None
        own = {"inputs": inputs | self._of_group(stage, key), "shards": shards}
        return digest_of(self._besides(stage) | own)

    def _besides(self, stage: Stage) -> dict[str, Any]:
        """Return what an output depends on besides outputs of this run and shards."""
        return {
            "schema": SCHEMA_VERSION,
            "stage": stage.name,
            "version": stage.version,
            "settings": stage.settings(self.config),
            "scan": self.manifest["scan"] if stage.names_scan else None,
            "skipped": self.manifest["corpus"]["skipped"] if stage.names_skipped else None,
            "recalled": {
                one.key: self.manifest.get(one.key) or None
                for one in stage.recalls
                if not one.later
            },
            "outside": stage.outside(self.run.folder, self.config) if stage.outside else None,
        }

    def _made_from(self, stage: Stage, key: str) -> dict[str, Any]:
        """Return what the manifest notes of an output that its stage can go on from."""
        same = self._besides(stage)
        if stage.goes_on_with is not None:
            same["settings"] = stage.goes_on_with(self.config)
        besides = {"besides": digest_of(same)}
        if stage.by_group:
            return {**besides, "read": {}, "shards": self._content(key) or []}
        return {**besides, "read": {**(self._digests(stage) or {}), **self._recalled_later(stage)}}

    def _recalled_later(self, stage: Stage) -> dict[str, str]:
        """Return a digest of each thing asked that leaves a stage's output current, by its name."""
        found = [noted(self.manifest, one.key) for one in stage.recalls if one.later]
        return {name: digest for one in found for name, digest in one.items()}

    def _former(self, stage: Stage, key: str) -> Former | None:
        """Return the last output of a unit as far as its stage can go on from it."""
        output = f"{stage.name}/{key}"
        entry = self.manifest["outputs"].get(output, {})
        before, now = entry.get("made_from"), self._made_from(stage, key)
        if before is None or before["besides"] != now["besides"]:
            return None
        tables, records = tables_of([entry]), tuple(FileRecord(**one) for one in entry["files"])
        if stage.by_group:
            shards = {one[0] for one in now["shards"] if one in before["shards"]}
            return Former(tables, frozenset(), records, entry["facts"], frozenset(shards))
        same = {name for name, digest in now["read"].items() if before["read"].get(name) == digest}
        if not self.run.whole(output) or tables.keys() != {*stage.tables}:
            return None
        unchanged = now["read"] == before["read"]
        return Former(tables, frozenset(same), records, entry["facts"], unchanged=unchanged)

    def _digests(self, stage: Stage) -> dict[str, str] | None:
        """Return the digest of each output that a stage reads; None when one is not current."""
        if stage.name not in self._inputs:
            self._inputs[stage.name] = self._read_digests(stage)
        return self._inputs[stage.name]

    def _read_digests(self, stage: Stage) -> dict[str, str] | None:
        digests: dict[str, str] = {}
        for source in self._sources(stage):
            for unit in self.units(source):
                if not self.fresh(source, unit):
                    return None
                output = f"{source.name}/{unit}"
                digests[output] = self.manifest["outputs"][output]["digest"]
        return digests

    def _of_group(self, stage: Stage, key: str) -> dict[str, str]:
        """Return what a stage's inputs hold of one group, for those of which it reads no more.

        Raises:
            RunFolderError: One does not say: its facts are not as they were recorded.
        """
        found: dict[str, str] = {}
        for source in self._sources(stage):
            output = f"{source.name}/{ALL}"
            if source.name in stage.own_rows and output in self.manifest["outputs"]:
                known = self.manifest["outputs"][output]["facts"].get(GROUPS)
                if known is None:
                    path = self.run.folder / MANIFEST
                    raise damaged_manifest(path, f"{output}: no digests of its rows by group")
                found[output] = known.get(key, NO_ROWS)
        return found

    def _content(self, key: str) -> list[list[Any]] | None:
        """Return what names and bytes a group's shards have; None while a digest is not known."""
        own = self._grouped()[key]
        if any(entry["content_digest"] is None for entry in own):
            return None
        return [
            [e["number"], e["name"], self._names[e["number"]], e["content_digest"], e["format"]]
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

    def due(self, stage: Stage, key: str) -> bool:
        """Tell whether a unit is made when its stage is performed.

        That is where its output is not fresh, or from before something was asked that it acts on.
        """
        made_from = self.manifest["outputs"].get(f"{stage.name}/{key}", {}).get("made_from", {})
        acted_on = self._recalled_later(stage).items() <= made_from.get("read", {}).items()
        return not (acted_on and self.fresh(stage, key))

    def require_whole(self, stages: Sequence[Stage]) -> None:
        """Refuse outputs made of just this, of which a file is damaged or gone.

        What reads them only where they are there would take them for never made, and go on without
        them in silence.

        Args:
            stages: that this command does not perform, in their order.

        Raises:
            IntegrityError: When a file of one is missing or is not as it was written.
        """
        for stage in stages:
            for key in self.units(stage):
                output = f"{stage.name}/{key}"
                entry = self.manifest["outputs"].get(output)
                made_so = entry is not None and entry["fingerprint"] == self.fingerprint(stage, key)
                if made_so and not self.fresh(stage, key):
                    require_sound(self.run, stage.tables)

    def perform(self, stage: Stage) -> None:
        """Run the units of a stage that are not current, and record each as it is done.

        What a unit wrote before stays until the unit is done again.
        """
        keys = self.units(stage)
        due = [key for key in keys if self.due(stage, key)]
        if due:
            self._require_sound(stage)
            current().stage(stage.name, len(due))
            works = [self.work(stage, key, len(due)) for key in due]
            begun = time.perf_counter()
            with holding(self.run.folder), self._recording(stage) as record:
                done = self.mapper(stage.name, partial(_unit, stage.function), works)
                for place, receipt in done:
                    record(due[place], receipt, time.perf_counter() - begun)
                    current().unit_done(stage.name)
                    publish(self.run.folder, every=PUBLISH_SECONDS)
            self._forget_what_was_known()
            release()
            publish(self.run.folder)
        else:
            current().skipped(stage.name)
        self._forget_former(stage, keys)

    def leave_out(self, stage: Stage) -> None:
        """Remove the outputs of a stage that the configuration no longer asks for."""
        self._forget_former(stage, [])

    def _forget_former(self, stage: Stage, keys: Sequence[str]) -> None:
        """Remove the outputs of units that a stage has no longer."""
        prefix = f"{stage.name}/"
        known = [output for output in self.manifest["outputs"] if output.startswith(prefix)]
        former = [output for output in known if output.removeprefix(prefix) not in keys]
        if former:
            self._unseal(stage)
            self.run.forget(former)
            self._forget_what_was_known()

    def _unseal(self, stage: Stage) -> None:
        """Remove what says that a stage's files are whole, before the first of them changes."""
        self.run.forget([f"{name}/{ALL}" for name in stage.sealed_by])

    def plan_memory(self, at_least: int = 0) -> None:
        """Refuse a memory budget that is too small for the corpus, or for a command's own needs."""
        plan_memory(self.manifest, active_shards(self.manifest), self.config, at_least)

    def work(self, stage: Stage, key: str, units: int) -> Work:
        """Return one of the units of a stage that are to run side by side."""
        self._grouped()
        own = self._shards.get(key, ())
        workers = workers_of(self.config)
        at_once = min(workers, units)
        memory = max(1, (budget_of(self.config) - base()) // at_once)
        entries = self._entries(stage)
        return Work(
            stage.name,
            key,
            self.run.folder,
            self.config,
            own,
            tables_of(entries),
            {shard.number: self._names[shard.number] for shard in own},
            self.manifest["scan"],
            max(1, min(workers // at_once, memory // CHUNK)),
            memory,
            {one.key: tuple(self.manifest.get(one.key, ())) for one in stage.recalls},
            self.manifest["corpus"].get("known", 0),
            tuple(FileRecord(**record) for entry in entries for record in entry["files"])
            if stage.records
            else (),
            self._former(stage, key) if stage.continues else None,
        )

    def _sources(self, stage: Stage) -> list[Stage]:
        """Return the stages whose outputs a stage reads, each once."""
        names = [*stage.needs, *stage.also(self.config)]
        names += [name for name in stage.optional if self.current(self.stages[name])]
        names += [other for name, other in stage.beside if name in names]
        names += [n for one in stage.recalls if self.manifest.get(one.key) for n in one.needs]
        return [self.stages[name] for name in dict.fromkeys(names)]

    def _outputs(self, stage: Stage) -> list[str]:
        """Return the names of the outputs that a stage reads, in the order in which it does."""
        read = [
            f"{source.name}/{unit}"
            for source in self._sources(stage)
            for unit in self.units(source)
        ]
        last = [f"{name}/{unit}" for name in stage.former for unit in self.units(self.stages[name])]
        return [*read, *(output for output in last if output in self.manifest["outputs"])]

    def _entries(self, stage: Stage) -> list[dict[str, Any]]:
        recorded = self.manifest["outputs"]
        return [recorded[output] for output in self._outputs(stage) if output in recorded]

    def _require_sound(self, stage: Stage) -> None:
        """Refuse to read files of an earlier run that changed since: DuckDB checks no page."""
        for output in self._outputs(stage):
            path = self.run.damaged(output)
            if path is not None:
                raise damaged_file(path, "other bytes than were written")

    @contextmanager
    def _recording(self, stage: Stage) -> Iterator[Callable[[str, Receipt, float], None]]:
        """Give how a finished unit is recorded; whatever waits then is recorded at the end.

        Also after an error: what other units have finished stays.
        """
        done: dict[str, tuple[str, Receipt, float]] = {}

        def commit(entries: Entries) -> None:
            self._unseal(stage)
            self.run.commit_all(entries)
            for output in entries:
                self._tell(stage, *done.pop(output))

        gathered = Gathered(commit)

        def record(key: str, receipt: Receipt, elapsed_s: float) -> None:
            entry = self._entry(stage, key, receipt)
            done[f"{stage.name}/{key}"] = key, receipt, elapsed_s
            gathered.add(f"{stage.name}/{key}", entry)

        try:
            yield record
        finally:
            gathered.flush()

    def _entry(self, stage: Stage, key: str, receipt: Receipt) -> dict[str, Any]:
        """Return what the manifest says of a finished unit.

        Raises:
            IntegrityError: The stage lost rows, says of them what it does not declare, or read what
                is not current any more.
        """
        if stage.conserves and receipt.rows_in != receipt.rows_out:
            raise IntegrityError(
                "A stage lost or made rows.",
                where=f"{stage.name}/{key}",
                found=str(receipt.rows_out),
                expected=str(receipt.rows_in),
            )
        fault = fault_of_facts(stage.name, receipt.facts)
        if fault:  # else no command could read this folder any more
            raise IntegrityError(
                "A stage recorded facts of another form than it declares.",
                where=f"{stage.name}/{key}",
                found=fault,
                expected="the form in schemas/facts.py",
                fix="report it: what is finished stays",
            )
        if stage.registers:
            self._register(key, receipt)
        fingerprint = self.fingerprint(stage, key)
        if fingerprint is None:
            raise IntegrityError(
                "A stage ended and what it read is not current any more.",
                where=f"{stage.name}/{key}",
                fix="run the same command again: what is finished stays",
            )
        files = [asdict(record) for record in receipt.files]
        return {
            "fingerprint": fingerprint,
            "digest": digest_of([files, receipt.facts]),
            "rows_in": receipt.rows_in,
            "rows_out": receipt.rows_out,
            "facts": receipt.facts,
            "files": files,
            **({"made_from": self._made_from(stage, key)} if stage.continues else {}),
        }

    def _tell(self, stage: Stage, key: str, receipt: Receipt, elapsed_s: float) -> None:
        """Note in the log that a unit is recorded, and its alarms."""
        self.run.log.add(
            "unit",
            stage=stage.name,
            key=key,
            rows_in=receipt.rows_in,
            rows_out=receipt.rows_out,
            elapsed_s=round(elapsed_s, 3),
            **used(),
        )
        for alarm in receipt.facts.get("alarms", ()):
            self.run.log.add("alarm", kind=alarm["kind"], sentence=alarm["sentence"])

    def _register(self, key: str, receipt: Receipt) -> None:
        """Take the content digests that a unit read of its shards into the registry."""
        by_number = {entry["number"]: entry for entry in self._grouped()[key]}
        for facts in receipt.facts["shards"]:
            by_number[facts["number"]].update(
                {key: facts[key] for key in ("content_digest", "documents", "rejected")}
            )
        self._forget_what_was_known()

    def _forget_what_was_known(self) -> None:
        self._fingerprints.clear()
        self._inputs.clear()


def _unit(function: StageFunction, work: Work) -> Receipt:
    """Run one unit; what the system refuses is translated here, before any mapper sees it."""
    with writing(work.folder):
        return function(work)


def idle(
    stage: str,  # noqa: ARG001 - the form of a Mapper
    function: StageFunction,  # noqa: ARG001
    works: Iterable[Work],  # noqa: ARG001
) -> Iterator[tuple[int, Receipt]]:
    """Map nothing: for a session that only looks."""
    return iter(())


def one_by_one(
    stage: str,  # noqa: ARG001 - the form of a Mapper
    function: StageFunction,
    works: Iterable[Work],
) -> Iterator[tuple[int, Receipt]]:
    """Run units in their order and yield each receipt with the place of its work."""
    for place, work in enumerate(works):
        yield place, function(work)
