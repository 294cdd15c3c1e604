"""Choose the keeper of every duplicate: the kept document that stays in place of a removed one.

A keeper is an exact copy, a verified near copy, or, where `near.containment` is set, a longer
document that holds most of the removed one. Documents are decided in the order of their rank, and a
decision is final: a document is removed only for a keeper of better rank that stays. So a document
that ranks before the text that contains it (by priority, by its source, or as the earlier one) is
kept. Without that order the keeper of another document could be removed later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config.sections import NearConfig
from pipeline.engine.group_digests import GROUPS, group_digests
from pipeline.engine.query import limits, run
from pipeline.engine.spill import Ref, Spill, spilling
from pipeline.engine.stage import Receipt, Work
from pipeline.engine.tables import (
    ROW_GROUP,
    ROWS_OF_SHARDS,
    Row,
    TableWriter,
    conform,
    evenly,
    read_batches,
    read_table,
    write_table,
)
from pipeline.errors import IntegrityError
from pipeline.filter.former import STAYED, with_stayed
from pipeline.filter.keeper_kernels import decide
from pipeline.filter.kept_out import apart
from pipeline.filter.proofs import BY_CONTAINMENT, PROOF, PROOF_BYTES, Proofs, Signs
from pipeline.filter.sources import SOURCES, require_known_sources
from pipeline.scan.components import components, smallest_hash
from pipeline.scan.ranking import best_first
from pipeline.scan.shingle_sets import at_least
from pipeline.text.arrays import Uint64
from pipeline.text.sorting import among
from schemas.filter.documents import DOCUMENTS
from schemas.filter.emitted import OF_DOCUMENTS
from schemas.scan.contained import CONTAINED
from schemas.scan.counts import COUNTS
from schemas.scan.pairs import PAIRS

VERSION = 7
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
COMPARED_BY = ("words", "symbols", "split")
MOST_PROOFS = 1 << 24  # held at a time where there is no budget
METHODS = pa.array(["exact", "near", "contained"])  # 36 bytes a row in NumPy
MEASURES = pa.array(["jaccard", "jaccard", "containment"])
PROOFS = (("pairs", PAIRS), ("contained", CONTAINED))


def documents(work: Work) -> Receipt:
    """Write the table `documents`: counts with keepers, near counts and clusters.

    A *reduce* stage. Thresholds can change without a scan: it stored all pairs above a lower one.

    Raises:
        ConfigError: When `near.sources` names a source that no document has.
        IntegrityError: When a removal is not proved by a pair.
    """
    near = work.config.near
    columns = [*RANKED_BY, *COMPARED_BY, *(SOURCES if near.sources else ())]
    counts = with_stayed(
        work, read_table(work.paths("counts"), COUNTS, list(dict.fromkeys(columns)))
    )
    if near.sources:
        _require_sources(counts, near)
    pairs, contained = (_Stored(work.paths(name), schema) for name, schema in PROOFS)
    room = work.memory // (4 * PROOF_BYTES) or MOST_PROOFS
    with spilling(work.folder, work.memory // 8 or 2**62) as spill:
        added = keepers(counts, pairs, contained, near, Room(room, spill), apart(work))
    rows, otherwise = counts.num_rows, None
    if STAYED in counts.column_names:
        plain = counts.drop_columns([STAYED])
        with spilling(work.folder, work.memory // 8 or 2**62) as spill:
            best = keepers(plain, pairs, contained, near, Room(room, spill), apart(work))
        otherwise = int(
            pc.sum(pc.xor(*(pc.is_null(one["keeper"]) for one in (added, best)))).as_py() or 0
        )
        del plain, best
    del counts  # for a large corpus it takes much memory
    with write_table(work.folder, "documents", work.key, DOCUMENTS, group=ROWS_OF_SHARDS) as out:
        written = _written(out, evenly(_joined(work.paths("counts"), added), ROW_GROUP))
        groups = group_digests(work.shards, written)
    _require_proofs(work, [out.place])
    spared = int(added["spared"].to_numpy().sum())
    facts = {
        "spared_for_symbols": spared,
        "leakage": _leakage(work, [out.place]),
        GROUPS: groups,
        **({} if otherwise is None else {"stable_otherwise": otherwise}),
    }
    return Receipt((out.record,), rows, out.rows, facts)


def _written(out: TableWriter, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Write batches, and yield of each what is read to write a row of a shard."""
    for batch in batches:
        out.write(batch)
        yield batch.select(OF_DOCUMENTS)


