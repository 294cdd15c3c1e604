"""The table of the personal data that texts hold: where it is and of what kind, never the value."""

import pyarrow as pa

from schemas.fields import field, table
from schemas.scan.signatures import ROW_KEY

PERSONAL = table(
    "personal",
    1,
    "one row per find, sorted by row_key and start_byte; none lies over another",
    [
        field("row_key", pa.uint64(), ROW_KEY, stored="delta"),
        field("start_byte", pa.int64(), "its first byte in the text", unit="bytes"),
        field("end_byte", pa.int64(), "past its last byte", unit="bytes"),
        field("kind", pa.string(), "email | phone | ip | iban | card | national_id | key"),
        field(
            "value_hash",
            pa.uint64(),
            "the same for equal values of a kind, whatever their case and signs; no secret",
            stored="plain",
        ),
    ],
)
