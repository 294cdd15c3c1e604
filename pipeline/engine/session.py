"""A stage, and an open run: the mechanism that runs the stages, skips them and records them.

An output (`pairs/all`, `sketch/g00003`) is current when the manifest has it with the fingerprint
that its stage would give it now: hash(stage, version, its settings, fingerprints of its inputs).
Resume and caching are this one rule. Which stages there are is told in `pipeline.run`.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from pipeline.config.sections import Config
from pipeline.engine.files import damaged_file, writing
from pipeline.engine.memory import CHUNK, base, budget_of, release, workers_of
from pipeline.engine.memory import plan as plan_memory
from pipeline.engine.progress import current
from pipeline.engine.run_folder import RunFolder
from pipeline.engine.shards import active_shards, output_names
from pipeline.engine.stage import ALL, FileRecord, Mapper, Receipt, Stage, StageFunction, Work
from pipeline.errors import IntegrityError
from schemas.manifest import SCHEMA_VERSION


@dataclass
class Session:
    """An open run: the folder, the configuration, who runs the units, every stage by name."""

    run: RunFolder
    config: Config
    mapper: Mapper
    stages: Mapping[str, Stage]
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
            self.fingerprint(self.stages[name], unit)
            for name in self._inputs(stage)
            for unit in self.units(self.stages[name])
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
        names = output_names(active_shards(self.manifest))
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
        names = output_names(shards)
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
        names += [name for name in stage.optional if self.current(self.stages[name])]
        names += [other for name, other in stage.beside if name in names]
        if "forgotten" in stage.recalls and self.manifest.get("forgotten"):
            names += ["sketch", "windows"]
        return list(dict.fromkeys(names))

    def _require_sound(self, stage: Stage) -> None:
        """Refuse to read files of an earlier run that changed since: DuckDB checks no page."""
        for name in self._inputs(stage):
            for key in self.units(self.stages[name]):
                path = self.run.damaged(f"{name}/{key}")
                if path is not None:
                    raise damaged_file(path, "other bytes than were written")

    def _tables(self, stage: Stage) -> dict[str, tuple[str, ...]]:
        tables: dict[str, list[str]] = {}
        for name in self._inputs(stage):
            for key in self.units(self.stages[name]):
                entry = self.manifest["outputs"].get(f"{name}/{key}", {"files": ()})
                for record in entry["files"]:
                    tables.setdefault(record["table"], []).append(record["path"])
        return {table: tuple(paths) for table, paths in tables.items()}

    def _records(self, stage: Stage) -> tuple[FileRecord, ...]:
        return tuple(
            FileRecord(**record)
            for name in self._inputs(stage)
            for key in self.units(self.stages[name])
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
    """Yield each receipt with the place of its work."""
    for place, work in enumerate(works):
        yield place, function(work)
