"""Shingle sets of documents, and the shingles that pairs of documents share, proved word by word.

Shingles are matched by their 64-bit hash; those of a pair that passes its test are then compared
word by word, and no word's hash stands for two words (`pipeline.scan.vocabulary`), so no hash
decides about a removal: a collision stops the run. Documents that may be near one another are put
side by side, and sets are compared block by block, so that memory follows the budget.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.config.sections import SketchConfig
from pipeline.engine.spill import Ref, Spill, spilling
from pipeline.engine.stage import Work
from pipeline.engine.tables import evenly, read_batches
from pipeline.scan import pair_kernels
from pipeline.scan.components import components
from pipeline.scan.pair_kernels import COLLISION, Sets
from pipeline.scan.words import chunk_keys, collision, in_order, read_documents_of
from pipeline.text import segmentation as text
from pipeline.text.arrays import Flags, Int64, Uint64
from pipeline.text.segmentation import Words
from pipeline.text.sorting import among

PAIRS_AT_ONCE = 1 << 22  # at most a slab of candidates, whose documents are put side by side
SMALLEST_SLAB = 1 << 16
PAIR_BYTES = 160  # of a pair in a slab: keys, places, sizes, what is sorted
ROWS_AT_ONCE = 65_536
WORD_BYTES = 20  # of a document in a block: shingle, its place, word
SMALLEST_BLOCK = 1 << 20  # words


def at_least(threshold: float) -> tuple[int, int]:
    """Return the numerator and the denominator of a threshold as it is written.

    Thresholds can then be compared as integers. Nine decimals are kept, so that the product with a
    uint32 count fits an int64: 0.6666666666666667 means 2/3.
    """
    exact = Fraction(str(threshold)).limit_denominator(10**9)
    return exact.numerator, exact.denominator


def shingle_sets(words: Words, sketch: SketchConfig) -> Sets:
    """Return the set of distinct shingles of each document.

    Raises:
        IntegrityError: When two different shingles of one document have the same hash.
    """
    offsets, hashes = text.shingles(words, sketch.shingle_words, sketch.seed)
    ends, kept, places = pair_kernels.distinct(
        offsets, hashes, words.offsets, words.hashes, sketch.shingle_words
    )
    if ends[0] == COLLISION:
        raise collision(sketch.seed)
    return Sets(ends, kept, places, words.offsets, words.hashes)


@dataclass(frozen=True)
class Criterion:
    """The test that a pair of documents must pass.

    Attributes:
        threshold: least value that passes.
        of_first: the value is the share of the first document's shingles, not the Jaccard.
    """

    threshold: float
    of_first: bool = False


def slabs(work: Work, batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[Uint64, Uint64]]:
    """Yield the two columns of batches of candidates, as many pairs as the budget has room for."""
    room = (work.memory or 2**62) // (4 * PAIR_BYTES)
    most = min(max(room, SMALLEST_SLAB), PAIRS_AT_ONCE)
    for batch in evenly(batches, most):
        yield batch.column(0).to_numpy(), batch.column(1).to_numpy()


def shared_shingles(
    work: Work, places: list[tuple[Path, int]], a: Uint64, b: Uint64, test: Criterion
) -> tuple[Int64, Int64, Int64]:
    """Return the shared shingles of each pair of documents, 0 where it fails, and both sizes.

    All three have the shape (pairs,). Memory follows the budget: documents are taken block by
    block.

    Args:
        work: the unit of work, for settings, memory and cores.
        places: the chunks of the table `words`.
        a: row_key of the first document of each pair.
        b: row_key of the second one.
        test: what a pair must reach.

    Raises:
        IntegrityError: When two different shingles have the same hash.
    """
    keys = _distinct(a, b)
    sizes = np.zeros(len(keys), np.int64)
    inter = np.zeros(len(a), np.int64)
    ends = np.stack([np.searchsorted(keys, side) for side in (a, b)], axis=1)
    with spilling(work.folder, work.memory // 6 or 2**62) as spill:
        blocks = _Blocks(work, keys, _block_of(work, keys, a, b), spill, sizes)
        blocks.fill(places)
        for first, second, rows in _by_blocks(blocks.of[ends]):
            sides = ends[rows]
            turned = blocks.of[sides[:, 0]] != first
            sides[turned] = sides[turned][:, ::-1]
            inter[rows] = blocks.compared((first, second), sides, turned, test)
    if np.any(inter == COLLISION):
        raise collision(work.config.sketch.seed)
    return inter, sizes[ends[:, 0]], sizes[ends[:, 1]]


def _distinct(a: Uint64, b: Uint64) -> Uint64:
    """Return the distinct keys of two columns, ascending; sorted, which beats np.unique's table."""
    keys = np.concatenate([a, b])
    keys.sort()
    return np.asarray(keys[np.diff(keys, prepend=keys[:1] + np.uint64(1)) != 0])


def _block_of(work: Work, keys: Uint64, a: Uint64, b: Uint64) -> Int64:
    """Return the block of each document, (documents,).

    Neighbours are put together, so that few pairs cross blocks.
    """
    lengths = _lengths(work, keys)
    share = work.memory // (6 * WORD_BYTES) or 2**62
    most = max(SMALLEST_BLOCK, share)
    if lengths.sum() <= most:
        return np.zeros(len(keys), np.int64)
    labels = components(keys, [pa.table({"a": a, "b": b})])
    _, first = np.unique(labels, return_index=True)
    order = np.argsort(first[labels], kind="stable")
    block = np.empty(len(keys), np.int64)
    block[order] = (np.cumsum(lengths[order]) - 1) // most
    return np.unique(block, return_inverse=True)[1]


