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

import numpy as np
import pyarrow as pa

from pipeline.config.sections import SketchConfig
from pipeline.engine.parts import Parts, parting
from pipeline.engine.spill import Ref, Spill
from pipeline.engine.stage import Work
from pipeline.engine.tables import evenly, read_batches
from pipeline.scan import pair_kernels
from pipeline.scan.components import components
from pipeline.scan.pair_kernels import COLLISION, Sets
from pipeline.scan.words import ChunkPlace, chunk_keys, collision, read_documents_of
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
    work: Work, places: list[ChunkPlace], a: Uint64, b: Uint64, test: Criterion
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
    ends = np.stack([np.searchsorted(keys, side) for side in (a, b)], axis=1)
    inter = np.zeros(len(a), np.int64)
    with parting(work.folder, work.memory // 6 or 2**62, work.cores) as parts:
        block = _block_of(work, keys, a, b, parts)
        maker = _SetMaker(keys, block, work.config.sketch, parts.spill)
        sizes = np.zeros(len(keys), np.int64)
        held: dict[int, list[_ChunkSets]] = {}
        for made in parts.in_order(maker.of_chunk, places):
            for part in made:
                sizes[part.documents] = part.sizes
                held.setdefault(part.block, []).append(part)
        comparison = _Comparison(
            held, len(keys), work.config.sketch.shingle_words, test, parts.spill, parts.cores
        )
        every = [*_by_blocks(block[ends])]
        works = (_Together(*one, ends, block) for one in every)
        shared = parts.one_by_one(comparison.shared, works)
        for (*_, rows), found in zip(every, shared, strict=True):
            inter[rows] = found
    if np.any(inter == COLLISION):
        raise collision(work.config.sketch.seed)
    return inter, sizes[ends[:, 0]], sizes[ends[:, 1]]


def _distinct(a: Uint64, b: Uint64) -> Uint64:
    """Return the distinct keys of two columns, ascending; sorted, which beats np.unique's table."""
    keys = np.concatenate([a, b])
    keys.sort()
    return np.asarray(keys[np.diff(keys, prepend=keys[:1] + np.uint64(1)) != 0])


def _block_of(work: Work, keys: Uint64, a: Uint64, b: Uint64, parts: Parts) -> Int64:
    """Return the block of each document, (documents,): two for each place that blocks are met in.

    Neighbours are put together, so that few pairs cross blocks.
    """
    lengths = _lengths(work, keys)
    share = work.memory // (6 * WORD_BYTES) or 2**62
    if parts.sites > 1:
        share = min(share // parts.beside, int(lengths.sum()) // (2 * parts.sites))
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
        block: its number.
        documents: place of each document among all, (documents,).
        sizes: shingles of each, (documents,).
        sets: the arrays of `Sets`.
    """

    block: int
    documents: Int64
    sizes: Int64
    sets: tuple[Ref, Ref, Ref, Ref, Ref]


@dataclass(frozen=True)
class _SetMaker:
    """Makes the shingle sets of some documents, chunk by chunk.

    Attributes:
        keys: row_key of the documents, ascending.
        block: of each document.
        sketch: how shingles are made.
        spill: where sets are put aside.
    """

    keys: Uint64  # (documents,)
    block: Int64  # (documents,)
    sketch: SketchConfig
    spill: Spill

    def of_chunk(self, place: ChunkPlace) -> list[_ChunkSets]:
        """Put aside the sets of the wanted documents of a chunk, block by block."""
        taken = np.flatnonzero(among(chunk_keys(place), self.keys))
        if not taken.size:
            return []
        chunk = read_documents_of(place, taken)
        numbers = np.searchsorted(self.keys, chunk.keys)
        made = []
        for block in np.unique(self.block[numbers]).tolist():
            members = self.block[numbers] == block
            sets = shingle_sets(text.take(chunk.words, np.flatnonzero(members)), self.sketch)
            refs = tuple(self.spill.put(values) for values in sets)
            made.append(_ChunkSets(block, numbers[members], np.diff(sets.sets), refs))  # type: ignore[arg-type]
        return made


class _Together:
    """Pairs of documents of two blocks.

    Attributes:
        blocks: the two blocks, one twice where all documents are of it.
        pairs: a document of each, (pairs, 2).
        turned: whether the pair's first document is the one of the second block, (pairs,).
    """

    def __init__(self, first: int, second: int, rows: Int64, ends: Int64, block: Int64) -> None:
        self.blocks = first, second
        self.pairs = ends[rows]
        self.turned: Flags = block[self.pairs[:, 0]] != first
        self.pairs[self.turned] = self.pairs[self.turned][:, ::-1]


class _Comparison:
    """Counts the shingles that pairs of documents share, two blocks at a time."""

    def __init__(
        self,
        parts: dict[int, list[_ChunkSets]],
        documents: int,
        shingle_words: int,
        test: Criterion,
        spill: Spill,
        cores: int,
    ) -> None:
        self._parts = parts
        self._documents = documents
        self._shingle_words = shingle_words
        self._test = test
        self._spill = spill
        self._cores = cores
        self._loaded: dict[int, tuple[Int64, Sets]] = {}

    def shared(self, together: _Together) -> Int64:
        """Return the shared shingles of each pair, (pairs,), 0 where the test fails."""
        first, second = together.blocks
        place_a, left = self._load(first, keep=together.blocks)
        place_b, right = self._load(second, keep=together.blocks)
        pairs, turned = together.pairs, together.turned
        local = np.stack([place_a[pairs[:, 0]], place_b[pairs[:, 1]]], axis=1)
        ratio = np.array(at_least(self._test.threshold), np.int64)
        inter = np.zeros(len(pairs), np.int64)
        size = self._shingle_words

        def compare(span: tuple[int, int]) -> None:
            part = slice(*span)
            if self._test.of_first:
                pair_kernels.contained(
                    local[part], turned[part], left, right, size, ratio, inter[part]
                )
            else:
                pair_kernels.intersections(local[part], left, right, size, ratio, inter[part])

        with ThreadPoolExecutor(self._cores) as threads:
            list(threads.map(compare, pairwise(range(0, len(pairs) + 1024, 1024))))
        return inter

    def _load(self, block: int, keep: tuple[int, int]) -> tuple[Int64, Sets]:
        """Return where each document stands in a block, and the sets of the block."""
        self._loaded = {held: sets for held, sets in self._loaded.items() if held in keep}
        if block not in self._loaded:
            get, parts = self._spill.get, self._parts[block]
            documents = np.concatenate([part.documents for part in parts])
            place = np.zeros(self._documents, np.int64)
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
