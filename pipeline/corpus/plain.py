"""Text files: each is one document."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.corpus.documents import Records
from pipeline.corpus.files import is_packed, open_stream, reading
from pipeline.corpus.priorities import no_priorities
from pipeline.corpus.room import room, too_long

BLOCK_BYTES = 1 << 20
SCHEMA = pa.schema([pa.field("id", pa.string()), pa.field("text", pa.string())])


def text_record(path: str, name: str) -> Records:
    """Return a text file's one record, row 0, named after the file; its bytes are the text."""
    with reading(path):
        raw = _unpacked(path) if is_packed(path) else Path(path).read_bytes()
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


def _unpacked(path: str) -> bytes:
    """Return the text of a packed file; how long it is shows only as it is read.

    Raises:
        InputError: When it is longer than there is room for.
    """
    parts: list[bytes] = []
    size = 0
    with open_stream(path) as stream:
        while part := stream.read(BLOCK_BYTES):
            size += len(part)
            if size <= room():
                parts.append(part)
            else:
                parts.clear()
    if size > room():
        raise too_long(path, 0, size)
    return b"".join(parts)
