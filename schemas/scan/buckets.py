"""One row per band and document in a bucket of at least two representatives.

Of a document in a bucket above the cap there is one row, of its largest bucket.
"""

import pyarrow as pa

from schemas.fields import field, table
from schemas.scan.signatures import ROW_KEY

BUCKETS = table(
    "buckets",
    2,
    "one row per band and representative, in buckets of two or more; of a representative in a "
    "bucket that is not paired in full one row, of its largest bucket",
    [
        field(
            "band",
            pa.int32(),
            "number of the band; one more holds the documents too short for a signature",
        ),
        field("bucket", pa.uint64(), "key of the band's values", stored="plain"),
        field("rank", pa.int64(), "place in the bucket, in the order of a per-band hash"),
        field("row_key", pa.uint64(), ROW_KEY),
        field("members", pa.int64(), "representatives in the bucket", unit="documents"),
    ],
)
