"""The table `documents`: the counts of each document, and its keeper if it can be removed."""

import pyarrow as pa

from schemas.fields import field, table
from schemas.scan.counts import COUNT_FIELDS

PROOF_FIELDS = [
    field(
        "method",
        pa.string(),
        "exact | near | contained: how the removal is proved",
        nullable=True,
    ),
    field(
        "jaccard",
        pa.float64(),
        "exact Jaccard with the keeper; null where it is contained",
        nullable=True,
    ),
    field("score", pa.float64(), "the proof: jaccard, or the share contained", nullable=True),
    field("measure", pa.string(), "what score is: jaccard | containment", nullable=True),
]

DOCUMENTS = table(
    "documents",
    4,
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
        *PROOF_FIELDS,
    ],
)
