"""Exact copies: documents grouped by the hash of their text."""

from __future__ import annotations

from pipeline.engine.query import limits, stream
from pipeline.engine.stage import Receipt, Work
from pipeline.engine.tables import count_rows, write_table
from schemas.scan.copies import COPIES

VERSION = 3


def copies(work: Work) -> Receipt:
    """Write the table `copies`: the exact group of each document, by its text hash.

    A *reduce* stage, in DuckDB.
    """
    with write_table(work.folder, "copies", work.key, COPIES) as out:
        for batch in stream(
            "scan/copies", {"signatures": work.paths("signatures")}, limits=limits(work)
        ):
            out.write(batch)
    return Receipt((out.record,), count_rows(work.paths("signatures")), out.rows)
