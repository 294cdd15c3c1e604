"""Schema of `contexts`: a row per trained sequence, proxy and length of prefix given."""

import pyarrow as pa

from schemas.fields import field, table
from schemas.scan.signatures import ROW_KEY

CONTEXTS = table(
    "contexts",
    1,
    "one row per trained sequence of a panel, proxy of the ladder and prefix length",
    [
        field("row_key", pa.uint64(), ROW_KEY),
        field("start_token", pa.int64(), "first token in its document", unit="tokens"),
        field("family", pa.string(), "family of the document"),
        field("proxy", pa.string(), "name of the proxy"),
        field("seen", pa.int64(), "times the proxy was trained on it", unit="times"),
        field("prefix_tokens", pa.int64(), "last tokens of the prefix that were given"),
        field("memorized", pa.bool_(), "every suffix token is the arg-max given the true history"),
        field("log_p_z", pa.float32(), "log probability of the suffix given them", unit="nats"),
    ],
)
