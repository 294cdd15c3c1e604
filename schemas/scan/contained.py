"""One row per text that lies, to a good part, in a longer one: proved like a pair."""

import pyarrow as pa

from schemas.fields import field, table

CONTAINED = table(
    "contained",
    1,
    "one row per verified pair of a representative and a longer one (in words) that has at least "
    "half of its shingles, by document, then container; empty unless near.containment is set",
    [
        field("document", pa.uint64(), "row_key of the contained document"),
        field("container", pa.uint64(), "row_key of the longer document"),
        field("inter", pa.uint32(), "shingles in both texts", unit="shingles"),
        field("size", pa.uint32(), "shingles of the contained document", unit="shingles"),
        field("container_size", pa.uint32(), "shingles of the longer one", unit="shingles"),
        field("containment", pa.float64(), "inter / size; compare the integers at thresholds"),
    ],
)
