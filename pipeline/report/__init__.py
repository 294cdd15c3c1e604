"""The report: every table of the run summed up in one HTML page and one JSON of the same."""

from __future__ import annotations

import json

from pipeline.errors import InputError
from pipeline.report.alarms import alarms
from pipeline.report.page import page
from pipeline.report.tables import gather
from pipeline.stage import Receipt, Work
from pipeline.store import load_manifest, write_file

__all__ = ["VERSION", "alarms", "report"]

VERSION = 1


def report(work: Work) -> Receipt:
    """Reduce: write report/report.json and report/index.html from the tables of the run.

    Runs without a forecast too. Raises InputError before the filter has decided about rows.
    """
    if not work.paths("documents") or not work.paths("decisions"):
        raise InputError(
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
    )
    corpus = data["corpus"]
    summary = {step["step"]: step["rows"] for step in data["funnel"]}
    words = {key: corpus[key] for key in ("documents", "text_bytes", "words", "repeated_words")}
    return Receipt(
        files,
        corpus["rows"],
        corpus["rows"],
        {"alarms": data["alarms"], "summary": {**summary, **words}},
    )
