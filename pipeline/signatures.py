"""Sketch: one pass over each text makes its hash, its MinHash signature and its words."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline import minhash, text
from pipeline.config import SketchConfig
from pipeline.corpus import (
    DocumentBatch,
    Shard,
    content_digest,
    identify,
    read_documents,
    shard_schema,
)
from pipeline.errors import InputError
from pipeline.progress import current
from pipeline.stage import FileRecord, Receipt, Work
from pipeline.store import write_table
from schemas.rejected import rejected
from schemas.signatures import SIGNATURES
from schemas.words import WORDS

VERSION = 1
ROW_BITS = 40


def row_keys(shard: int, rows: np.ndarray) -> np.ndarray:
    """Return the uint64 names of rows: shard number << 40 | row."""
    return (np.uint64(shard) << np.uint64(ROW_BITS)) | rows.astype(np.uint64)


def sketch(work: Work) -> Receipt:
    """Map: read each shard of the group once.

    Write `signatures`, `words` and, for bad rows, `rejected`.
    """
    shards: list[dict[str, Any]] = []
    files: list[FileRecord] = []
    with (
        write_table(work.folder, "signatures", work.key, SIGNATURES) as signatures,
        write_table(work.folder, "words", work.key, WORDS) as words,
    ):
        for shard in work.shards:
            digest = content_digest(Path(shard.path))
            reasons: Counter[str] = Counter()
            rows = 0
            for batch in read_documents(shard, work.config.input):
                one, other = signatures_and_words(shard.number, batch, work.config.sketch)
                signatures.write(one)
                words.write(other)
                rows += len(batch.rows)
                reasons.update(item.reason for item in batch.rejected)
                current().advance(rows, 0, shard.name)
            if reasons:
                files.append(_write_rejected(shard, work))
            _unchanged(shard)
            facts = {"number": shard.number, "content_digest": digest, "documents": rows}
            shards.append({**facts, "rejected": dict(sorted(reasons.items()))})
    files = [signatures.record, words.record, *files]
    read = sum(entry["documents"] + sum(entry["rejected"].values()) for entry in shards)
    written = sum(record.rows for record in files if record.table != "words")
    return Receipt(tuple(files), read, written, {"shards": shards})


def signatures_and_words(
    shard: int, batch: DocumentBatch, config: SketchConfig
) -> tuple[pa.Table, pa.Table]:
    """Return the rows of `signatures` and `words` for a batch of documents.

    Any batching gives the same rows.
    """
    keys = pa.array(row_keys(shard, batch.rows))
    words = text.words(batch.texts, config.seed)
    offsets, hashes = text.shingles(words, config.shingle_words, config.seed)
    values = minhash.signatures(offsets, hashes, config.bands * config.rows, config.seed)
    has_words = np.diff(words.offsets) > 0
    signatures = pa.table(
        {
            "row_key": keys,
            "doc_id": batch.ids,
            "source": batch.sources,
            "priority": batch.priorities,
            "text_bytes": pa.array(np.diff(_offsets(batch.texts))),
            "words": pa.array(np.diff(words.offsets)),
            "text_hash": text_hashes(batch.texts),
            "signature": _packed(
                values.view(np.uint8).reshape(-1),
                np.cumsum(has_words) * values.shape[1] * 4,
                has_words,
            ),
        }
    )
    table = pa.table(
        {
            "row_key": keys,
            "hashes": binary_column(words.hashes.view(np.uint8), words.offsets * 8),
            "layout": text.encode_layout(words),
        }
    )
    return signatures, table


def text_hashes(texts: pa.LargeStringArray) -> pa.Array:
    """Return the BLAKE2b-128 of each text's bytes.

    A Python loop per row: 1 us a row and 0.9 GB/s, a fiftieth of what the rest of the sketch takes
    on prose.
    """
    data = memoryview(texts.buffers()[2]) if texts.buffers()[2] is not None else memoryview(b"")
    ends = _offsets(texts)
    digest = b"".join(
        hashlib.blake2b(data[start:end], digest_size=16).digest()
        for start, end in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)
    )
    return pa.Array.from_buffers(pa.binary(16), len(texts), [None, pa.py_buffer(digest)])


def _offsets(texts: pa.LargeStringArray) -> np.ndarray:
    count = len(texts)
    if count == 0:
        return np.zeros(1, np.int64)
    return np.frombuffer(texts.buffers()[1], np.int64)[texts.offset : texts.offset + count + 1]


def binary_column(data: np.ndarray, offsets: np.ndarray) -> pa.Array:
    """Return a large_binary array over one run of bytes cut at `offsets` (int64, n + 1)."""
    ends = pa.py_buffer(np.ascontiguousarray(offsets, np.int64))
    return pa.Array.from_buffers(
        pa.large_binary(), len(offsets) - 1, [None, ends, pa.py_buffer(data)]
    )


def _packed(data: np.ndarray, ends: np.ndarray, present: np.ndarray) -> pa.Array:
    """Return one signature a row as bytes, empty where the document has no words."""
    width = len(data) // max(1, len(present))
    rows = data.reshape(len(present), width)[present] if len(present) else data.reshape(0, 0)
    return binary_column(np.ascontiguousarray(rows).reshape(-1), np.concatenate([[0], ends]))


def signature_matrix(column: pa.Array, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (rows that have a signature, their values uint32[n, count]) of a column."""
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    lengths = np.asarray(pa.compute.binary_length(column))
    present = np.flatnonzero(lengths)
    joined = b"".join(column.take(pa.array(present)).to_pylist())
    return present, np.frombuffer(joined, np.uint32).reshape(len(present), count)


def _write_rejected(shard: Shard, work: Work) -> FileRecord:
    """Read a shard that has bad rows once more, with all its columns, and write those rows."""
    columns = shard_schema(shard, work.config.input)
    schema = rejected(columns)
    with write_table(work.folder, "rejected", work.names[shard.number], schema) as out:
        for batch in read_documents(shard, work.config.input, everything=True, schema=columns):
            if batch.rejected:
                out.write(rejected_rows(shard.name, batch, schema))
    return out.record


def rejected_rows(shard: str, batch: DocumentBatch, schema: pa.Schema) -> pa.Table:
    """Return a batch's rejected rows in order; `record` is null where nothing could be parsed."""
    rows = np.array([item.row for item in batch.rejected], np.int64)
    record = schema.field("record").type
    place = np.searchsorted(batch.rejected_rows, rows)
    if batch.rejected_columns is not None and len(batch.rejected_rows):
        parsed = batch.rejected_rows[np.minimum(place, len(batch.rejected_rows) - 1)] == rows
        records = batch.rejected_columns.to_struct_array().cast(record)
        struct = records.take(pa.array(np.where(parsed, place, 0), mask=~parsed))
    else:
        struct = pa.nulls(len(rows), record)
    return pa.table(
        [
            pa.array([item.text for item in batch.rejected], pa.large_binary()),
            pa.array([item.reason for item in batch.rejected], pa.string()),
            pa.array([shard] * len(rows), pa.string()),
            pa.array(rows),
            struct,
        ],
        schema=schema,
    )


def _unchanged(shard: Shard) -> None:
    if identify(Path(shard.path)) != (shard.bytes, shard.mtime_ns, shard.tail_digest):
        raise InputError(
            "A shard changed while it was read.", where=shard.name, fix="run the same command again"
        )
