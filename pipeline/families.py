"""Families: documents linked by pairs, by the same text, or by a repeated window.

The unit of sampling and of folds.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pipeline.candidates import limits
from pipeline.query import run
from pipeline.stage import Receipt, Work
from pipeline.store import read_table, write_table
from schemas.copies import COPIES
from schemas.families import FAMILIES
from schemas.pairs import PAIRS
from schemas.signatures import SIGNATURES

VERSION = 1


def families(work: Work) -> Receipt:
    """Reduce: name each document's connected component after its smallest text hash."""
    signatures = read_table(work.paths("signatures"), SIGNATURES, ["row_key", "text_hash"])
    copies = read_table(work.paths("copies"), COPIES, ["row_key", "representative"])
    pairs = read_table(work.paths("pairs"), PAIRS, ["a", "b"])
    inputs = {"occurrences": work.paths("occurrences"), "windows": work.paths("windows")}
    params = {"link_documents": work.config.window.link_documents}
    links = run("window_links", inputs, params, limits=limits(work))
    keys = signatures["row_key"].to_numpy()
    edges = [copies.select(["row_key", "representative"]), pairs, links]
    labels = components(keys, edges)
    names = smallest_hash(labels, signatures["text_hash"])
    with write_table(work.folder, "families", work.key, FAMILIES) as out:
        out.write(pa.table({"row_key": keys, "family": names}))
    return Receipt(
        (out.record,), len(keys), out.rows, {"families": int(labels.max(initial=-1)) + 1}
    )


def components(keys: np.ndarray, edges: list[pa.Table]) -> np.ndarray:
    """Return the component number of each of `keys` (sorted).

    Each table's two columns are the ends of edges.
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
    """Return, for each document, the hex of the smallest text hash under its label."""
    raw = b"".join(_bytes(chunk) for chunk in hashes.chunks)
    halves = np.frombuffer(raw, ">u8").reshape(-1, 2)
    order = np.lexsort((halves[:, 1], halves[:, 0], labels))
    first = order[np.flatnonzero(np.diff(labels[order], prepend=-1))]
    names = pa.array([raw[16 * i : 16 * i + 16].hex() for i in first.tolist()], pa.string())
    return names.take(pa.array(labels))


def _bytes(chunk: pa.Array) -> bytes:
    width = chunk.type.byte_width
    return bytes(
        memoryview(chunk.buffers()[1])[chunk.offset * width : (chunk.offset + len(chunk)) * width]
    )
