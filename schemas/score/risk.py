"""Schemas of the forecast: `risk`, `document_risk` and `risk_model`."""

import pyarrow as pa

from schemas.fields import field, table
from schemas.scan.signatures import ROW_KEY

RISK = table(
    "risk",
    1,
    "one row per scored sequence, sorted by row_key and start_byte; risk null: nothing fitted",
    [
        field("row_key", pa.uint64(), ROW_KEY),
        field("start_byte", pa.int64(), "first byte", unit="bytes"),
        field("end_byte", pa.int64(), "past the last byte", unit="bytes"),
        field(
            "risk",
            pa.float64(),
            "probability that the target memorizes it, corpus as given; extrapolated: an order, no "
            "probability",
            nullable=True,
        ),
        field("risk_low", pa.float64(), "low end of the 95% interval", nullable=True),
        field("risk_high", pa.float64(), "high end of the 95% interval", nullable=True),
        field("basis", pa.string(), "seen | unseen: whether a proxy was trained on it"),
        field(
            "extrapolated",
            pa.bool_(),
            "the target has over 10x the size or tokens of the largest proxy",
        ),
        field("kind", pa.string(), "none | reconstructed | recited | recollected", nullable=True),
    ],
)

DOCUMENT_RISK = table(
    "document_risk",
    3,
    "one row per document with at least one scored sequence, sorted by row_key",
    [
        field("row_key", pa.uint64(), ROW_KEY),
        field(
            "risk",
            pa.float64(),
            "largest risk of its scored sequences; extrapolated: an order, no probability",
            nullable=True,
        ),
        field("risk_low", pa.float64(), "low end of that sequence's 95% interval", nullable=True),
        field("risk_high", pa.float64(), "high end of that sequence's 95% interval", nullable=True),
        field(
            "extrapolated",
            pa.bool_(),
            "the target has over 10x the size or tokens of the largest proxy: the interval is a "
            "band, and risk and expected_tokens are an order that rules go by",
        ),
        field("kind", pa.string(), "kind of that sequence", nullable=True),
        field(
            "expected_tokens",
            pa.float64(),
            "sum over scored sequences of risk x 32",
            unit="tokens",
            nullable=True,
        ),
        field("scored_share", pa.float64(), "scored sequences / all of the document's sequences"),
        field(
            "last_exposure",
            pa.float64(),
            "share of an epoch after the last copy of its text; null without a planned order",
            nullable=True,
        ),
        field(
            "spacing",
            pa.float64(),
            "mean distance of its copies, as a share of an epoch; null likewise, and for one copy",
            nullable=True,
        ),
    ],
)

RISK_MODEL = table(
    "risk_model",
    2,
    "one row per scored sequence with a forecast, sorted by row_key and start_byte",
    [
        field("row_key", pa.uint64(), ROW_KEY),
        field("start_byte", pa.int64(), "first byte", unit="bytes"),
        field("end_byte", pa.int64(), "past the last byte", unit="bytes"),
        field("suffix_byte", pa.int64(), "first byte of its last 32 tokens", unit="bytes"),
        field("weight", pa.float64(), "documents' sequences that it stands for"),
        field("epochs", pa.float64(), "times the target sees the corpus"),
        field("offset", pa.float64(), "log odds of all that no dose enters"),
        field("slope_count", pa.float64(), "log odds per unit of log dose, at least 1"),
        field("slope_effective", pa.float64(), "the same of the effective dose"),
        field(
            "slope_suffix",
            pa.float64(),
            "the same of the dose of the suffix, rarest words included",
        ),
    ],
)
