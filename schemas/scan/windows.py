"""One row per window that occurs more than once, sorted by hash."""

import pyarrow as pa

from schemas.fields import field, table

WINDOWS = table(
    "windows",
    2,
    "one row per window that occurs more than once in the corpus",
    [
        field("hash", pa.uint64(), "keyed hash of the window's words", stored="plain"),
        field("occurrences", pa.int64(), "times it occurs", unit="occurrences"),
        field("documents", pa.int64(), "distinct documents that hold it", unit="documents"),
    ],
)
