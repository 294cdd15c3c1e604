"""Connected components of documents, and their names: the smallest text hash in each."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

HEX = np.frombuffer(b"0123456789abcdef", np.uint8)


def components(keys: np.ndarray, edges: list[pa.Table]) -> np.ndarray:
    """Return the number of the connected component of each document, (documents,).

    Args:
        keys: row_key of the documents, ascending.
        edges: tables whose first two columns are the ends of edges between documents.
    """
    ends = [
        np.concatenate([np.searchsorted(keys, table.column(side).to_numpy()) for table in edges])
        for side in (0, 1)
    ]
    graph = coo_array(
        (np.ones(len(ends[0]), np.bool_), (ends[0], ends[1])), shape=(len(keys), len(keys))
    )
    return (
        np.asarray(connected_components(graph, directed=False)[1])
        if len(keys)
        else np.zeros(0, np.int32)
    )


def smallest_hash(labels: np.ndarray, hashes: pa.ChunkedArray) -> pa.Array:
    """Return, for each document, the hex of the smallest text hash in its component.

    Args:
        labels: (documents,), component of each.
        hashes: text hash of each, 16 bytes.
    """
    raw = np.frombuffer(b"".join(_bytes(chunk) for chunk in hashes.chunks), np.uint8)
    raw = raw.reshape(-1, 16)
    named = np.arange(len(labels))  # the document whose hash is the name: mostly its own
    joined = np.flatnonzero(np.bincount(labels)[labels] > 1) if len(labels) else named
    halves = raw[joined].view(">u8")
    order = joined[np.lexsort((halves[:, 1], halves[:, 0], labels[joined]))]
    first = np.flatnonzero(np.diff(labels[order], prepend=-1))
    named[order] = np.repeat(order[first], np.diff(np.append(first, len(order))))
    digits = np.empty((len(labels), 32), np.uint8)
    digits[:, ::2], digits[:, 1::2] = HEX[raw[named] >> 4], HEX[raw[named] & 15]
    ends = pa.py_buffer(32 * np.arange(len(labels) + 1, dtype=np.int64))
    return pa.Array.from_buffers(
        pa.large_string(), len(labels), [None, ends, pa.py_buffer(digits.reshape(-1))]
    )


def _bytes(chunk: pa.Array) -> bytes:
    """Return the bytes of a fixed-size binary array."""
    width = chunk.type.byte_width
    return bytes(
        memoryview(chunk.buffers()[1])[chunk.offset * width : (chunk.offset + len(chunk)) * width]
    )
