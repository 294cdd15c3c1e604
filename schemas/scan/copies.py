"""One row per document: the group of documents with the same bytes of text."""

import pyarrow as pa

from schemas.fields import field, table
from schemas.scan.signatures import ROW_KEY

COPIES = table(
    "copies",
    1,
    "one row per accepted document",
    [
        field("row_key", pa.uint64(), ROW_KEY),
        field("representative", pa.uint64(), "smallest row_key of the exact group"),
        field(
            "exact_count",
            pa.int64(),
            "documents with the same bytes of text, itself included",
            unit="documents",
        ),
    ],
)
