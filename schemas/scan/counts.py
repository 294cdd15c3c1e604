"""One row per document: all that is known about its repetitions before any removal threshold."""

import pyarrow as pa

from schemas.fields import field, table
from schemas.scan.signatures import ROW_KEY, SYMBOLS_FIELD

COUNT_FIELDS = [
    field("row_key", pa.uint64(), ROW_KEY),
    field(
        "doc_id", pa.string(), "the user's id, else shard#row; duplicates are allowed and counted"
    ),
    field("shard", pa.string(), "root-relative path of the shard"),
    field("row", pa.int64(), "row in the shard, rejected rows counted"),
    field("source", pa.string(), "the source column's value", nullable=True),
    field(
        "split",
        pa.string(),
        "train, validation or test, by the path of its shard; null in a corpus of one split",
        nullable=True,
    ),
    field("source_group", pa.string(), "what reports, alarms and rules group by"),
    field(
        "priority", pa.float64(), "the double nearest to the priority column's value", nullable=True
    ),
    field("priority_rest", pa.float64(), "what is missing from that double to the value itself"),
    field("text_bytes", pa.int64(), "length of the text as UTF-8", unit="bytes"),
    field("words", pa.int64(), "words in the text", unit="words"),
    SYMBOLS_FIELD,
    field("text_hash", pa.binary(16), "BLAKE2b-128 of the text's bytes"),
    field("representative", pa.uint64(), "smallest row_key of the exact group"),
    field(
        "exact_count",
        pa.int64(),
        "documents with the same bytes of text, itself included",
        unit="documents",
    ),
    field(
        "effective_count",
        pa.float64(),
        "exact copies that its copies are worth (nu)",
        unit="exact copies",
    ),
    field("near_capped", pa.bool_(), "its near and effective counts are lower bounds"),
    field("family", pa.string(), "hex of the smallest text hash in the family"),
    field(
        "max_window_count",
        pa.int64(),
        "largest number of occurrences of one of its windows; 0 without windows",
    ),
    field(
        "repeated_words",
        pa.int64(),
        "distinct word positions covered by a repeated window",
        unit="words",
    ),
]

COUNTS = table("counts", 3, "one row per accepted document, sorted by row_key", COUNT_FIELDS)
