"""The struct column that is added to kept and removed rows, and the table of what was cut."""

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
    field(
        "risk",
        pa.float64(),
        "probability that the target memorizes part of it, or, where extrapolated, a place in an "
        "order that rules go by; null unscored",
        nullable=True,
    ),
    field("risk_low", pa.float64(), "low end of the 95% interval", nullable=True),
    field("risk_high", pa.float64(), "high end of the 95% interval", nullable=True),
    field(
        "extrapolated",
        pa.bool_(),
        "the target has over 10x the size or tokens of the largest proxy: the interval is a band; "
        "null unscored",
        nullable=True,
    ),
]

KEPT_STRUCT = pa.struct(COUNTS_IN_ROW)

HELD_IN_ROW = [
    field("held_method", pa.string(), "exact | near | contained: in the other run", nullable=True),
    field("held_score", pa.float64(), "exact Jaccard, or the share contained", nullable=True),
    field("held_doc_id", pa.string(), "id of the row of the other run", nullable=True),
    field("held_shard", pa.string(), "the path of its shard there", nullable=True),
    field("held_row", pa.int64(), "its row in that shard", nullable=True),
    field("held_digest", pa.string(), "BLAKE2b-128 of that shard", nullable=True),
]
ITEM_IN_ROW = [
    field("item_file", pa.string(), "the evaluation file of the item it holds", nullable=True),
    field("item_row", pa.int64(), "the item's row in that file", nullable=True),
    field("item_field", pa.string(), "the field of the item", nullable=True),
    field("item_words", pa.int64(), "words of that field", unit="words", nullable=True),
    field("item_matched", pa.int64(), "those that it has", unit="words", nullable=True),
]

PROOF = ("jaccard", "score", "measure")
RISKS = ("risk", "risk_low", "risk_high", "extrapolated")
OF_DOCUMENTS = [
    *(field.name for field in KEPT_STRUCT if field.name not in RISKS),
    *("text_hash", "keeper_doc_id", *PROOF),
]
"""What is read of `documents` to write a row."""

RISK_AFTER = field(
    "risk_after",
    pa.float64(),
    "its risk over the rows that the rules before drop-risk leave; extrapolated: an order alone",
    nullable=True,
)
MASKED = field(
    "masked",
    pa.list_(
        pa.field(
            "item",
            pa.struct(
                [
                    field("start_byte", pa.int64(), "first byte", unit="bytes"),
                    field("end_byte", pa.int64(), "past the last byte", unit="bytes"),
                ]
            ),
            nullable=False,
        )
    ),
    "repeated passages of its text, to leave out of the loss",
)
CUT_BYTES = field(
    "cut_bytes",
    pa.int64(),
    "bytes cut out of its text or masked in it; they are in removed/spans",
    unit="bytes",
)
SINK_ID = field("sink_id", pa.uint64(), "the same for all copies and verified near copies")
WEIGHT = field("weight", pa.float64(), "how often to sample it, one over its count")
LOSS_MASK = field(
    "loss_mask",
    pa.list_(pa.field("item", pa.bool_(), nullable=False)),
    "per token of its text, false for one to leave out of the loss",
)

REMOVED_STRUCT = pa.struct(
    [
        field("rule", pa.string(), "the rule that removed it"),
        field(
            "reason",
            pa.string(),
            "why: exact_copy | near_copy | contained | risk | short | forgotten | contaminated | "
            "held | personal",
        ),
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
        field(
            "score",
            pa.float64(),
            "the proof: jaccard, the share contained, or the risk after the rules before (where "
            "extrapolated an order alone)",
            nullable=True,
        ),
        field("measure", pa.string(), "what score is: jaccard | containment | risk", nullable=True),
        field(
            "threshold",
            pa.float64(),
            "the threshold of near copies or containment that it reached; null without a keeper",
            nullable=True,
        ),
        *COUNTS_IN_ROW,
    ]
)

SPANS_CUT = pa.schema(
    [
        field("row_key", pa.uint64(), "the row that the text was cut out of"),
        field("column", pa.string(), "the user's column"),
        field(
            "start_byte",
            pa.int64(),
            "first byte in the value of that column as it was",
            unit="bytes",
        ),
        field("end_byte", pa.int64(), "past the last byte", unit="bytes"),
        field("text", pa.large_binary(), "what was cut"),
        field("instead", pa.string(), "what is in its place; null: nothing", nullable=True),
    ],
    metadata={"table": "removed/spans", "version": "2", "grain": "one row per cut, in order"},
)
