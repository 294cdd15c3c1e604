"""The tables of what rows hold of evaluation items, and of the bytes where they hold it."""

import pyarrow as pa

from schemas.fields import field, table
from schemas.scan.signatures import ROW_KEY

CONTAMINATED = table(
    "contaminated",
    1,
    "one row per document and field of an item that it holds, sorted by row_key, the surest first",
    [
        field("row_key", pa.uint64(), ROW_KEY),
        field("file", pa.string(), "the evaluation file"),
        field("item_row", pa.int64(), "the item's row in the file"),
        field("field", pa.string(), "the column, or who speaks in a chat"),
        field("kind", pa.string(), "question | answer | text"),
        field("item_words", pa.int64(), "words of the field", unit="words"),
        field(
            "rule",
            pa.string(),
            "how it was found: run | whole | near | contained; beside: too short to be found alone",
        ),
        field("certainty", pa.string(), "all | most | part of the field is in the document"),
        field("matched_words", pa.int64(), "words of the field in the document", unit="words"),
        field("longest_run", pa.int64(), "words of the longest run of both", unit="words"),
        field(
            "shared",
            pa.int64(),
            "distinct shingles in both; null where not compared",
            nullable=True,
        ),
        field("either", pa.int64(), "distinct shingles in either; null likewise", nullable=True),
        field("shingles", pa.int64(), "distinct shingles of the field"),
        field("start_byte", pa.int64(), "where it begins in the document", unit="bytes"),
        field("end_byte", pa.int64(), "past the last byte", unit="bytes"),
        field("action", pa.string(), "drop | cut | flag: what becomes of the document"),
    ],
)

PASSAGES = table(
    "passages",
    1,
    "one row per run of bytes that are an item's, sorted by row_key and start_byte",
    [
        field("row_key", pa.uint64(), ROW_KEY),
        field("start_byte", pa.int64(), "first byte of the first word", unit="bytes"),
        field("end_byte", pa.int64(), "past the last byte of the last word", unit="bytes"),
        field("words", pa.int64(), "words in it", unit="words"),
    ],
)
