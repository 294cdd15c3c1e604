"""One row per run of whole documents: the words of their texts, in order."""

import pyarrow as pa

from schemas.fields import field, table

WORDS = table(
    "words",
    2,
    "one row per run of whole documents, about a million words each",
    [
        field("row_keys", pa.large_binary(), "row_key of each document, little-endian uint64"),
        field("counts", pa.large_binary(), "words of each document, uint32", unit="words"),
        field(
            "hashes",
            pa.large_binary(),
            "the vocabulary: keyed 64-bit hash of each different word, by first appearance, uint64",
            stored="plain",
        ),
        field("sizes", pa.large_binary(), "length of each in the text, uint32", unit="bytes"),
        field("lengths", pa.large_binary(), "length of its spelling, uint32", unit="bytes"),
        field("letters", pa.large_binary(), "its spelling: folded letters in UTF-8, joined"),
        field(
            "codes",
            pa.large_binary(),
            "place in the vocabulary of each word; uint16, uint32 where it is larger",
            stored="plain",
        ),
        field(
            "gaps",
            pa.large_binary(),
            "bytes between a word and the one before; one below 255, else 255 and uint32",
        ),
    ],
)
