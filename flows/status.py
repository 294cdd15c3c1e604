"""What `rote status` says of a run folder: in words, as JSON, as Prometheus' text.

Whatever is asked for comes from two places: what is current from the manifest, as every command
finds it, and what is going on from the log of events.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.config.load import load_config
from pipeline.engine.events import last_command
from pipeline.engine.manifest import load_manifest
from pipeline.engine.run_folder import LOCK, RunFolder
from pipeline.engine.session import Session, idle
from pipeline.names import shown
from pipeline.report.data.alarms import grouped
from pipeline.run import ACTS, STAGES

CURRENT, DUE, NEVER = "current", "due", "not yet"
MOST_ALARMS = 5


@dataclass(frozen=True)
class StageState:
    """How far a stage is.

    Attributes:
        stage: its name.
        act: the act that it is part of.
        units: units of work that it has now.
        current: those whose output is there and of now.
        made: those that have an output at all.
        seconds: that its last units took, side by side; None when that is not in the log's end.
    """

    stage: str
    act: str
    units: int
    current: int
    made: int
    seconds: float | None


@dataclass(frozen=True)
class Going:
    """The last command on a run folder.

    Attributes:
        command: its name; empty when the log does not say.
        running: whether a process holds the folder now.
        ended: whether it came to its end; not when it was killed.
        ok: whether it ended well.
        interrupted: whether it was ended by Ctrl-C.
        begun: when, in seconds since 1970.
        stage: where it is, or was.
        units_done: of that stage.
        units: of that stage.
        share: of the stage that is done, by its units and the last word of the present one.
        left_s: seconds until the stage is done at its pace so far; None when that is not known.
        cpu_s: CPU seconds of the process at its last word.
        peak_bytes: the most memory that it had at its last word.
    """

    command: str
    running: bool
    ended: bool
    ok: bool
    interrupted: bool
    begun: float
    stage: str
    units_done: int
    units: int
    share: float | None
    left_s: float | None
    cpu_s: float
    peak_bytes: int


@dataclass(frozen=True)
class Status:
    """All that is known of a run folder without reading a table.

    Attributes:
        scan: the number of the last scan.
        shards: shards in the corpus.
        rows: rows of the corpus, by what became of them, as far as it is known.
        stages: every stage, in order.
        last: the last command; None when there is no log.
        alarms: those of the report, in words.
        told: the same, those of one kind as one.
    """

    scan: int
    shards: int
    rows: dict[str, int]
    stages: list[StageState]
    last: Going | None
    alarms: list[str]
    told: list[str]


def status(folder: Path, now: float | None = None) -> Status:
    """Return how a run folder is; reads only.

    Args:
        folder: the run folder.
        now: seconds since 1970; the clock's when None.

    Raises:
        RunFolderError: It is none, or its manifest is damaged.
    """
    manifest = load_manifest(folder)
    events = last_command(folder)
    config = load_config(base=manifest["config"])
    session = Session(RunFolder(folder, manifest), config, idle, STAGES)
    shards = [shard for shard in manifest["corpus"]["shards"] if shard["active"]]
    alarms = manifest["outputs"].get("report/all", {}).get("facts", {}).get("alarms", [])
    return Status(
        manifest["scan"],
        len(shards),
        _rows(manifest, shards),
        [
            _stage(session, act, stage.name, events)
            for act, stages in ACTS.items()
            for stage in stages
            if stage.wanted(config)
        ],
        _going(folder, events, time.time() if now is None else now),
        [str(alarm["sentence"]) for alarm in alarms],
        [str(alarm["sentence"]) for alarm in grouped(alarms)],
    )


def _rows(manifest: dict[str, Any], shards: list[dict[str, Any]]) -> dict[str, int]:
    rejected = sum(sum((shard["rejected"] or {}).values()) for shard in shards)
    found = {"documents": sum(shard["documents"] or 0 for shard in shards), "rejected": rejected}
    outputs = manifest["outputs"]
    if "seal/all" in outputs:
        emitted = [entry for name, entry in outputs.items() if name.startswith("emit/")]
        for fate in ("kept", "removed"):
            of = [one[fate] for entry in emitted for one in entry["facts"].get("shards", [])]
            found[fate] = sum(of)
    return found


def _stage(session: Session, act: str, name: str, events: list[dict[str, Any]]) -> StageState:
    stage = STAGES[name]
    keys = session.units(stage)
    outputs = session.manifest["outputs"]
    own = [e for e in events if e["event"] == "unit" and e.get("stage") == name]
    return StageState(
        name,
        act,
        len(keys),
        sum(session.fresh(stage, key) for key in keys),
        sum(f"{name}/{key}" in outputs for key in keys),
        max((_number(event, "elapsed_s") for event in own), default=None),
    )


def _going(folder: Path, events: list[dict[str, Any]], now: float) -> Going | None:
    """Return what the last command does or did; None without a log."""
    if not events:
        return None
    stages = [place for place, event in enumerate(events) if event["event"] == "stage"]
    present = events[stages[-1] :] if stages else events
    first, last = events[0], events[-1]
    done = sum(event["event"] == "unit" for event in present)
    units = round(_number(present[0], "units")) if stages else 0
    running = _is_held(folder)
    share = _share(present, done, units)
    spent = now - float(present[0]["at"])
    told = [event for event in events if "cpu_s" in event]
    return Going(
        str(first.get("command", "")),
        running,
        last["event"] == "end",
        last.get("ok") is True,
        last.get("interrupted") is True,
        float(first["at"]),
        str(present[0].get("stage", "")),
        done,
        units,
        share,
        round(spent * (1 - share) / share, 1) if running and share else None,
        _number(told[-1], "cpu_s") if told else 0.0,
        round(_number(told[-1], "peak_bytes")) if told else 0,
    )


def _share(present: list[dict[str, Any]], done: int, units: int) -> float | None:
    """Return the share of a stage that is done: its units, and what the last word adds to them."""
    if not units:
        return None
    part, last = 0.0, present[-1]
    total = _number(last, "total")
    if last["event"] == "progress" and total > 0:
        part = min(1.0, max(0.0, _number(last, "done") / total))
    return round(min(1.0, (done + part) / units), 4)


def _number(event: dict[str, Any], name: str) -> float:
    """Return a number of an event; 0 for what is none, since a log may be anyone's."""
    value = event.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 2**63:
        return 0.0
    return float(value)


