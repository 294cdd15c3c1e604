"""One row per run of windows of a document that occur equally often."""

import pyarrow as pa

from schemas.fields import field, table
from schemas.scan.signatures import ROW_KEY

WINDOWS = table(
    "windows",
    4,
    "one row per maximal run of windows, each a word after the last, of a document that all occur "
    "so often, more than once, in so many documents",
    [
        field("row_key", pa.uint64(), ROW_KEY, stored="delta"),
        field("first_word", pa.int64(), "the first word of the first of them, from 0"),
        field("windows", pa.int64(), "how many they are", unit="windows"),
        field(
            "occurrences",
            pa.int64(),
            "times that each of them occurs in the corpus",
            unit="occurrences",
        ),
        field(
            "documents", pa.int64(), "distinct documents that hold each of them", unit="documents"
        ),
    ],
)
