"""Who stays in whose place: a document goes only to a kept one, verified against it.

The kept one is a near copy, or, where `near.containment` is set, a longer document that holds most
of it. Documents are gone through by rank, and what is decided is final: a document goes only to one
of better rank that stays. So one that ranks before the text that contains it (by priority, by its
source, or as the earlier one) stays; the other way round, keepers of others would be removed.
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
from pipeline.scan.near.pairs import at_least
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
BY_CONTAINMENT, BY_JACCARD = range(2)  # proofs of what goes; the better one is the larger


def documents(work: Work) -> Receipt:
    """Reduce: add keepers, near counts and clusters, by the thresholds of the day."""
    near = work.config.near
    columns = [*RANKED_BY, *(SOURCES if near.sources else ())]
    counts = read_table(work.paths("counts"), COUNTS, columns)
    if near.sources:
        _require_sources(counts, near)
    pairs = read_table(work.paths("pairs"), PAIRS)
    contained = read_table(work.paths("contained"), CONTAINED)
    added = keepers(counts, pairs, contained, near)
    rows = counts.num_rows
    del counts, pairs, contained  # of a large corpus they are much
    with write_table(work.folder, "documents", work.key, DOCUMENTS) as out:
        for batch in evenly(_joined(work.paths("counts"), added), ROW_GROUP):
            out.write(batch)
    _require_proofs(work, [work.folder / out.record.path])
    return Receipt((out.record,), rows, out.rows)


def _joined(counts: list[Path], added: pa.Table) -> Iterator[pa.RecordBatch]:
    """Yield the rows of `counts` with those of `added`, and the names of the keepers.

    Both are in order of row_key.
    """
    wanted = np.unique(added["keeper"].drop_null().to_numpy())
    names = [pa.array([], pa.string())]
    for path in counts:
        for batch in read_batches(path, ["row_key", "doc_id"]):
            own = among(batch["row_key"].to_numpy(), wanted)
            names.append(batch["doc_id"].filter(pa.array(own)))
    named = pa.concat_arrays(names)
    at = 0
    for path in counts:
        for batch in read_batches(path):
            more = added.slice(at, batch.num_rows).combine_chunks().to_batches()
            at += batch.num_rows
            if not more or not more[0]["row_key"].equals(batch["row_key"]):
                raise IntegrityError("The rows of `counts` and of the keepers differ.")
            keeper = more[0]["keeper"]
            place = np.searchsorted(wanted, pc.fill_null(keeper, 0).to_numpy())
            gone = keeper.is_valid().to_numpy(zero_copy_only=False)
            columns = dict(zip(batch.schema.names, batch.columns, strict=True))
            columns |= dict(zip(more[0].schema.names, more[0].columns, strict=True))
            columns["keeper_doc_id"] = named.take(pa.array(place, mask=~gone))
            yield pa.record_batch([columns[name] for name in DOCUMENTS.names], DOCUMENTS.names)


def require_sources(counts: Sequence[Path], config: NearConfig) -> None:
    """Raise ConfigError for a source of `near.sources` that no document has; write nothing."""
    if config.sources:
        _require_sources(read_table(counts, COUNTS, SOURCES), config)


def _require_sources(counts: pa.Table, config: NearConfig) -> None:
    frame = pl.from_arrow(counts.select(SOURCES))
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - narrows the union that from_arrow declares
    require_known_sources(frame, config.sources, "near.sources")


def _require_proofs(work: Work, documents: list[Path]) -> None:
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
    """Return what is added to `counts`, in its order.

    In the order of `ranks`, greedily: of its neighbours of better rank that are kept, at or above
    the threshold, a group of equal texts goes to that of highest Jaccard, then of best rank;
    without one, to the kept text of better rank that contains most of it, then of best rank; else
    it stays.
    Each pair at or above the threshold then has at most one side kept, and every keeper is kept.
    Within a group the best-ranked row stands.
    """
    keys = counts["row_key"].to_numpy()
    group = np.searchsorted(keys, counts["representative"].to_numpy())
    rank = ranks(counts, config)
    face = _faces(group, rank)
    near = _reaching(pairs, "union", config.threshold)
    within = _reaching(
        contained if config.containment else contained[:0], "size", config.containment
    )
    goes_to, proof, score = _greedy(_edges(keys, near, within), rank, face)
    del rank
    keeper = np.where(goes_to[group] >= 0, face[goes_to[group]], face[group])
    removed = keeper != np.arange(len(keys))
    other = goes_to[group] >= 0
    inside = other & (proof[group] == BY_CONTAINMENT)
    method = np.where(inside, "contained", np.where(other, "near", "exact"))
    own = np.where(other, score[group], 1.0)
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
            "jaccard": pa.array(own, mask=~removed | inside),
            "score": pa.array(own, mask=~removed),
            "measure": pa.array(
                np.where(inside, "containment", "jaccard"), pa.string(), mask=~removed
            ),
        }
    )


def _reaching(pairs: pa.Table, whole: str, threshold: float) -> pa.Table:
    """Return the pairs whose shared shingles reach that share of a column, as integers."""
    top, bottom = at_least(threshold)
    inter, size = (pairs[name].to_numpy().astype(np.int64) for name in ("inter", whole))
    return pairs.filter(pa.array(inter * bottom >= top * size))


def ranks(counts: pa.Table, config: NearConfig) -> np.ndarray:
    """Return each row's rank, 0 the best.

    By priority column, place of the source in `near.sources`, longest text (unless `earliest`),
    shard path, row.
    """
    shards = counts["shard"].combine_chunks().dictionary_encode()
    names = pc.array_sort_indices(shards.dictionary)
    place = np.empty(len(names), np.int64)
    place[names.to_numpy()] = np.arange(len(names))
    # least significant first; rows without priority come last, as NaN does
    by = [counts["row"].to_numpy(), place[shards.indices.to_numpy()]]
    if config.keep == "longest":
        by.append(-counts["text_bytes"].to_numpy())
    if config.sources:
        by.append(_places_of_sources(counts, config.sources))
    if counts["priority"].null_count < counts.num_rows:
        by.append(-counts["priority"].to_numpy())
    order = np.lexsort(by)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return rank


def _places_of_sources(counts: pa.Table, sources: tuple[str, ...]) -> np.ndarray:
    """Return the place of each row's source, by its value or its group: the earlier of both."""
    names = pa.array(sources)
    both = [pc.fill_null(pc.index_in(counts[name], names), len(sources)) for name in SOURCES]
    return np.asarray(np.minimum(*(place.to_numpy() for place in both)))


