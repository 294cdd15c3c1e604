"""One row per candidate that was compared and is below `near.count_threshold`."""

import pyarrow as pa

from schemas.fields import field, table

REFUTED = table(
    "refuted",
    1,
    "one row per candidate that is no pair, a < b; kept for the next scan",
    [
        field("a", pa.uint64(), "row_key of the first document", stored="delta"),
        field("b", pa.uint64(), "row_key of the second document", stored="delta"),
    ],
)
