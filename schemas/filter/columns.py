"""The table `columns`: the columns that each shard is written with."""

import pyarrow as pa

from schemas.fields import field, table

COLUMNS = table(
    "columns",
    1,
    "one row per shard, sorted by number",
    [
        field("number", pa.uint64(), "the shard's number in the registry"),
        field("schema", pa.large_binary(), "its columns in kept/ and removed/, as Arrow IPC"),
    ],
)
