"""Choose the keeper of every duplicate: the kept document that stays in place of a removed one.

A keeper is an exact copy, a verified near copy, or, where `near.containment` is set, a longer
document that holds most of the removed one. Documents are decided in the order of their rank, and a
decision is final: a document is removed only for a keeper of better rank that stays. So a document
that ranks before the text that contains it (by priority, by its source, or as the earlier one) is
kept. Without that order the keeper of another document could be removed later.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config.sections import NearConfig
from pipeline.engine.query import limits, run
from pipeline.engine.stage import Receipt, Work
from pipeline.engine.tables import ROW_GROUP, evenly, read_batches, read_table, write_table
from pipeline.errors import IntegrityError
from pipeline.filter.sources import SOURCES, require_known_sources
from pipeline.scan.components import components, smallest_hash
from pipeline.scan.shingle_sets import at_least
from pipeline.text.sorting import among
from schemas.filter.documents import DOCUMENTS
from schemas.scan.contained import CONTAINED
from schemas.scan.counts import COUNTS
from schemas.scan.pairs import PAIRS

VERSION = 2
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
BY_CONTAINMENT, BY_JACCARD = range(2)  # proofs of a removal; the better one is the larger


def documents(work: Work) -> Receipt:
    """Write the table `documents`: counts with keepers, near counts and clusters.

    A *reduce* stage. Thresholds can change without a scan: it stored all pairs above a lower one.

    Raises:
        ConfigError: When `near.sources` names a source that no document has.
        IntegrityError: When a removal is not proved by a pair.
    """
    near = work.config.near
    columns = [*RANKED_BY, *(SOURCES if near.sources else ())]
    counts = read_table(work.paths("counts"), COUNTS, columns)
    if near.sources:
        _require_sources(counts, near)
    pairs = read_table(work.paths("pairs"), PAIRS)
    contained = read_table(work.paths("contained"), CONTAINED)
    added = keepers(counts, pairs, contained, near)
    rows = counts.num_rows
    del counts, pairs, contained  # for a large corpus they take much memory
    with write_table(work.folder, "documents", work.key, DOCUMENTS) as out:
        for batch in evenly(_joined(work.paths("counts"), added), ROW_GROUP):
            out.write(batch)
    _require_proofs(work, [out.place])
    return Receipt((out.record,), rows, out.rows)


def _joined(counts: list[Path], added: pa.Table) -> Iterator[pa.RecordBatch]:
    """Yield the rows of `counts` with the columns of `added`, and the doc_id of each keeper.

    Args:
        counts: the files of the table `counts`, in order of row_key.
        added: the columns that `keepers` returns, for the same rows in the same order.

    Raises:
        IntegrityError: When the two have different rows.
    """
    keeper_keys = np.unique(added["keeper"].drop_null().to_numpy())  # (keepers,), sorted
    names = [pa.array([], pa.string())]
    for path in counts:
        for batch in read_batches(path, ["row_key", "doc_id"]):
            is_keeper = among(batch["row_key"].to_numpy(), keeper_keys)
            names.append(batch["doc_id"].filter(pa.array(is_keeper)))
    keeper_ids = pa.concat_arrays(names)
    first = 0
    for path in counts:
        for batch in read_batches(path):
            more = added.slice(first, batch.num_rows).combine_chunks().to_batches()
            first += batch.num_rows
            if not more or not more[0]["row_key"].equals(batch["row_key"]):
                raise IntegrityError("The rows of `counts` and of the keepers differ.")
            keeper = more[0]["keeper"]
            place = np.searchsorted(keeper_keys, pc.fill_null(keeper, 0).to_numpy())
            has_keeper = keeper.is_valid().to_numpy(zero_copy_only=False)
            columns = dict(zip(batch.schema.names, batch.columns, strict=True))
            columns |= dict(zip(more[0].schema.names, more[0].columns, strict=True))
            columns["keeper_doc_id"] = keeper_ids.take(pa.array(place, mask=~has_keeper))
            yield pa.record_batch([columns[name] for name in DOCUMENTS.names], DOCUMENTS.names)


def require_sources(counts: Sequence[Path], config: NearConfig) -> None:
    """Refuse a preference for a source that no document has, before anything is written.

    Raises:
        ConfigError: When `near.sources` names one.
    """
    if config.sources:
        _require_sources(read_table(counts, COUNTS, SOURCES), config)


def _require_sources(counts: pa.Table, config: NearConfig) -> None:
    frame = pl.from_arrow(counts.select(SOURCES))
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - narrows the union that from_arrow declares
    require_known_sources(frame, config.sources, "near.sources")


def _require_proofs(work: Work, documents: list[Path]) -> None:
    """Audit in SQL that every removal is proved by a row of `pairs` or `contained`.

    Raises:
        IntegrityError: When one is not.
    """
    near = work.config.near
    (top, bottom), (most, whole) = at_least(near.threshold), at_least(near.containment or 1.0)
    unproved = run(
        "filter/audits/removals_are_proved",
        {
            "documents": documents,
            "pairs": work.paths("pairs"),
            "contained": work.paths("contained"),
        },
        {"top": top, "bottom": bottom, "most": most, "whole": whole},
        limits=limits(work),
    )
    if unproved.num_rows:
        raise IntegrityError(
            "A document goes to a keeper that it is not proved against.",
            where="documents",
            found=f"{unproved.num_rows} rows",
        )


def keepers(counts: pa.Table, pairs: pa.Table, contained: pa.Table, config: NearConfig) -> pa.Table:
    """Return the columns that are added to `counts`, one row per document in its order.

    Groups of equal texts are decided greedily, in the order of `ranks`. A group is removed for the
    kept near copy of better rank with the highest Jaccard at or above the threshold, then the best
    rank; without one, for the kept text of better rank that contains the most of it; else it stays.
    So of each pair at or above the threshold at most one side is kept, and every keeper is kept.
    Within a group the row of best rank represents it.

    Args:
        counts: rows of the table `counts`, sorted by row_key.
        pairs: all rows of `pairs`.
        contained: all rows of `contained`.
        config: the thresholds, and what ranks first.
    """
    keys = counts["row_key"].to_numpy()  # (documents,)
    group = np.searchsorted(keys, counts["representative"].to_numpy())  # (documents,)
    rank = ranks(counts, config)
    best_row = _best_rows(group, rank)
    near = reaching(pairs, "union", config.threshold)
    within = reaching(
        contained if config.containment else contained[:0], "size", config.containment
    )
    goes_to, proof, scores = _greedy(_edges(keys, near, within), rank, best_row)
    del rank
    leaves = goes_to[group] >= 0  # removed for a text that is not the same
    keeper = np.where(leaves, best_row[goes_to[group]], best_row[group])
    removed = keeper != np.arange(len(keys))
    inside = leaves & (proof[group] == BY_CONTAINMENT)
    method = np.where(inside, "contained", np.where(leaves, "near", "exact"))
    score = np.where(leaves, scores[group], 1.0)
    cluster = components(
        keys, [counts.select(["row_key", "representative"]), near.select(["a", "b"])]
    )
    return pa.table(
        {
            "row_key": keys,
            "near_count": _near_counts(counts, near, group),
            "cluster": smallest_hash(cluster, counts["text_hash"]),
            "keeper": pa.array(keys[keeper], mask=~removed),
            "method": pa.array(method, pa.string(), mask=~removed),
            "jaccard": pa.array(score, mask=~removed | inside),
            "score": pa.array(score, mask=~removed),
            "measure": pa.array(
                np.where(inside, "containment", "jaccard"), pa.string(), mask=~removed
            ),
        }
    )


def reaching(pairs: pa.Table, whole: str, threshold: float) -> pa.Table:
    """Return the pairs whose shared shingles are at least `threshold` of the column `whole`.

    Shares are compared as whole numbers, so that no rounding decides.
    """
    top, bottom = at_least(threshold)
    inter, size = (pairs[name].to_numpy().astype(np.int64) for name in ("inter", whole))
    return pairs.filter(pa.array(inter * bottom >= top * size))


def ranks(counts: pa.Table, config: NearConfig) -> np.ndarray:
    """Return the rank of each row, 0 the best; the row of better rank is kept.

    Rows are ranked by the priority column, then the place of their source in `near.sources`, then
    the length of the text (unless `near.keep` is `earliest`), then shard path and row.
    """
    shards = counts["shard"].combine_chunks().dictionary_encode()
    names = pc.array_sort_indices(shards.dictionary)
    place = np.empty(len(names), np.int64)
    place[names.to_numpy()] = np.arange(len(names))
    # least significant first; rows without priority come last, as NaN does
    sort_keys = [counts["row"].to_numpy(), place[shards.indices.to_numpy()]]
    if config.keep == "longest":
        sort_keys.append(-counts["text_bytes"].to_numpy())
    if config.sources:
        sort_keys.append(_places_of_sources(counts, config.sources))
    if counts["priority"].null_count < counts.num_rows:
        sort_keys.append(-counts["priority"].to_numpy())
    order = np.lexsort(sort_keys)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return rank


def _places_of_sources(counts: pa.Table, sources: tuple[str, ...]) -> np.ndarray:
    """Return the place of each row's source in `sources`, by its value or its group.

    It is the earlier one where both are named, and past the end where neither is.
    """
    names = pa.array(sources)
    both = [pc.fill_null(pc.index_in(counts[name], names), len(sources)) for name in SOURCES]
    return np.asarray(np.minimum(*(place.to_numpy() for place in both)))


Edges = dict[int, list[tuple[int, float, int]]]  # by group: proof, score, the other group


def _edges(keys: np.ndarray, near: pa.Table, within: pa.Table) -> Edges:
    """Return, for each group with a neighbour, the groups that could be its keeper.

    A group is named by the place of its representative in `keys`. A Python loop over pairs takes
    1 us each.
    """
    edges: Edges = {}
    a, b = (np.searchsorted(keys, near[side].to_numpy()).tolist() for side in ("a", "b"))
    for left, right, score in zip(a, b, near["jaccard"].to_pylist(), strict=True):
        edges.setdefault(left, []).append((BY_JACCARD, score, right))
        edges.setdefault(right, []).append((BY_JACCARD, score, left))
    ends = (np.searchsorted(keys, within[s].to_numpy()).tolist() for s in ("document", "container"))
    for inner, outer, score in zip(*ends, within["containment"].to_pylist(), strict=True):
        edges.setdefault(inner, []).append((BY_CONTAINMENT, score, outer))
    return edges


def _best_rows(group: np.ndarray, rank: np.ndarray) -> np.ndarray:
    """Return, at the place of each group's representative, the row of best rank in the group."""
    best = np.full(len(group), len(group))
    np.minimum.at(best, group, rank)
    by_rank = np.empty(len(group), np.int64)
    by_rank[rank] = np.arange(len(group))
    return np.asarray(by_rank[np.minimum(best, len(group) - 1)])


