"""The rows to forget, and how many documents that stay share a passage with them."""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.engine.forgotten import forgotten_texts
from pipeline.engine.query import limits, run
from pipeline.engine.stage import Work
from pipeline.engine.tables import read_table
from pipeline.filter.near_texts import near_documents
from pipeline.filter.rules.cuts import Order, order_of_rows, windows_in
from pipeline.scan.words import chunk_places
from pipeline.text.arrays import Uint64
from pipeline.text.sorting import among
from schemas.filter.documents import DOCUMENTS


def sharing_a_window(work: Work, state: pl.DataFrame, forgotten: Uint64) -> int:
    """Return how many documents that stay have a window of a forgotten one.

    Args:
        work: the unit of work of the decisions.
        state: the documents as decided, with shard and row.
        forgotten: keys of the forgotten rows, sorted, (rows,).
    """
    places = chunk_places(work.paths("words"))
    forgotten_order = Order(forgotten, np.arange(forgotten.size), 0)
    parts = [windows_in(work, forgotten_order, place)[0] for place in places]
    forgotten_windows = np.unique(np.concatenate([np.zeros(0, np.uint64), *parts]))
    order, holders = order_of_rows(state), 0
    for place in places:
        hashes, ranks, _ = windows_in(work, order, place)
        holders += np.unique(ranks[among(hashes, forgotten_windows)]).size
    return int(holders)


def forgotten_rows(work: Work) -> Uint64:
    """Return the keys of the rows that `--forget` removes, sorted, (rows,).

    They are the rows of a listed text, verified near copies of a named one among all documents, and
    rows whose keeper is forgotten.
    """
    texts = forgotten_texts(work)
    if not texts:
        return np.zeros(0, np.uint64)
    listed = pa.array(list(texts), pa.binary(16))
    documents = read_table(work.paths("documents"), DOCUMENTS, ["row_key", "text_hash"])
    named = pa.array([text for text, is_named in texts.items() if is_named], pa.binary(16))
    of_named = documents.filter(pc.is_in(documents["text_hash"], named))["row_key"].to_numpy()
    near = near_documents(work.paths("words"), np.sort(of_named), work.config, work.cores)
    found = run(
        "filter/forgotten",
        {
            "documents": work.paths("documents"),
            "listed": pa.table({"text_hash": listed}),
            "near": pa.table({"row_key": near}),
        },
        limits=limits(work),
    )
    return np.asarray(found["row_key"].to_numpy())
