"""One row per verified pair of representatives at or above `near.count_threshold`."""

import pyarrow as pa

from schemas.fields import field, table

PAIRS = table(
    "pairs",
    1,
    "one row per verified pair of representatives, a < b",
    [
        field("a", pa.uint64(), "row_key of the first document"),
        field("b", pa.uint64(), "row_key of the second document"),
        field("inter", pa.uint32(), "shingles in both texts", unit="shingles"),
        field("union", pa.uint32(), "shingles in either text", unit="shingles"),
        field("size_a", pa.uint32(), "shingles of a", unit="shingles"),
        field("size_b", pa.uint32(), "shingles of b", unit="shingles"),
        field("jaccard", pa.float64(), "inter / union; compare the integers at thresholds"),
    ],
)