Edges = dict[int, list[tuple[int, float, int]]]


def _edges(keys: np.ndarray, near: pa.Table, within: pa.Table) -> Edges:
    """Return where each group may go, by its place: proof, score, place of the other.

    A Python loop over edges: 1 us each.
    """
    found: Edges = {}
    a, b = (np.searchsorted(keys, near[side].to_numpy()).tolist() for side in ("a", "b"))
    for left, right, score in zip(a, b, near["jaccard"].to_pylist(), strict=True):
        found.setdefault(left, []).append((BY_JACCARD, score, right))
        found.setdefault(right, []).append((BY_JACCARD, score, left))
    ends = (np.searchsorted(keys, within[s].to_numpy()).tolist() for s in ("document", "container"))
    for own, longer, score in zip(*ends, within["containment"].to_pylist(), strict=True):
        found.setdefault(own, []).append((BY_CONTAINMENT, score, longer))
    return found


def _faces(group: np.ndarray, rank: np.ndarray) -> np.ndarray:
    """Return, at the place of each group's representative, the row of the group of best rank."""
    best = np.full(len(group), len(group))
    np.minimum.at(best, group, rank)
    by_rank = np.empty(len(group), np.int64)
    by_rank[rank] = np.arange(len(group))
    return np.asarray(by_rank[np.minimum(best, len(group) - 1)])


def _greedy(
    edges: Edges, rank: np.ndarray, face: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return, per representative's position, the group it goes to, the proof and its score.

    -1: it stays. face: the standing row of each group. A Python loop per group that has an edge:
    1 us each.
    """
    goes_to = np.full(len(face), -1)
    proof, scores = np.zeros(len(face), np.int8), np.zeros(len(face))
    ends = {other for found in edges.values() for _, _, other in found}
    nodes = np.array(sorted(ends | edges.keys()), np.int64)
    ranked = nodes[np.argsort(rank[face[nodes]])].tolist()
    position = {own: place for place, own in enumerate(ranked)}
    for own in ranked:
        standing = [
            (kind, score, -position[other], other)
            for kind, score, other in edges.get(own, ())
            if position[other] < position[own] and goes_to[other] < 0
        ]
        if standing:
            proof[own], scores[own], _, goes_to[own] = max(standing)
    return goes_to, proof, scores


def _near_counts(counts: pa.Table, near: pa.Table, group: np.ndarray) -> np.ndarray:
    keys = counts["row_key"].to_numpy()
    size = counts["exact_count"].to_numpy()
    total = size[group].copy()
    a, b = (np.searchsorted(keys, near[side].to_numpy()) for side in ("a", "b"))
    added = np.zeros(len(keys), np.int64)
    np.add.at(added, a, size[b])
    np.add.at(added, b, size[a])
    return np.asarray(total + added[group])