def _leakage(work: Work, documents: list[Path]) -> list[Row]:
    """Return how many documents of each split have a copy in each other one."""
    top, bottom = at_least(work.config.near.threshold)
    found = run(
        "filter/leakage",
        {"documents": documents, "pairs": work.paths("pairs")},
        {"top": top, "bottom": bottom},
        limits=limits(work),
    )
    return list(found.to_pylist())


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
        {"top": top, "bottom": bottom, "most": most, "whole": whole, "across": near.across_splits},
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


@dataclass(frozen=True)
class Room:
    """Where proofs are while the documents are decided; changes no result.

    Attributes:
        proofs: so many are sorted at a time, a little more if one text has more.
        spill: where all of them are put aside.
    """

    proofs: int = MOST_PROOFS
    spill: Spill = field(default_factory=lambda: Spill(Path(), 2**62))  # in memory


def keepers(
    counts: pa.Table,
    pairs: Iterable[pa.Table],
    contained: Iterable[pa.Table],
    config: NearConfig,
    room: Room | None = None,
    going: Uint64 | None = None,
) -> pa.Table:
    """Return the columns that are added to `counts`, one row per document in its order.

    And `spared`: whether it stays beside a near copy of better rank that has other symbols.

    Groups of equal texts are decided greedily, in the order of `ranks`. A group is removed for the
    kept near copy of better rank with the highest Jaccard at or above the threshold, then the best
    rank; without one, for the kept text of better rank that contains the most of it; else it stays.
    So of each pair at or above the threshold at most one side is kept, and every keeper is kept.
    Within a group the row of best rank represents it. Rows of different splits never stand for one
    another, unless `near.across_splits` is set: a group has a part in each split, and each part is
    decided as a group.

    Args:
        counts: rows of the table `counts`, sorted by row_key.
        pairs: parts of the table `pairs`, gone through more than once.
        contained: parts of the table `contained`, likewise.
        config: the thresholds, and what ranks first.
        room: where proofs are meanwhile; in memory by default.
        going: keys of rows that go anyhow, sorted; they are decided among themselves.
    """
    keys = counts["row_key"].to_numpy()  # (documents,)
    group = np.searchsorted(keys, counts["representative"].to_numpy())  # (documents,)
    rank = ranks(counts, config)
    by_rank = np.empty(len(rank), np.int64)
    by_rank[rank] = np.arange(len(rank))
    split = _splits(counts, config)
    if going is not None and going.size:
        split = 2 * split + among(keys, going)
    ranked = [_best_ranks(group, rank, split == one) for one in range(split.max(initial=0) + 1)]
    signs = Signs.of(counts, config.symbol_words)
    proofs = Proofs(keys, np.stack(ranked), pairs, contained, config, signs)
    goes_to, kinds, scores = _greedy(proofs, len(keys), room or Room())
    own = proofs.ranked[split, group]  # a part of a group is named by the rank of its best row
    leaves = goes_to[own] >= 0  # removed for a text that is not the same
    keeper = by_rank[np.where(leaves, goes_to[own], own)]
    removed = keeper != np.arange(len(keys))
    inside = leaves & (kinds[own] == BY_CONTAINMENT)
    way = np.where(inside, 2, leaves).astype(np.int8)
    score = np.where(leaves, scores[own], 1.0)
    near_count, cluster = _neighbourhoods(counts, proofs, group)
    spared = proofs.differing(len(keys))[rank] & ~removed
    return pa.table(
        {
            "row_key": keys,
            "near_count": near_count,
            "cluster": smallest_hash(cluster, counts["text_hash"]),
            "keeper": pa.array(keys[keeper], mask=~removed),
            "method": METHODS.take(pa.array(way, mask=~removed)),
            "jaccard": pa.array(score, mask=~removed | inside),
            "score": pa.array(score, mask=~removed),
            "measure": MEASURES.take(pa.array(way, mask=~removed)),
            "spared": spared,
        }
    )


