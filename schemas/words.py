"""One row per accepted document: the hashes and the byte positions of its words, in order."""

import pyarrow as pa

from schemas.fields import field, table
from schemas.signatures import ROW_KEY

WORDS = table(
    "words",
    1,
    "one row per accepted document",
    [
        field("row_key", pa.uint64(), ROW_KEY),
        field("hashes", pa.large_binary(), "keyed 64-bit hash of each word, little-endian uint64"),
        field(
            "layout",
            pa.large_binary(),
            "gap before and length of each word in bytes, packed; see pipeline.text",
        ),
    ],
)
