"""One row per pair of representatives that share a bucket and are to be verified."""

import pyarrow as pa

from schemas.fields import field, table

CANDIDATES = table(
    "candidates",
    1,
    "one row per pair of representatives, a < b",
    [
        field("a", pa.uint64(), "row_key of the first document"),
        field("b", pa.uint64(), "row_key of the second document"),
    ],
)
