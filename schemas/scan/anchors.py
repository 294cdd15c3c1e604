"""One row per chunk of `words`: the anchors of its windows, which tell what a change touches."""

import pyarrow as pa

from schemas.fields import field, table

ANCHORS = table(
    "anchors",
    3,
    "one row per row of words, in the same order; kept for the next scan",
    [
        field("unit", pa.string(), "the group of shards, as its files are named"),
        field("counts", pa.large_binary(), "anchors of each document, uint32", unit="anchors"),
        field(
            "anchors",
            pa.large_binary(),
            "top 32 bits of the least hash of the runs in a window, in text order, each time that "
            "it changes, uint32",
            stored="plain",
        ),
        field("more", pa.large_binary(), "the next 8 bits of each, uint8", stored="plain"),
        field("covers", pa.large_binary(), "windows that have each, uint16", unit="windows"),
    ],
)
