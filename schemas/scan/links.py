"""One row per document that shares a repeated window with an earlier one."""

import pyarrow as pa

from schemas.fields import field, table

LINKS = table(
    "links",
    1,
    "one row per document that hangs together, by repeated windows, with an earlier one",
    [
        field("a", pa.uint64(), "row_key of the first document of the component"),
        field("b", pa.uint64(), "row_key of this one", stored="delta"),
    ],
)
