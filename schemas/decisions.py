"""One row per document: what happens to it and why."""

import pyarrow as pa

from schemas.fields import field, table
from schemas.signatures import ROW_KEY

DECISIONS = table(
    "decisions",
    1,
    "one row per accepted document, sorted by row_key",
    [
        field("row_key", pa.uint64(), ROW_KEY),
        field("action", pa.string(), "keep | drop"),
        field("rule", pa.string(), "the rule that decided; null when no rule did", nullable=True),
        field(
            "reason",
            pa.string(),
            "why, in a word: exact_copy | near_copy | contained | risk",
            nullable=True,
        ),
        field(
            "keeper", pa.uint64(), "row_key of the document that stays in its place", nullable=True
        ),
    ],
)
