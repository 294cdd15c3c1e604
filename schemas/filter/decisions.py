"""The tables of a filter's decisions: what happens to each document and why, and what is cut."""

import pyarrow as pa

from schemas.fields import field, table
from schemas.scan.signatures import ROW_KEY

DECISIONS = table(
    "decisions",
    2,
    "one row per accepted document, sorted by row_key",
    [
        field("row_key", pa.uint64(), ROW_KEY),
        field("action", pa.string(), "keep | drop | cut | mask"),
        field(
            "rule",
            pa.string(),
            "the rule that decided, also `restore` and `forget`; null when none did",
            nullable=True,
        ),
        field(
            "reason",
            pa.string(),
            "why, in a word: exact_copy | near_copy | contained | risk | repeated | short | "
            "restored | forgotten | contaminated | item_cut | held | personal | personal_masked",
            nullable=True,
        ),
        field(
            "keeper", pa.uint64(), "row_key of the document that stays in its place", nullable=True
        ),
        field(
            "risk_after",
            pa.float64(),
            "its risk over the rows that the rules before drop-risk leave, an order alone where "
            "document_risk is extrapolated; null without that rule",
            nullable=True,
        ),
        field(
            "sink_id",
            pa.uint64(),
            "the same for all copies and verified near copies; null unless asked for",
            nullable=True,
        ),
        field(
            "weight",
            pa.float64(),
            "how often to sample it; null unless asked for, or when it goes",
            nullable=True,
        ),
    ],
)

CUTS = table(
    "cuts",
    2,
    "one row per run of bytes to cut or mask, sorted by row_key and start_byte",
    [
        field("row_key", pa.uint64(), ROW_KEY),
        field("start_byte", pa.int64(), "its first byte", unit="bytes"),
        field("end_byte", pa.int64(), "past its last byte", unit="bytes"),
        field("words", pa.int64(), "words that are cut; 0 for personal data", unit="words"),
        field("instead", pa.string(), "what is written in its place; null: nothing", nullable=True),
    ],
)
