"""Choose the keeper of every duplicate: the kept document that stays in place of a removed one.

A keeper is an exact copy, a verified near copy, or, where `near.containment` is set, a longer
document that holds most of the removed one. Documents are decided in the order of their rank, and a
decision is final: a document is removed only for a keeper of better rank that stays. So a document
that ranks before the text that contains it (by priority, by its source, or as the earlier one) is
kept. Without that order the keeper of another document could be removed later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config.sections import NearConfig
from pipeline.engine.query import limits, run
from pipeline.engine.stage import Receipt, Work
from pipeline.engine.tables import (
    ROW_GROUP,
    conform,
    evenly,
    read_batches,
    read_table,
    write_table,
)
from pipeline.errors import IntegrityError
from pipeline.filter.keeper_kernels import decide
from pipeline.filter.sources import SOURCES, require_known_sources
from pipeline.scan.components import components, smallest_hash
from pipeline.scan.ranking import best_first
from pipeline.scan.shingle_sets import at_least
from pipeline.text.sorting import among
from schemas.filter.documents import DOCUMENTS
from schemas.scan.contained import CONTAINED
from schemas.scan.counts import COUNTS
from schemas.scan.pairs import PAIRS

VERSION = 4
RANKED_BY = (
    "row_key",
    "representative",
    "priority",
    "priority_rest",
    "text_bytes",
    "shard",
    "row",
    "exact_count",
    "text_hash",
)
BY_CONTAINMENT, BY_JACCARD = range(2)  # proofs of a removal; the better one is the larger
PROOF = np.dtype([("worse", "i8"), ("better", "i8"), ("kind", "i1"), ("score", "f8")])
PROOF_BYTES = 3 * PROOF.itemsize  # of a proof that is held, while they are sorted
MOST_PROOFS = 1 << 24  # held at a time where there is no budget
PROOFS = (("pairs", PAIRS), ("contained", CONTAINED))


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
    pairs, contained = (_Stored(work.paths(name), schema) for name, schema in PROOFS)
    room = work.memory // (4 * PROOF_BYTES) or MOST_PROOFS
    added = keepers(counts, pairs, contained, near, room)
    rows = counts.num_rows
    del counts  # for a large corpus it takes much memory
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


@dataclass(frozen=True)
class _Stored:
    """A table of a run folder that is read batch by batch, as often as needed.

    Attributes:
        paths: its files.
        schema: of the table.
    """

    paths: list[Path]
    schema: pa.Schema

    def __iter__(self) -> Iterator[pa.Table]:
        for path in self.paths:
            for batch in read_batches(path, self.schema.names):
                yield conform(batch, self.schema)


def keepers(
    counts: pa.Table,
    pairs: Iterable[pa.Table],
    contained: Iterable[pa.Table],
    config: NearConfig,
    room: int = MOST_PROOFS,
) -> pa.Table:
    """Return the columns that are added to `counts`, one row per document in its order.

    Groups of equal texts are decided greedily, in the order of `ranks`. A group is removed for the
    kept near copy of better rank with the highest Jaccard at or above the threshold, then the best
    rank; without one, for the kept text of better rank that contains the most of it; else it stays.
    So of each pair at or above the threshold at most one side is kept, and every keeper is kept.
    Within a group the row of best rank represents it.

    Args:
        counts: rows of the table `counts`, sorted by row_key.
        pairs: parts of the table `pairs`, gone through more than once.
        contained: parts of the table `contained`, likewise.
        config: the thresholds, and what ranks first.
        room: proofs that are held at a time, a little more if one text has more; changes no result.
    """
    keys = counts["row_key"].to_numpy()  # (documents,)
    group = np.searchsorted(keys, counts["representative"].to_numpy())  # (documents,)
    rank = ranks(counts, config)
    by_rank = np.empty(len(rank), np.int64)
    by_rank[rank] = np.arange(len(rank))
    proofs = _Proofs(keys, _best_ranks(group, rank), pairs, contained, config)
    goes_to, kinds, scores = _greedy(proofs, len(keys), room)
    own = proofs.ranked[group]  # a group is named by the rank of its best row
    leaves = goes_to[own] >= 0  # removed for a text that is not the same
    keeper = by_rank[np.where(leaves, goes_to[own], own)]
    removed = keeper != np.arange(len(keys))
    inside = leaves & (kinds[own] == BY_CONTAINMENT)
    method = np.where(inside, "contained", np.where(leaves, "near", "exact"))
    score = np.where(leaves, scores[own], 1.0)
    near_count, cluster = _neighbourhoods(counts, proofs, group)
    return pa.table(
        {
            "row_key": keys,
            "near_count": near_count,
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
    return best_first(
        (counts["priority"].to_numpy(), counts["priority_rest"].to_numpy()),
        counts["text_bytes"].to_numpy(),
        place[shards.indices.to_numpy()],
        counts["row"].to_numpy(),
        config.keep,
        _places_of_sources(counts, config.sources) if config.sources else None,
    )


def _places_of_sources(counts: pa.Table, sources: tuple[str, ...]) -> np.ndarray:
    """Return the place of each row's source in `sources`, by its value or its group.

    It is the earlier one where both are named, and past the end where neither is.
    """
    names = pa.array(sources)
    both = [pc.fill_null(pc.index_in(counts[name], names), len(sources)) for name in SOURCES]
    return np.asarray(np.minimum(*(place.to_numpy() for place in both)))


def _best_ranks(group: np.ndarray, rank: np.ndarray) -> np.ndarray:
    """Return, at the place of each group's representative, the best rank in the group."""
    best = np.full(len(group), len(group))
    np.minimum.at(best, group, rank)
    return best


