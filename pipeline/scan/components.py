"""Connected components of documents, and their names: the smallest text hash in each."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
from numba import njit

from pipeline.text.arrays import Int64, Value

HEX = np.frombuffer(b"0123456789abcdef", np.uint8)


def components(keys: np.ndarray, edges: Iterable[pa.Table]) -> np.ndarray:
    """Return the number of the connected component of each document, (documents,).

    Components are numbered in the order of their first documents. Edges are taken table by table,
    so memory follows the documents.

    Args:
        keys: row_key of the documents, ascending.
        edges: tables whose first two columns are the ends of edges between documents.
    """
    parent = np.arange(len(keys))
    for table in edges:
        ends = [np.searchsorted(keys, table.column(side).to_numpy()) for side in (0, 1)]
        _join(parent, *ends)
    return _numbered(parent)


@njit(nogil=True, cache=True)
def _root(parent: Int64, x: Value) -> Value:
    """Return the first document of a component as far as it is known; halve the way to it."""
    while parent[x] != x:
        parent[x] = parent[parent[x]]
        x = parent[x]
    return x


@njit(nogil=True, cache=True)
def _join(parent: Int64, a: Int64, b: Int64) -> None:
    """Join the components of the ends of some edges."""
    for k in range(a.size):
        x, y = _root(parent, a[k]), _root(parent, b[k])
        if x < y:
            parent[y] = x
        else:
            parent[x] = y


@njit(nogil=True, cache=True)
def _numbered(parent: Int64) -> Int64:
    """Return the number of each document's component."""
    numbers, count = np.empty(parent.size, np.int64), 0
    for x in range(parent.size):
        if parent[x] == x:
            numbers[x] = count
            count += 1
        else:
            numbers[x] = numbers[_root(parent, x)]
    return numbers


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
