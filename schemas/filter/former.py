"""The table of rows that stayed in the filter before this scan, by `near.keepers = "stable"`."""

import pyarrow as pa

from schemas.fields import field, table
from schemas.scan.signatures import ROW_KEY

FORMER = table(
    "former",
    1,
    "one row per document that no copy took the place of, sorted by row_key",
    [
        field("row_key", pa.uint64(), ROW_KEY),
        field("text_hash", pa.binary(16), "of its text then: another text there is another row"),
    ],
)
