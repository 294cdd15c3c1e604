"""The table `audited`: what a scanned corpus has of each text that was held against it."""

import pyarrow as pa

from schemas.fields import field, table


def _document(name: str, what: str) -> list[pa.Field]:
    """Return the fields that name a document of the corpus, null where there is none."""
    return [
        field(f"{name}_row_key", pa.uint64(), f"{what}: its name in the run", nullable=True),
        field(f"{name}_doc_id", pa.string(), "its id", nullable=True),
        field(f"{name}_shard", pa.string(), "the path of its shard", nullable=True),
        field(f"{name}_row", pa.int64(), "its row in the shard", nullable=True),
        field(f"{name}_decision", pa.string(), "kept | removed; null undecided", nullable=True),
        field(f"{name}_reason", pa.string(), "why it was removed", nullable=True),
        field(
            f"{name}_risk",
            pa.float64(),
            "its forecast risk; null unscored, and where document_risk says it is extrapolated",
            nullable=True,
        ),
    ]


AUDITED = table(
    "audited",
    2,
    "one row per text, sorted by file, row and field",
    [
        field("file", pa.string(), "the file of the text"),
        field(
            "split", pa.string(), "train, validation or test, where its path tells", nullable=True
        ),
        field("row", pa.int64(), "its row in the file"),
        field("field", pa.string(), "the column, or who speaks in a chat"),
        field("kind", pa.string(), "question | answer | text"),
        field("words", pa.int64(), "words in it", unit="words"),
        field("run_words", pa.int64(), "words of the runs searched: n, or all of a shorter text"),
        field("covered_words", pa.int64(), "words in runs that occur in the corpus", unit="words"),
        field("longest_run", pa.int64(), "words of the longest such run; 0 without", unit="words"),
        field("largest_count", pa.int64(), "occurrences of its most repeated run of run_words"),
        field("jaccard", pa.float64(), "with the nearest document; 0 where none shares a shingle"),
        field("containment", pa.float64(), "largest share of its shingles in one document"),
        *_document("nearest", "the document of the highest Jaccard"),
        *_document("holder", "the document with most of its shingles"),
    ],
)