def _greedy(
    edges: Edges, rank: np.ndarray, best_row: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the group that each group is removed for, the proof and its score; -1 if it stays.

    All three are of (documents,), at the place of each group's representative. A Python loop per
    group that has an edge takes 1 us each.
    """
    goes_to = np.full(len(best_row), -1)
    proof, scores = np.zeros(len(best_row), np.int8), np.zeros(len(best_row))
    ends = {other for neighbours in edges.values() for _, _, other in neighbours}
    groups = np.array(sorted(ends | edges.keys()), np.int64)
    ranked = groups[np.argsort(rank[best_row[groups]])].tolist()
    position = {group: place for place, group in enumerate(ranked)}
    for group in ranked:
        candidates = [
            (kind, score, -position[other], other)
            for kind, score, other in edges.get(group, ())
            if position[other] < position[group] and goes_to[other] < 0
        ]
        if candidates:
            proof[group], scores[group], _, goes_to[group] = max(candidates)
    return goes_to, proof, scores


def _near_counts(counts: pa.Table, near: pa.Table, group: np.ndarray) -> np.ndarray:
    """Return each document's exact count plus those of its verified near copies."""
    keys = counts["row_key"].to_numpy()
    size = counts["exact_count"].to_numpy()
    total = size[group].copy()
    a, b = (np.searchsorted(keys, near[side].to_numpy()) for side in ("a", "b"))
    added = np.zeros(len(keys), np.int64)
    np.add.at(added, a, size[b])
    np.add.at(added, b, size[a])
    return np.asarray(total + added[group])