def ranks(counts: pa.Table, config: NearConfig) -> np.ndarray:
    """Return the rank of each row, 0 the best; the row of better rank is kept.

    Rows that stayed before (`near.keepers`) are the best, where the column STAYED tells them. Rows
    are ranked by the priority column, then the place of their source in `near.sources`, then
    the length of the text (unless `near.keep` is `earliest`), then shard path and row.
    """
    shards = counts["shard"].combine_chunks().dictionary_encode()
    names = pc.array_sort_indices(shards.dictionary)
    place = np.empty(len(names), np.int64)
    place[names.to_numpy()] = np.arange(len(names))
    rank = best_first(
        (counts["priority"].to_numpy(), counts["priority_rest"].to_numpy()),
        counts["text_bytes"].to_numpy(),
        place[shards.indices.to_numpy()],
        counts["row"].to_numpy(),
        config.keep,
        _places_of_sources(counts, config.sources) if config.sources else None,
    )
    if STAYED not in counts.column_names:
        return rank
    order = np.lexsort((rank, ~counts[STAYED].to_numpy()))
    rank[order] = np.arange(len(order))
    return rank


def _splits(counts: pa.Table, config: NearConfig) -> np.ndarray:
    """Return a number for the split of each row; all are 0 where copies go across splits."""
    if config.across_splits:
        return np.zeros(counts.num_rows, np.int64)
    names = counts["split"].combine_chunks().dictionary_encode("encode")
    return np.asarray(names.indices.to_numpy(), np.int64)


def _places_of_sources(counts: pa.Table, sources: tuple[str, ...]) -> np.ndarray:
    """Return the place of each row's source in `sources`, by its value, its group or its split.

    It is the earliest where several are named, and past the end where none is.
    """
    names = pa.array(sources)
    both = [pc.fill_null(pc.index_in(counts[name], names), len(sources)) for name in SOURCES]
    return np.asarray(np.minimum.reduce([place.to_numpy() for place in both]))


def _best_ranks(group: np.ndarray, rank: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Return, at the place of each group's representative, the best rank of its chosen rows.

    It is past the last rank where a group has none of them.
    """
    best = np.full(len(group), len(group))
    np.minimum.at(best, group[chosen], rank[chosen])
    return best


def _greedy(proofs: Proofs, count: int, room: Room) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the group that each group is removed for, the proof and its score; -1 if it stays.

    All three are of (documents,), by rank. Proofs are taken range by range of the ranks of those
    that may go, so that memory follows `room`.
    """
    of_rank, held = np.zeros(count, np.int64), []
    for part in proofs.all():
        np.add.at(of_rank, part["worse"], 1)
        held.append(room.spill.put(part))
    goes_to = np.full(count, -1)
    kinds, scores = np.zeros(count, np.int8), np.zeros(count)
    kept = np.ones(count, np.int64)
    first = np.flatnonzero(np.diff((np.cumsum(of_rank) - of_rank) // room.proofs, prepend=-1))
    for refs in _by_range(held, first, room):
        own = np.concatenate([np.zeros(0, PROOF), *(room.spill.get(ref) for ref in refs)])
        own = own[np.lexsort((own["better"], -own["score"], -own["kind"], own["worse"]))]
        taken = own[decide(own["worse"].copy(), own["better"].copy(), kept)]
        goes_to[taken["worse"]] = taken["better"]
        kinds[taken["worse"]], scores[taken["worse"]] = taken["kind"], taken["score"]
    return goes_to, kinds, scores


def _by_range(held: list[Ref], first: np.ndarray, room: Room) -> list[list[Ref]]:
    """Return what was put aside by ranges of the ranks of those that may go.

    Each proof is read once and put aside once more, however many ranges there are.

    Args:
        held: parts of all proofs; nothing is left in it where there are several ranges.
        first: the first rank of each range.
        room: so many proofs are taken apart at a time.
    """
    if len(first) < 2:
        return [held]
    found: list[list[Ref]] = [[] for _ in first]
    held.reverse()
    while held:
        parts: list[np.ndarray] = []
        while held and sum(map(len, parts)) < room.proofs:
            ref = held.pop()
            parts.append(room.spill.get(ref))
            room.spill.drop(ref)
        own = np.concatenate(parts)
        ranges = np.searchsorted(first, own["worse"], "right") - 1
        own = own[np.argsort(ranges, kind="stable")]
        ends = np.cumsum(np.bincount(ranges, minlength=len(first))).tolist()
        for number, (low, high) in enumerate(pairwise([0, *ends])):
            if low < high:
                found[number].append(room.spill.put(own[low:high].copy()))
    return found


def _neighbourhoods(
    counts: pa.Table, proofs: Proofs, group: np.ndarray
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
