"""One row per document: its counts, and who stays in its place if it goes."""

import pyarrow as pa

from schemas.counts import COUNT_FIELDS
from schemas.fields import field, table

KEEPERS = table(
    "keepers",
    1,
    "one row per accepted document, sorted by row_key",
    [
        field("row_key", pa.uint64(), "the document"),
        field(
            "near_count",
            pa.int64(),
            "exact_count + sizes of the exact groups at or above near.threshold with it",
        ),
        field("cluster", pa.string(), "hex of the smallest text hash in the cluster"),
        field(
            "keeper", pa.uint64(), "row_key of the document that stays in its place", nullable=True
        ),
        field("method", pa.string(), "exact | near", nullable=True),
        field("jaccard", pa.float64(), "exact Jaccard with the keeper", nullable=True),
    ],
)

DOCUMENTS = table(
    "documents",
    1,
    "one row per accepted document, sorted by row_key",
    [
        *COUNT_FIELDS,
        field(
            "near_count",
            pa.int64(),
            "exact_count + sizes of the exact groups at or above near.threshold with it",
        ),
        field("cluster", pa.string(), "hex of the smallest text hash in the cluster"),
        field(
            "keeper", pa.uint64(), "row_key of the document that stays in its place", nullable=True
        ),
        field("keeper_doc_id", pa.string(), "doc_id of the keeper", nullable=True),
        field("method", pa.string(), "exact | near: how the removal is proved", nullable=True),
        field("jaccard", pa.float64(), "exact Jaccard with the keeper", nullable=True),
    ],
)
