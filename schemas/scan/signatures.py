"""One row per accepted document: identity, text hash and MinHash signature; sorted by row_key."""

import pyarrow as pa

from schemas.fields import field, table

ROW_KEY = "shard number << 40 | row in the shard: a name, never a rank"

SYMBOLS_FIELD = field(
    "symbols",
    pa.string(),
    "the symbols of the text in order (mathematical, currency, emoji, operators); null for a text "
    "of too many words to be compared by them",
    nullable=True,
)

SIGNATURES = table(
    "signatures",
    5,
    "one row per accepted document",
    [
        field("row_key", pa.uint64(), ROW_KEY, stored="delta"),
        field("doc_id", pa.string(), "the user's id, else shard#row; duplicates are allowed"),
        field("source", pa.string(), "the source column's value", nullable=True),
        field(
            "priority",
            pa.float64(),
            "the double nearest to the priority column's value",
            nullable=True,
        ),
        field(
            "priority_rest", pa.float64(), "what is missing from that double to the value itself"
        ),
        field("text_bytes", pa.int64(), "length of the text as UTF-8", unit="bytes"),
        field("words", pa.int64(), "words in the text", unit="words"),
        SYMBOLS_FIELD,
        field("text_hash", pa.binary(16), "BLAKE2b-128 of the text's bytes", stored="plain"),
        field(
            "form_hash",
            pa.uint64(),
            "hash of the text after NFKC folding: the same for texts that differ in form only",
            stored="plain",
        ),
        field(
            "signature",
            pa.large_binary(),
            "MinHash values, little-endian uint32; the hash (uint64) of the only shingle of a "
            "document of fewer words than one has; empty without words",
            stored="plain",
        ),
    ],
)
