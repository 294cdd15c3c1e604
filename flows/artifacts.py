"""What a flow run shows on Prefect's pages: its name, how far it is, what became of the rows.

Names of files, sources and folders and numbers are shown; the text of a document never is.
"""

from __future__ import annotations

import contextlib
import contextvars
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote
from uuid import UUID

import httpx
from prefect import runtime
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.client.orchestration import get_client

from flows.followed import Followed, run_name
from pipeline.engine.manifest import load_manifest
from pipeline.engine.progress import current, listen
from pipeline.engine.session import Session
from pipeline.outline import stale_tables
from pipeline.report.data.alarms import grouped
from pipeline.report.summary import plain
from pipeline.run import STAGES
from pipeline.storage.addresses import is_address

EVERY_S = 3.0
"""Seconds between two updates of the progress."""


def first_name() -> str:
    """Return the name of the run that begins, by its parameters."""
    given = runtime.flow_run.parameters
    return run_name(given["corpus"] or [given["out"]], given["command"])


def _name_run(name: str) -> None:
    with get_client(sync_client=True) as client:
        client.set_flow_run_name(UUID(runtime.flow_run.id), name)


@contextlib.contextmanager
def followed(session: Session, command: str) -> Iterator[None]:
    """Show how far a command is while it works, from a thread of its own."""
    before = current()
    progress = Followed(session, command, before, _name_run)
    listen(progress)
    shown_as = cast("UUID", create_progress_artifact(0.0, "rote-progress", progress.said))
    ended = threading.Event()

    def tell() -> None:
        told = ""
        while not ended.wait(EVERY_S):
            now = f"{progress.said} ({progress.share:.0%} of the stages)"
            if now != told:
                told = now
                with contextlib.suppress(httpx.HTTPError):  # the stages tell, where it matters
                    update_progress_artifact(shown_as, 100 * progress.share, now)

    teller = threading.Thread(target=contextvars.copy_context().run, args=(tell,), daemon=True)
    teller.start()
    try:
        yield
        ended.set()
        teller.join(EVERY_S)
        update_progress_artifact(shown_as, 100.0, "done")
    finally:
        ended.set()
        listen(before)


def publish(folder: Path, out: str) -> None:
    """Leave a page and a table with the flow run: counts, alarms, the summary of the report.

    Args:
        folder: the run folder.
        out: the path or address by which it is known.
    """
    manifest = load_manifest(folder)
    create_table_artifact(
        stage_rows(manifest), key="rote-counts", description="rows in and out of each stage"
    )
    create_markdown_artifact(
        page(folder, out), key="rote-report", description="what became of the rows"
    )


def page(folder: Path, out: str) -> str:
    """Return what became of the rows, the alarms and where the report is, as markdown."""
    counts = counts_page(load_manifest(folder))
    if not _is_reported(folder):
        return counts
    where = f"{out.rstrip('/')}/report/index.html"
    link = quote(where, ":/") if is_address(out) else Path(where).absolute().as_uri()
    alarms = grouped(alarms_of(folder))
    return "\n".join(
        [
            counts,
            f"\nReport: [index.html]({link}) in {plain(out)}\n\n## Alarms ({len(alarms):,})\n",
            *([f"- {plain(alarm['sentence'])}" for alarm in alarms] or ["None."]),
            f"\n{(folder / 'report' / 'summary.md').read_text(encoding='utf-8')}",
        ]
    )


def alarms_of(folder: Path) -> list[dict[str, Any]]:
    """Return the alarms of a report that is of the last scan; none without one."""
    if not _is_reported(folder):
        return []
    return list(load_manifest(folder)["outputs"]["report/all"]["facts"].get("alarms", []))


def _is_reported(folder: Path) -> bool:
    reported = "report/all" in load_manifest(folder)["outputs"]
    return reported and "report" not in stale_tables(folder)


def stage_rows(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """Return one row per stage of the manifest: its units, rows in and rows out."""
    rows: dict[str, dict[str, Any]] = {}
    for output, entry in manifest["outputs"].items():
        name = output.partition("/")[0]
        row = rows.setdefault(name, {"stage": name, "units": 0, "rows_in": 0, "rows_out": 0})
        row["units"] += 1
        row["rows_in"] += entry["rows_in"]
        row["rows_out"] += entry["rows_out"]
    return [rows[stage] for stage in STAGES if stage in rows]


def counts_page(manifest: dict[str, Any]) -> str:
    """Return what became of the rows, as markdown."""
    shards = [shard for shard in manifest["corpus"]["shards"] if shard["active"]]
    emitted = [
        entry["facts"].get("shards", [])
        for name, entry in manifest["outputs"].items()
        if name.startswith("emit/") and "seal/all" in manifest["outputs"]
    ]
    rejected = sum(count for shard in shards for count in (shard["rejected"] or {}).values())
    documents = sum(shard["documents"] or 0 for shard in shards)
    counts = {"shards": len(shards), "rows": documents + rejected, "rejected": rejected}
    for fate in ("kept", "removed") if emitted else ():
        counts[fate] = sum(facts[fate] for unit in emitted for facts in unit)
    raised = manifest["outputs"].get("report/all", {}).get("facts", {}).get("alarms", [])
    counts["alarms"] = len(grouped(raised))
    return "\n".join(
        [
            "| what | count |",
            "|---|---:|",
            *(f"| {what} | {count:,} |" for what, count in counts.items()),
        ]
    )
