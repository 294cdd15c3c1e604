"""The struct column that kept and removed rows carry next to the user's own columns."""

import pyarrow as pa

from schemas.fields import field

COUNTS_IN_ROW = [
    field("row_key", pa.uint64(), "the row's name in every table of the run"),
    field("exact_count", pa.int64(), "documents with the same bytes of text, itself included"),
    field(
        "near_count",
        pa.int64(),
        "exact_count + sizes of the exact groups at or above near.threshold with it",
    ),
    field("effective_count", pa.float64(), "exact copies that its copies are worth"),
    field("near_capped", pa.bool_(), "its near and effective counts are lower bounds"),
    field("max_window_count", pa.int64(), "largest number of occurrences of one of its windows"),
    field("repeated_words", pa.int64(), "word positions covered by a repeated window"),
    field("counted_in", pa.int32(), "number of the scan that its counts were taken in"),
    field(
        "risk",
        pa.float64(),
        "probability that the target memorizes part of it; null unscored",
        nullable=True,
    ),
    field("risk_low", pa.float64(), "low end of the 95% interval", nullable=True),
    field("risk_high", pa.float64(), "high end of the 95% interval", nullable=True),
]

KEPT_STRUCT = pa.struct(COUNTS_IN_ROW)

REMOVED_STRUCT = pa.struct(
    [
        field("rule", pa.string(), "the rule that removed it"),
        field("reason", pa.string(), "why: exact_copy | near_copy | contained | risk"),
        field(
            "keeper", pa.uint64(), "row_key of the document that stays in its place", nullable=True
        ),
        field("keeper_doc_id", pa.string(), "doc_id of the keeper", nullable=True),
        field(
            "jaccard",
            pa.float64(),
            "exact Jaccard with the keeper; null where it is contained",
            nullable=True,
        ),
        field("score", pa.float64(), "the proof: jaccard, or the share contained", nullable=True),
        field("measure", pa.string(), "what score is: jaccard | containment", nullable=True),
        field("threshold", pa.float64(), "the threshold that it reached"),
        *COUNTS_IN_ROW,
    ]
)
