"""Schema of `taught`: the texts that the proxies were taught, wherever these texts are now."""

import pyarrow as pa

from schemas.fields import field, table

TAUGHT = table(
    "taught",
    1,
    "one row per distinct text that was read for the training of the proxies, by text_key; no text",
    [
        field("text_key", pa.uint64(), "first 8 bytes of the text hash"),
        field("text_bytes", pa.int64(), "size of the text"),
        field("tokens", pa.int64(), "its tokens, by the tokenizer of the proxies"),
        field("chosen", pa.int64(), "copies that were chosen for the sample by its bytes"),
        field("copies", pa.int64(), "copies that an epoch teaches, as chosen by its tokens"),
        field("half", pa.int64(), "0 or 1, the half whose cross-fit proxy is taught it"),
        field("planted", pa.bool_(), "whether passages of it are planted, so that it is no sample"),
        field(
            "words",
            pa.large_list(pa.field("item", pa.uint64(), nullable=False)),
            "hashes of its words in order, if it is taught; how often a sequence was taught is "
            "counted in them, since the text may be gone",
            stored="plain",
        ),
    ],
)
