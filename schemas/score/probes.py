"""Schema of `probes`: a row per sequence of the panel, proxy and number."""

import pyarrow as pa

from schemas.fields import field, table
from schemas.scan.signatures import ROW_KEY

PROBES = table(
    "probes",
    2,
    "one row per sequence of the panel, proxy and number, sorted by row_key, start_token, proxy, "
    "signal and name; docs/signals.md has the names with their units",
    [
        field("row_key", pa.uint64(), ROW_KEY),
        field(
            "start_token",
            pa.int64(),
            "first token of the sequence; 0 for a signal of a whole document",
            unit="tokens",
        ),
        field("proxy", pa.string(), "the model that was probed"),
        field(
            "seen",
            pa.int64(),
            "times it was trained on the sequence; 0: never; null: not known, of a loaded model",
            unit="times",
            nullable=True,
        ),
        field("signal", pa.string(), "the measure"),
        field("name", pa.string(), "which of its numbers"),
        field("value", pa.float64(), "the number; its unit is that of the name"),
    ],
)
