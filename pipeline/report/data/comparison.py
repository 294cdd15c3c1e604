"""What changed since another scan or filter: rows, copies, sources, clusters, risk, settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.config.sections import Config
from pipeline.engine.manifest import load_manifest
from pipeline.engine.query import Limits
from pipeline.engine.query import run as query
from pipeline.engine.run_folder import RunFolder, digest_of, read_run
from pipeline.engine.sound import require_sound
from pipeline.engine.stage import Work
from pipeline.engine.tables import Row
from pipeline.errors import InputError, PipelineError
from pipeline.report.data.excerpts import TOP
from pipeline.report.data.headline import forecast_facts, is_order, ordered
from pipeline.report.data.order import sides_as_order

NEEDED = ("documents", "decisions")
MOST_SOURCES = 40


def against(
    work: Work, manifest: Mapping[str, Any], data: Mapping[str, Any], limits: Limits
) -> Row | None:
    """Return `changes` of report.json: what differs from the run folder `report.against`.

    None without such a folder. Documents are the same when shard, row and text are.

    Raises:
        InputError: When that folder holds no decisions.
        IntegrityError: When a table of it has other bytes than were written.
        RunFolderError: When it is no run folder of this version.
    """
    opened = compared_run(work.config)
    if opened is None:
        return None
    other, before = opened.manifest, opened.tables()
    require_sound(opened, {*NEEDED, "document_risk"})
    inputs = {
        **{name: work.paths(name) for name in NEEDED},
        **{f"{name}_before": before[name] for name in NEEDED},
    }
    texts = {name: inputs[name] for name in ("documents", "documents_before")}
    return {
        "name": opened.folder.resolve().name,
        "scan": other["scan"],
        "version": other["version"],
        "totals": _sides(query("report/against/totals", inputs, limits=limits).to_pylist()),
        "fates": query("report/against/fates", inputs, limits=limits).to_pylist(),
        "sources": query(
            "report/against/sources", inputs, {"top": MOST_SOURCES}, limits=limits
        ).to_pylist(),
        "clusters": query(
            "report/against/clusters", texts, {"top": TOP}, limits=limits
        ).to_pylist(),
        "risk": _risk(work, opened, ordered(dict(data)), limits),
        "settings": _settings(work.config, other["config"], data["config"]),
        "shards": _shards(manifest, other),
    }


def compared_run(config: Config) -> RunFolder | None:
    """Return the run folder `report.against`, which can be compared with; None without one.

    Raises:
        InputError: When that folder holds no decisions.
        RunFolderError: When it is no run folder of this version.
    """
    if not config.report.against:
        return None
    opened = read_run(Path(config.report.against))
    missing = [name for name in NEEDED if not opened.paths(name)]
    if missing:
        raise InputError(
            "The run to compare with has nothing to compare.",
            where=str(opened.folder),
            found=f"no {' and no '.join(missing)}",
            fix="run `rote filter` on it first, or name another after --against",
        )
    return opened


def compared_digest(config: Config) -> str:
    """Return a digest of what is shown of the run folder `report.against`; empty without one.

    A folder that cannot be read has a digest of its own.
    """
    if not config.report.against:
        return ""
    try:
        other = load_manifest(Path(config.report.against))
    except PipelineError:  # `report` says what is wrong with it; other commands have no use for it
        return "unreadable"
    outputs = other["outputs"].items()
    files = {name: [record["digest"] for record in out["files"]] for name, out in outputs}
    shards = [
        [shard["name"], shard["content_digest"]]
        for shard in other["corpus"]["shards"]
        if shard["active"]
    ]
    return digest_of([files, shards, *(other[key] for key in ("config", "scan", "version"))])


def _sides(rows: list[Row]) -> list[Row]:
    """Return one row per measure with its value before and now."""
    before, now = ({**row} for row in sorted(rows, key=lambda row: bool(row["now"])))
    return [{"measure": key, "before": before[key], "now": now[key]} for key in now if key != "now"]


def _risk(work: Work, other: RunFolder, order: bool, limits: Limits) -> list[Row] | None:
    """Return documents at risk and tokens at risk, before and now; None unless both are scored.

    Null for a run whose risks are an order.
    """
    before = other.tables()
    if not work.paths("document_risk") or not before.get("document_risk"):
        return None
    inputs = {
        "document_risk": work.paths("document_risk"),
        "document_risk_before": before["document_risk"],
    }
    rows = _sides(query("report/against/risk", inputs, limits=limits).to_pylist())
    return sides_as_order(rows, before=is_order(forecast_facts(other.manifest)[0]), now=order)


def _settings(config: Config, before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Row]:
    """Return the settings that differ; one that a version did not have yet is null there."""
    return [
        {
            "setting": f"{section}.{key}",
            "before": (before.get(section) or {}).get(key),
            "now": now[section][key],
        }
        for section in sorted(now)
        if isinstance(now[section], dict) and section in type(config).model_fields
        for key in sorted(now[section])
        if (before.get(section) or {}).get(key) != now[section][key]
    ]


def _shards(manifest: Mapping[str, Any], other: Mapping[str, Any]) -> Row:
    """Return how many shards came, went, and have other bytes."""
    now, before = (
        {s["name"]: s["content_digest"] for s in one["corpus"]["shards"] if s["active"]}
        for one in (manifest, other)
    )
    return {
        "added": len(now.keys() - before.keys()),
        "gone": len(before.keys() - now.keys()),
        "changed": sum(now[name] != before[name] for name in now.keys() & before.keys()),
        "same": sum(now[name] == before[name] for name in now.keys() & before.keys()),
    }
