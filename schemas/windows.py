"""One row per occurrence of a repeated window, in text order."""

import pyarrow as pa

from schemas.fields import field, table
from schemas.signatures import ROW_KEY

OCCURRENCES = table(
    "occurrences",
    1,
    "one row per occurrence of a window that may repeat, in order of row_key and word",
    [
        field("hash", pa.uint64(), "keyed hash of the window's words"),
        field("row_key", pa.uint64(), ROW_KEY),
        field("word", pa.uint32(), "number of the window's first word in its document"),
        field(
            "first", pa.bool_(), "whether it is the first occurrence of this window in its document"
        ),
    ],
)

WINDOWS = table(
    "windows",
    1,
    "one row per window that occurs more than once in the corpus",
    [
        field("hash", pa.uint64(), "keyed hash of the window's words"),
        field("occurrences", pa.int64(), "times it occurs", unit="occurrences"),
        field("documents", pa.int64(), "distinct documents that hold it", unit="documents"),
    ],
)
