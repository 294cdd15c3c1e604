"""Schema of `laws`: a row per point of a dose, size or context curve of the run's own proxies."""

import pyarrow as pa

from schemas.fields import field, table

LAWS = table(
    "laws",
    1,
    "one row per law, proxy and point, in this order",
    [
        field("law", pa.string(), "dose | size | context"),
        field("proxy", pa.string(), "the proxy that was measured"),
        field(
            "at",
            pa.float64(),
            "dose: least times trained on, of a power of two (0: never); size: non-embedding "
            "parameters; context: tokens of prefix given",
        ),
        field("sequences", pa.int64(), "scored sequences at this point"),
        field("families", pa.int64(), "their families, which the interval is over"),
        field("share", pa.float64(), "memorized sequences / sequences; size: mean over doses"),
        field("low", pa.float64(), "low end of the 95% interval, a bootstrap over families"),
        field("high", pa.float64(), "high end; 3/families where none is memorized"),
    ],
)
