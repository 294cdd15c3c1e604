"""One row per window that occurs more than once, sorted by hash."""

import pyarrow as pa

from schemas.fields import field, table

WINDOWS = table(
    "windows",
    3,
    "one row per window that occurs more than once in the corpus",
    [
        field("hash", pa.uint64(), "keyed hash of the window's words", stored="plain"),
        field(
            "anchor",
            pa.uint32(),
            "top 32 bits of the least hash of the runs of words in it, as in anchors",
            stored="plain",
        ),
        field("occurrences", pa.int64(), "times it occurs", unit="occurrences", stored="delta"),
        field(
            "documents",
            pa.int64(),
            "distinct documents that hold it",
            unit="documents",
            stored="delta",
        ),
    ],
)
