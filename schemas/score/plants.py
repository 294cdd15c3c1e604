"""Schema of `plants`: what proxies memorized of the passages planted in their trainings."""

import pyarrow as pa

from schemas.fields import field, table
from schemas.score.sequences import PROXY

PLANTS = table(
    "plants",
    1,
    "one row per scored text of 64 tokens that was planted, by cluster and variant; no text",
    [
        field("cluster", pa.int64(), "number of what was drawn in or out together"),
        field("variant", pa.int64(), "number of the text in its cluster"),
        field("kind", pa.string(), "exact | fuzzy | template"),
        field("inside", pa.bool_(), "whether the draw put it into the trainings"),
        field("copies", pa.int64(), "times that an epoch teaches it, if it is inside"),
        field("effective_count", pa.float64(), "its cluster's texts", unit="exact copies"),
        field("suffix_count", pa.int64(), "times that an epoch teaches its last 32 tokens"),
        field("rarest_count", pa.int64(), "the same of the rarest 16 tokens of its suffix"),
        field("continuation_share", pa.float32(), "share of its prefixes that go on as it does"),
        field("zlib_bits_per_byte", pa.float32(), "compressed size", unit="bits per byte"),
        field(
            "suffix_entropy_bits",
            pa.float32(),
            "entropy of the distribution of its suffix's tokens",
            unit="bits per token",
        ),
        field("template_share", pa.float32(), "share of suffix tokens that copying would guess"),
        field(
            "proxies",
            pa.list_(pa.field("item", PROXY, nullable=False)),
            "the statistics by each proxy",
        ),
    ],
)
