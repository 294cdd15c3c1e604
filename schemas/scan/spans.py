"""One row per maximal run of repeated windows in a document."""

import pyarrow as pa

from schemas.fields import field, table
from schemas.scan.signatures import ROW_KEY

SPANS = table(
    "spans",
    1,
    "one row per maximal run of repeated windows; spans of a document may overlap",
    [
        field("row_key", pa.uint64(), ROW_KEY, stored="delta"),
        field("start_byte", pa.int64(), "first byte of the first word", unit="bytes"),
        field("end_byte", pa.int64(), "past the last byte of the last word", unit="bytes"),
        field("words", pa.int64(), "words in the span", unit="words"),
        field(
            "max_count",
            pa.int64(),
            "largest number of occurrences of one of its windows",
            unit="occurrences",
        ),
        field(
            "documents",
            pa.int64(),
            "largest number of distinct documents holding one",
            unit="documents",
        ),
        field(
            "window",
            pa.uint64(),
            "hash of the first window with max_count: names the repeated text",
            stored="plain",
        ),
    ],
)

REPEATS = table(
    "repeats",
    1,
    "one row per document that holds a repeated window",
    [
        field("row_key", pa.uint64(), ROW_KEY, stored="delta"),
        field(
            "max_window_count", pa.int64(), "largest number of occurrences of one of its windows"
        ),
        field(
            "repeated_words",
            pa.int64(),
            "distinct word positions covered by a repeated window",
            unit="words",
        ),
    ],
)
