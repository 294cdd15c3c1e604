"""One row per document: the family it belongs to."""

import pyarrow as pa

from schemas.fields import field, table
from schemas.scan.signatures import ROW_KEY

FAMILIES = table(
    "families",
    1,
    "one row per accepted document",
    [
        field("row_key", pa.uint64(), ROW_KEY),
        field("family", pa.string(), "hex of the smallest text hash in the family"),
    ],
)
