"""One row per near copy that was planted, in memory, to measure what the scan finds."""

import pyarrow as pa

from schemas.fields import field, table

AUDIT = table(
    "audit",
    1,
    "one row per document of the corpus and edit that was tried on its words",
    [
        field("row_key", pa.uint64(), "the document that was edited"),
        field("edit", pa.string(), "insert, delete, substitute or append"),
        field("rate", pa.float64(), "words edited per word of the document"),
        field("inter", pa.uint32(), "shingles that the edited document shares with the original"),
        field("union", pa.uint32(), "shingles of both together"),
        field("jaccard", pa.float64(), "inter / union"),
        field("proposed", pa.bool_(), "whether the bands made the two a candidate pair"),
    ],
)
