"""Schema of `dynamics`: how proxies learn and forget plants in the course of their training."""

import pyarrow as pa

from schemas.fields import field, table

DYNAMICS = table(
    "dynamics",
    2,
    "one row per proxy of the ladder, moment of its training and group of planted texts, in this "
    "order; groups are never taught, taught so often, taught so often and so long ago",
    [
        field("proxy", pa.string(), "the proxy that was asked"),
        field("parameters", pa.int64(), "its non-embedding parameters"),
        field("steps", pa.int64(), "steps of its training that were done", unit="steps"),
        field("share_of_training", pa.float64(), "these steps / all steps"),
        field(
            "taught",
            pa.int64(),
            "least times that a text was taught by then, of a power of two; 0: never, in all of it",
        ),
        field(
            "steps_since",
            pa.int64(),
            "least steps since it was taught last, of a power of two; null: whenever",
            nullable=True,
            unit="steps",
        ),
        field("texts", pa.int64(), "planted texts of one text a cluster in this group"),
        field("memorized", pa.int64(), "of these, whose suffix is recited"),
        field("low", pa.float64(), "low end of the share's 95% interval (Wilson)"),
        field("high", pa.float64(), "high end; 3/texts where none is recited"),
        field(
            "auc",
            pa.float64(),
            "chance that log p of a text is above that of one never taught; null where taught is 0",
            nullable=True,
        ),
        field("auc_low", pa.float64(), "low end of its 95% interval", nullable=True),
        field("auc_high", pa.float64(), "high end", nullable=True),
        field(
            "sudden_steps",
            pa.float64(),
            "median, over these texts, of the moment before which log p rose most, after the "
            "first; null with one moment alone",
            nullable=True,
            unit="steps",
        ),
    ],
)