def _is_held(folder: Path) -> bool:
    """Tell whether a process writes to a run folder now, by its lock."""
    try:
        handle = os.open(folder / LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


def as_json(found: Status) -> str:
    """Return a status as JSON."""
    return json.dumps(asdict(found), indent=1)


def in_words(found: Status) -> str:
    """Return a status as lines to be read."""
    rows = ", ".join(f"{count:,} {name}" for name, count in found.rows.items())
    lines = [f"scan {found.scan}: {found.shards:,} shards, {rows}"]
    for act in ACTS:
        of = [stage for stage in found.stages if stage.act == act]
        lines.append(f"  {act:<8} {_state(of)}")
    if found.last is not None:
        lines += _last(found.last)
    lines += [f"ALARM  {sentence}" for sentence in found.told[:MOST_ALARMS]]
    if len(found.told) > MOST_ALARMS:
        lines.append(f"ALARM  and {len(found.told) - MOST_ALARMS} kinds more, all in the report")
    return "\n".join(shown(line) for line in lines)


def _state(stages: list[StageState]) -> str:
    """Return how far an act is."""
    due = [stage for stage in stages if stage.current < stage.units]
    if not due and stages:
        return CURRENT
    if not any(stage.made for stage in stages):
        return NEVER
    return f"{DUE}: " + ", ".join(
        f"{stage.stage} ({stage.units - stage.current} of {stage.units} units)"
        if stage.units > 1
        else stage.stage
        for stage in due
    )


def _last(last: Going) -> list[str]:
    name = f"rote {last.command}" if last.command else "the last command"
    used = f"{last.cpu_s:,.0f} CPU seconds, {last.peak_bytes / 1e6:,.0f} MB at most"
    if last.running:
        share = f", {last.share:.0%}" if last.share is not None else ""
        left = f", about {last.left_s:,.0f} s left of it" if last.left_s is not None else ""
        units = f" ({last.units_done} of {last.units} units)" if last.units > 1 else ""
        return [f"running: {name}, {last.stage or 'beginning'}{units}{share}{left}; {used}"]
    how = "ended with an error" if last.ended else "was stopped"
    how = "ended well" if last.ok else "was interrupted" if last.interrupted else how
    where = "" if last.ok else f" in {last.stage}" if last.stage else ""
    return [f"last: {name} {how}{where}; {used}"]


def as_prometheus(found: Status) -> str:
    """Return a status in Prometheus' text format, for a collector of text files."""
    lines = [
        *_metric("rote_scan", "Number of the last scan.", {"": found.scan}),
        *_metric("rote_shards", "Shards in the corpus.", {"": found.shards}),
        *_metric("rote_rows", "Rows by what became of them.", _labelled("fate", found.rows)),
        *_metric("rote_alarms", "Alarms of the last report.", {"": len(found.alarms)}),
    ]
    due = {stage.stage: stage.units - stage.current for stage in found.stages}
    lines += _metric("rote_units_due", "Units to be made anew.", _labelled("stage", due))
    took = {stage.stage: stage.seconds for stage in found.stages if stage.seconds is not None}
    lines += _metric("rote_stage_seconds", "Time that a stage took last.", _labelled("stage", took))
    if found.last is not None:
        last = found.last
        ok = int(last.ok or last.running)
        lines += _metric("rote_running", "Whether a command works now.", {"": int(last.running)})
        lines += _metric("rote_last_ok", "Whether the last command ended well.", {"": ok})
        lines += _metric("rote_last_begin_seconds", "When it began.", {"": last.begun})
        lines += _metric("rote_cpu_seconds", "CPU time of it so far.", {"": last.cpu_s})
        lines += _metric("rote_peak_bytes", "Most memory of it so far.", {"": last.peak_bytes})
    return "\n".join(lines)


def _labelled(label: str, values: dict[str, Any]) -> dict[str, Any]:
    return {f'{{{label}="{name}"}}': value for name, value in values.items()}


def _metric(name: str, about: str, values: dict[str, Any]) -> list[str]:
    """Return the lines of one metric, every one a gauge."""
    head = [f"# HELP {name} {about}", f"# TYPE {name} gauge"]
    return [*head, *(f"{name}{label} {value}" for label, value in values.items())]
