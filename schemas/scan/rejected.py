"""One row per input row that is not a document; written per shard."""

import pyarrow as pa

from schemas.fields import field, table

GRAIN = "one row per rejected row of the shard, in order"
REJECTED_FIELDS = [
    field(
        "text",
        pa.large_binary(),
        "the text, or the record when it could not be parsed",
        nullable=True,
    ),
    field(
        "reason",
        pa.string(),
        "null_text | empty_text | invalid_utf8 | not_json | not_a_string | ...",
    ),
    field("shard", pa.string(), "root-relative path of the shard"),
    field("row", pa.int64(), "row in the shard"),
]


def rejected(record: pa.Schema) -> pa.Schema:
    """Return the schema of a shard's rejected rows.

    A `record` struct holds the user's columns unchanged; a shard without any has none.
    """
    if not record.names:
        return table("rejected", 1, GRAIN, REJECTED_FIELDS)
    columns = pa.field(
        "record", pa.struct(list(record)), nullable=True, metadata={"doc": "the user's columns"}
    )
    return table(
        "rejected",
        1,
        GRAIN,
        [*REJECTED_FIELDS, columns],
    )
