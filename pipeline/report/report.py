"""The report: every table of the run summed up in one HTML page, one JSON, one page of Markdown."""

from __future__ import annotations

import json
from pathlib import Path

from pipeline.config.sections import Config
from pipeline.engine.files import write_file
from pipeline.engine.manifest import load_manifest
from pipeline.engine.stage import Receipt, Work
from pipeline.errors import ConfigError
from pipeline.report.data import backtest
from pipeline.report.data.alarms import alarms
from pipeline.report.data.comparison import compared_digest

__all__ = ["VERSION", "alarms", "outside", "report"]

VERSION = 11


def outside(folder: Path, config: Config) -> list[str]:
    """Return digests of what the report shows besides the tables of its run.

    That is its back-test and the run that it is compared with.
    """
    return [backtest.digest(folder), compared_digest(config)]


def report(work: Work) -> Receipt:
    """Write report.json, index.html and summary.md from the tables of the run.

    A *reduce* stage, in DuckDB. It works without a forecast too.

    Raises:
        ConfigError: When the filter has not decided about rows yet.
    """
    # the page's parts are of no use to other commands, which start faster without them
    from pipeline.report.data.gather import gather
    from pipeline.report.page.page import page
    from pipeline.report.summary import summary

    if not work.paths("documents") or not work.paths("decisions"):
        raise ConfigError(
            "There is nothing to report on yet.",
            where=str(work.folder),
            found="no documents or no decisions",
            fix="run `rote filter` on this folder first",
        )
    data = gather(work, load_manifest(work.folder))
    text = json.dumps(data, indent=1, allow_nan=False)
    files = (
        write_file(work.folder, "report", "report.json", f"{text}\n".encode()),
        write_file(work.folder, "report", "index.html", page(data).encode()),
        write_file(work.folder, "report", "summary.md", summary(data).encode()),
    )
    corpus = data["corpus"]
    steps = {step["step"]: step["rows"] for step in data["funnel"]}
    words = {key: corpus[key] for key in ("documents", "text_bytes", "words", "repeated_words")}
    return Receipt(
        files,
        corpus["rows"],
        corpus["rows"],
        {"alarms": data["alarms"], "summary": {**steps, **words}},
    )
