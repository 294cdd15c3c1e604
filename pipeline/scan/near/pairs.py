"""The table `pairs`: every candidate pair that is near enough, with its exact Jaccard.

The shared shingles are counted from the table `words` (`pipeline.scan.shingle_sets`), so that no
text is read again. What was compared before and is of the same texts is not compared again: the
last `pairs` has the numbers, and the table `refuted` the candidates that were not near enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.engine.former import FormerRows, is_same
from pipeline.engine.parts import parting
from pipeline.engine.progress import current
from pipeline.engine.stage import Receipt, Work
from pipeline.engine.tables import (
    ROW_GROUP,
    EvenWriter,
    count_rows,
    evenly,
    read_batches,
    write_table,
)
from pipeline.scan import pair_kernels
from pipeline.scan.shingle_sets import ROWS_AT_ONCE, Criterion, shared_shingles, slabs
from pipeline.scan.vocabulary import hold_new_words, hold_words
from pipeline.scan.words import ChunkPlace, chunk_places
from pipeline.text.arrays import Flags, Int64, Uint64
from pipeline.text.sorting import among
from schemas.scan.pairs import PAIRS
from schemas.scan.refuted import REFUTED

VERSION = 4


def pairs(work: Work) -> Receipt:
    """Write `pairs` and `refuted`: which candidates are at or above `near.count_threshold`.

    A *reduce* stage.
    """
    places = chunk_places(work.paths("words"))
    tried = count_rows(work.paths("candidates"))
    with (
        write_table(work.folder, "pairs", work.key, PAIRS) as out,
        write_table(work.folder, "refuted", work.key, REFUTED) as refuted,
    ):
        others = EvenWriter(refuted)
        for batch in evenly(_found(work, places, others), ROW_GROUP):
            out.write(batch)
        others.finish()
    if out.rows:
        _hold_words(work, places)
    facts = {"candidates": tried, "pairs": out.rows}
    return Receipt((out.record, refuted.record), tried, out.rows, facts)


def _hold_words(work: Work, places: list[ChunkPlace]) -> None:
    """Show that no hash stands for two words; what was shown before is not shown again."""
    seed = work.config.sketch.seed
    held = work.former is not None and count_rows([work.former_path("pairs")]) > 0
    known = [place for place in places if held and is_same(work, f"sketch/{place[0].stem}")]
    shown = {*known}
    new = [place for place in places if place not in shown]
    with parting(work.folder, work.memory // 3 or 2**62, work.cores) as parts:
        if held:
            hold_new_words(new, known, seed, parts)
        else:
            hold_words(places, seed, parts)


@dataclass(frozen=True)
class _Verdicts:
    """What is known of some pairs of documents.

    Attributes:
        inter: shingles that they share; 0 where the pair is not near enough.
        size_a: shingles of the first; only where the pair is near enough.
        size_b: shingles of the second, likewise.
    """

    inter: Int64  # (pairs,)
    size_a: Int64  # (pairs,)
    size_b: Int64  # (pairs,)


def _found(work: Work, places: list[ChunkPlace], refuted: EvenWriter) -> Iterator[pa.RecordBatch]:
    """Yield the rows of `pairs` in order, and write the other candidates.

    Candidates are gone through twice, side by side: those of which nothing is known are compared a
    slab ahead, so that a slab is full of these alone.
    """
    tried, known, compared = 0, _known(work), _Compared(_slabs(work, places))
    for a, b in _candidates(work):
        told, verdicts = known.of(a, b) if known else _nothing(len(a))
        left = np.flatnonzero(~told)
        counted = compared.next(left.size)
        verdicts.inter[left], verdicts.size_a[left], verdicts.size_b[left] = counted
        near = verdicts.inter > 0
        yield from _rows(a, b, verdicts, np.flatnonzero(near))
        refuted.write(pa.record_batch({"a": a[~near], "b": b[~near]}))
        tried += len(a)
        current().advance(tried, 0, "pairs verified")


def _candidates(work: Work) -> Iterator[tuple[Uint64, Uint64]]:
    """Yield the two columns of the candidates, batch by batch."""
    for path in work.paths("candidates"):
        for batch in read_batches(path, ["a", "b"]):
            yield batch["a"].to_numpy(), batch["b"].to_numpy()


def _slabs(work: Work, places: list[ChunkPlace]) -> Iterator[Int64]:
    """Yield the shared shingles of the candidates of which nothing is known, and both sizes.

    Each is of (3, pairs), in order.
    """
    test = Criterion(work.config.near.count_threshold)
    for a, b in slabs(work, _left(work)):
        yield np.stack(shared_shingles(work, places, a, b, test))


def _left(work: Work) -> Iterator[pa.RecordBatch]:
    """Yield the candidates of which nothing is known."""
    known = _known(work)
    for a, b in _candidates(work):
        left = ~known.of(a, b)[0] if known else np.ones(len(a), np.bool_)
        yield pa.record_batch({"a": a[left], "b": b[left]})


class _Compared:
    """What was counted of pairs, taken so many at a time."""

    def __init__(self, slabs: Iterator[Int64]) -> None:
        self._slabs = slabs
        self._held = np.zeros((3, 0), np.int64)

    def next(self, count: int) -> Int64:
        """Return the next so many, (3, count)."""
        while self._held.shape[1] < count:
            self._held = np.concatenate([self._held, next(self._slabs)], axis=1)
        found, self._held = self._held[:, :count], self._held[:, count:]
        return found


def _nothing(count: int) -> tuple[Flags, _Verdicts]:
    """Return that nothing is known of some pairs."""
    numbers = np.zeros((3, count), np.int64)
    return np.zeros(count, np.bool_), _Verdicts(*numbers)


def _known(work: Work) -> _Known | None:
    """Return what the last output says; None without one."""
    return _Known(work) if work.former else None


class _Known:
    """What the last output says of pairs whose documents are in groups that are what they were."""

    def __init__(self, work: Work) -> None:
        self._near = FormerRows(work.former_path("pairs"), PAIRS)
        self._refuted = FormerRows(work.former_path("refuted"), REFUTED)
        same = [
            batch["row_key"].to_numpy()
            for path in work.paths("signatures")
            if is_same(work, f"sketch/{path.stem}")
            for batch in read_batches(path, ["row_key"])
        ]
        self._same = np.concatenate([np.zeros(0, np.uint64), *same])

    def of(self, a: Uint64, b: Uint64) -> tuple[Flags, _Verdicts]:
        """Return of which pairs the verdict is known, and the verdicts.

        Args:
            a: row_key of the first document of each pair, ascending over all calls.
            b: row_key of the second one, ascending for one first document.
        """
        same = among(a, self._same) & among(b, self._same)
        verdicts = _nothing(len(a))[1]
        rows, places = self._among(self._near, a, b)
        own = same & (places >= 0)
        verdicts.inter[own] = rows["inter"].to_numpy()[places[own]]
        verdicts.size_a[own] = rows["size_a"].to_numpy()[places[own]]
        verdicts.size_b[own] = rows["size_b"].to_numpy()[places[own]]
        refuted = same & (self._among(self._refuted, a, b)[1] >= 0)
        return own | refuted, verdicts

    def _among(self, former: FormerRows, a: Uint64, b: Uint64) -> tuple[pa.Table, Int64]:
        """Return some former rows, and the place of each pair among them, -1 where it is not."""
        rows = former.between(int(a[0]), int(a[-1]))
        ends = rows["a"].to_numpy(), rows["b"].to_numpy()
        return rows, np.asarray(pair_kernels.places_of(a, b, *ends))


def _rows(a: Uint64, b: Uint64, verdicts: _Verdicts, near: Int64) -> Iterator[pa.RecordBatch]:
    """Yield the rows of `pairs` of those that are near enough, in their order."""
    inter, size_a, size_b = verdicts.inter, verdicts.size_a, verdicts.size_b
    union = size_a + size_b - inter
    for low in range(0, len(near), ROWS_AT_ONCE):
        rows = near[low : low + ROWS_AT_ONCE]
        yield pa.record_batch(
            {
                "a": a[rows],
                "b": b[rows],
                "inter": inter[rows].astype(np.uint32),
                "union": union[rows].astype(np.uint32),
                "size_a": size_a[rows].astype(np.uint32),
                "size_b": size_b[rows].astype(np.uint32),
                "jaccard": inter[rows] / union[rows],
            }
        )