@dataclass(frozen=True)
class _Proofs:
    """What may prove a removal: near copies and containments at or above their thresholds.

    Attributes:
        keys: row_key of the documents, ascending.
        ranked: best rank in each group, at the place of its representative.
        pairs: parts of the table `pairs`.
        contained: parts of the table `contained`.
        config: the thresholds.
    """

    keys: np.ndarray
    ranked: np.ndarray
    pairs: Iterable[pa.Table]
    contained: Iterable[pa.Table]
    config: NearConfig

    def near(self) -> Iterator[pa.Table]:
        """Yield the near copies."""
        for part in self.pairs:
            yield reaching(part, "union", self.config.threshold)

    def all(self) -> Iterator[np.ndarray]:
        """Yield proofs, of (proofs,): the group that may go, the other, kind, score.

        Groups are named by their ranks; that of better rank stays.
        """
        for near in self.near():
            ends = np.sort(np.stack([self._ranks(near[side]) for side in ("a", "b")]), axis=0)
            yield _proofs(ends[1], ends[0], BY_JACCARD, near["jaccard"].to_numpy())
        if self.config.containment:
            for part in self.contained:
                inside = reaching(part, "size", self.config.containment)
                inner, outer = (self._ranks(inside[side]) for side in ("document", "container"))
                found = _proofs(inner, outer, BY_CONTAINMENT, inside["containment"].to_numpy())
                yield found[outer < inner]

    def _ranks(self, keys: pa.ChunkedArray) -> np.ndarray:
        """Return the ranks of the groups of some representatives."""
        return np.asarray(self.ranked[np.searchsorted(self.keys, keys.to_numpy())])


def _proofs(worse: np.ndarray, better: np.ndarray, kind: int, score: np.ndarray) -> np.ndarray:
    """Return proofs as one array."""
    found = np.empty(len(worse), PROOF)
    found["worse"], found["better"], found["kind"], found["score"] = worse, better, kind, score
    return found


def _greedy(proofs: _Proofs, count: int, room: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the group that each group is removed for, the proof and its score; -1 if it stays.

    All three are of (documents,), by rank. Proofs are taken range by range of the ranks of those
    that may go, so that memory follows `room`.
    """
    of_rank = np.zeros(count, np.int64)
    for part in proofs.all():
        of_rank += np.bincount(part["worse"], minlength=count)
    goes_to = np.full(count, -1)
    kinds, scores = np.zeros(count, np.int8), np.zeros(count)
    kept = np.ones(count, np.int64)
    bounds = np.flatnonzero(np.diff((np.cumsum(of_rank) - of_rank) // room, prepend=-1))
    for low, high in pairwise([*bounds.tolist(), count]):
        if not of_rank[low:high].any():
            continue
        own = np.concatenate(
            [part[(part["worse"] >= low) & (part["worse"] < high)] for part in proofs.all()]
        )
        own = own[np.lexsort((own["better"], -own["score"], -own["kind"], own["worse"]))]
        taken = own[decide(own["worse"].copy(), own["better"].copy(), kept)]
        goes_to[taken["worse"]] = taken["better"]
        kinds[taken["worse"]], scores[taken["worse"]] = taken["kind"], taken["score"]
    return goes_to, kinds, scores


def _neighbourhoods(
    counts: pa.Table, proofs: _Proofs, group: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return each document's exact count with those of its near copies, and its cluster."""
    size = counts["exact_count"].to_numpy()
    total = size[group].copy()
    added = np.zeros(len(group), np.int64)

    def counted() -> Iterator[pa.Table]:
        yield counts.select(["row_key", "representative"])
        for near in proofs.near():
            a, b = (np.searchsorted(proofs.keys, near[side].to_numpy()) for side in ("a", "b"))
            np.add.at(added, a, size[b])
            np.add.at(added, b, size[a])
            yield near.select(["a", "b"])

    labels = components(proofs.keys, counted())
    return np.asarray(total + added[group]), labels