def _lengths(work: Work, keys: Uint64) -> Int64:
    """Return how many words each document has."""
    found = np.zeros(len(keys), np.int64)
    for path in work.paths("signatures"):
        for batch in read_batches(path, ["row_key", "words"]):
            row_keys = batch["row_key"].to_numpy()
            taken = among(row_keys, keys)
            found[np.searchsorted(keys, row_keys[taken])] = batch["words"].to_numpy()[taken]
    return found


def _by_blocks(blocks: Int64) -> Iterator[tuple[int, int, Int64]]:
    """Yield (first block, second block, rows) of pairs, given the blocks of both, (pairs, 2)."""
    low, high = blocks.min(axis=1), blocks.max(axis=1)
    order = np.lexsort((high, low))
    ends = np.flatnonzero(np.diff(low[order]) | np.diff(high[order])) + 1
    for rows in np.split(order, ends):
        if len(rows):
            yield int(low[rows[0]]), int(high[rows[0]]), rows


@dataclass(frozen=True)
class _ChunkSets:
    """The shingle sets of the documents of one block in one chunk, put aside.

    Attributes:
        documents: place of each document among all.
        sets: the arrays of `Sets`.
    """

    documents: Ref
    sets: tuple[Ref, Ref, Ref, Ref, Ref]


class _Blocks:
    """The shingle sets of documents, put aside block by block.

    Attributes:
        of: block of each document, (documents,).
    """

    def __init__(self, work: Work, keys: Uint64, of: Int64, spill: Spill, sizes: Int64) -> None:
        self.of = of
        self._work = work
        self._keys = keys
        self._spill = spill
        self._sizes = sizes
        self._parts: list[list[_ChunkSets]] = [[] for _ in range(int(of.max(initial=-1)) + 1)]
        self._loaded: dict[int, tuple[Int64, Sets]] = {}

    def fill(self, places: list[tuple[Path, int]]) -> None:
        """Make the sets of all documents, chunk by chunk."""
        with ThreadPoolExecutor(self._work.cores) as threads:
            for parts in in_order(threads, self._work.cores, self._made, places):
                for block, part in parts:
                    self._parts[block].append(part)

    def _made(self, place: tuple[Path, int]) -> list[tuple[int, _ChunkSets]]:
        """Return the sets of the wanted documents of a chunk, with the block of each."""
        keys = chunk_keys(place)
        taken = np.flatnonzero(among(keys, self._keys))
        if not taken.size:
            return []
        chunk = read_documents_of(place, taken)
        numbers = np.searchsorted(self._keys, chunk.keys)
        made = []
        for block in np.unique(self.of[numbers]).tolist():
            members = self.of[numbers] == block
            words = text.take(chunk.words, np.flatnonzero(members))
            sets = shingle_sets(words, self._work.config.sketch)
            self._sizes[numbers[members]] = np.diff(sets.sets)
            made.append(
                (
                    block,
                    _ChunkSets(
                        self._spill.put(numbers[members]),
                        tuple(self._spill.put(values) for values in sets),  # type: ignore[arg-type]
                    ),
                )
            )
        return made

    def compared(
        self, blocks: tuple[int, int], pairs: Int64, turned: Flags, test: Criterion
    ) -> Int64:
        """Return the shared shingles of pairs of documents of two blocks, 0 where the test fails.

        Args:
            blocks: the two blocks.
            pairs: (pairs, 2), a document of each.
            turned: (pairs,), the pair's first document is the one of the second block.
            test: what a pair must reach.
        """
        place_a, left = self._load(blocks[0], keep=blocks)
        place_b, right = self._load(blocks[1], keep=blocks)
        local = np.stack([place_a[pairs[:, 0]], place_b[pairs[:, 1]]], axis=1)
        ratio = np.array(at_least(test.threshold), np.int64)
        inter = np.zeros(len(pairs), np.int64)
        size, cores = self._work.config.sketch.shingle_words, self._work.cores

        def compare(span: tuple[int, int]) -> None:
            part = slice(*span)
            if test.of_first:
                pair_kernels.contained(
                    local[part], turned[part], left, right, size, ratio, inter[part]
                )
            else:
                pair_kernels.intersections(local[part], left, right, size, ratio, inter[part])

        with ThreadPoolExecutor(cores) as threads:
            list(threads.map(compare, pairwise(range(0, len(pairs) + 1024, 1024))))
        return inter

    def _load(self, block: int, keep: tuple[int, int]) -> tuple[Int64, Sets]:
        """Return where each document stands in a block, and the sets of the block."""
        self._loaded = {held: sets for held, sets in self._loaded.items() if held in keep}
        if block not in self._loaded:
            get, parts = self._spill.get, self._parts[block]
            documents = np.concatenate([get(part.documents) for part in parts])
            place = np.zeros(len(self._keys), np.int64)
            place[documents] = np.arange(len(documents))
            arrays = [[get(part.sets[k]) for part in parts] for k in range(5)]
            self._loaded[block] = (
                place,
                Sets(
                    _stacked(arrays[0]),
                    np.concatenate(arrays[1]),
                    np.concatenate(arrays[2]),
                    _stacked(arrays[3]),
                    np.concatenate(arrays[4]),
                ),
            )
        return self._loaded[block]


def _stacked(offsets: list[Int64]) -> Int64:
    """Return the offsets of arrays that are laid one after another."""
    lengths = [np.diff(part) for part in offsets]
    return np.concatenate([[0], np.cumsum(np.concatenate(lengths))])
