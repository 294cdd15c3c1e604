"""Who stays in whose place: a document goes only to a kept neighbour, verified against it."""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa

from pipeline.candidates import limits
from pipeline.config import NearConfig
from pipeline.families import components, smallest_hash
from pipeline.pairs import at_least
from pipeline.query import stream
from pipeline.stage import Receipt, Work
from pipeline.store import read_table, write_table
from schemas.counts import COUNTS
from schemas.documents import DOCUMENTS, KEEPERS
from schemas.pairs import PAIRS

VERSION = 1
RANKED_BY = (
    "row_key",
    "representative",
    "priority",
    "text_bytes",
    "shard",
    "row",
    "exact_count",
    "text_hash",
)


def documents(work: Work) -> Receipt:
    """Reduce: add keepers, near counts and clusters, by the thresholds of the day."""
    counts = read_table(work.paths("counts"), COUNTS, RANKED_BY)
    pairs = read_table(work.paths("pairs"), PAIRS)
    with write_table(work.folder, "keepers", work.key, KEEPERS) as kept:
        kept.write(keepers(counts, pairs, work.config.near))
    inputs = {"counts": work.paths("counts"), "keepers": [work.folder / kept.record.path]}
    with write_table(work.folder, "documents", work.key, DOCUMENTS) as out:
        for batch in stream("documents", inputs, limits=limits(work)):
            out.write(batch)
    return Receipt((kept.record, out.record), counts.num_rows, out.rows)


def keepers(counts: pa.Table, pairs: pa.Table, config: NearConfig) -> pa.Table:
    """Return the rows of `keepers`.

    In the order of `ranks`, greedily over pairs at or above the threshold: of its neighbours of
    better rank that are kept, a group of equal texts goes to that of highest Jaccard, then of best
    rank; without one it stays itself. Each pair at or above the threshold then has at most one side
    kept, and every keeper is kept. Within a group the best-ranked row stands.
    """
    keys = counts["row_key"].to_numpy()
    group = np.searchsorted(keys, counts["representative"].to_numpy())
    order = np.argsort(ranks(counts, config))
    _, first = np.unique(group[order], return_index=True)
    face = np.full(len(keys), -1)
    face[group[order][first]] = order[first]
    top, bottom = at_least(config.threshold)
    near = pairs.filter(
        pa.array(
            pairs["inter"].to_numpy().astype(np.int64) * bottom
            >= top * pairs["union"].to_numpy().astype(np.int64)
        )
    )
    goes_to, jaccard = _greedy(keys, near, order[np.isin(order, face[face >= 0])], group)
    keeper = np.where(goes_to[group] >= 0, face[goes_to[group]], face[group])
    removed = keeper != np.arange(len(keys))
    as_near = goes_to[group] >= 0
    cluster = components(
        keys, [counts.select(["row_key", "representative"]), near.select(["a", "b"])]
    )
    return pa.table(
        {
            "row_key": keys,
            "near_count": _near_counts(counts, near, group),
            "cluster": smallest_hash(cluster, counts["text_hash"]),
            "keeper": pa.array(keys[keeper], mask=~removed),
            "method": pa.array(np.where(as_near, "near", "exact"), pa.string(), mask=~removed),
            "jaccard": pa.array(np.where(as_near, jaccard[group], 1.0), mask=~removed),
        }
    )


def ranks(counts: pa.Table, config: NearConfig) -> np.ndarray:
    """Return each row's rank, 0 the best.

    By priority column, longest text (unless `earliest`), shard path, row.
    """
    longest = [pl.col("text_bytes") * (-1 if config.keep == "longest" else 0)]
    frame = pl.from_arrow(counts.select(["priority", "text_bytes", "shard", "row"]))
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - narrows the union that from_arrow declares
    order = (
        frame.with_row_index("at")
        .sort(
            [-pl.col("priority"), *longest, "shard", "row"], nulls_last=True, maintain_order=True
        )["at"]
        .to_numpy()
    )
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    return place


def _greedy(
    keys: np.ndarray, near: pa.Table, faces: np.ndarray, group: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return, per representative's position, the group it goes to and the Jaccard with it.

    -1: it stays. faces: the standing row of each group, best rank first. A
    Python loop per group that has a neighbour: 1 us each.
    """
    goes_to = np.full(len(keys), -1)
    jaccard = np.zeros(len(keys))
    neighbours: dict[int, list[tuple[float, int]]] = {}
    a, b = (np.searchsorted(keys, near[side].to_numpy()).tolist() for side in ("a", "b"))
    for left, right, similarity in zip(a, b, near["jaccard"].to_pylist(), strict=True):
        neighbours.setdefault(left, []).append((similarity, right))
        neighbours.setdefault(right, []).append((similarity, left))
    position = {int(group[face]): place for place, face in enumerate(faces.tolist())}
    for own in (int(group[face]) for face in faces.tolist()):
        standing = [
            (similarity, -position[other], other)
            for similarity, other in neighbours.get(own, ())
            if position[other] < position[own] and goes_to[other] < 0
        ]
        if standing:
            jaccard[own], _, goes_to[own] = max(standing)
    return goes_to, jaccard


def _near_counts(counts: pa.Table, near: pa.Table, group: np.ndarray) -> np.ndarray:
    keys = counts["row_key"].to_numpy()
    size = counts["exact_count"].to_numpy()
    total = size[group].copy()
    a, b = (np.searchsorted(keys, near[side].to_numpy()) for side in ("a", "b"))
    added = np.zeros(len(keys), np.int64)
    np.add.at(added, a, size[b])
    np.add.at(added, b, size[a])
    return np.asarray(total + added[group])
