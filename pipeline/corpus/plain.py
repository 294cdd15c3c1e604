"""Text files: each is one document."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.corpus.documents import Records
from pipeline.corpus.files import reading
from pipeline.corpus.priorities import no_priorities

SCHEMA = pa.schema([pa.field("id", pa.string()), pa.field("text", pa.string())])


def text_record(path: str, name: str) -> Records:
    """Return a text file's one record, row 0, named after the file; its bytes are the text."""
    with reading(path):
        raw = Path(path).read_bytes()
    texts = pa.array([raw], pa.large_binary())
    ids = pa.array([name], pa.string())
    priorities, rests = no_priorities(1)
    return Records(
        rows=np.zeros(1, np.int64),
        texts=texts,
        ids=ids,
        sources=pa.nulls(1, pa.string()),
        priorities=priorities,
        rests=rests,
        columns=pa.RecordBatch.from_arrays(
            [ids, texts.cast(pa.binary()).view(pa.string())], schema=SCHEMA
        ),
    )
