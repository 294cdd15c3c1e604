"""The table of rows that another run holds already, each with the row of it that proves it."""

import pyarrow as pa

from schemas.fields import field, table
from schemas.scan.signatures import ROW_KEY

HELD = table(
    "held",
    1,
    "one row per document that the other run holds, sorted by row_key",
    [
        field("row_key", pa.uint64(), ROW_KEY),
        field("method", pa.string(), "exact | near | contained"),
        field(
            "shared",
            pa.int64(),
            "distinct shingles in both; null for the same bytes",
            nullable=True,
        ),
        field(
            "total",
            pa.int64(),
            "those in either, or of the contained one; null likewise",
            nullable=True,
        ),
        field("score", pa.float64(), "exact Jaccard, or the share contained; 1 for the same bytes"),
        field("their_row_key", pa.uint64(), "the row of the other run that proves it"),
        field("their_doc_id", pa.string(), "its id there"),
        field("their_shard", pa.string(), "the path of its shard there"),
        field("their_row", pa.int64(), "its row in the shard"),
        field("their_digest", pa.string(), "BLAKE2b-128 of that shard's bytes when it was scanned"),
    ],
)
