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
from pipeline.engine.parts import Parts, in_order, parting
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
WORDS_AT_ONCE = 1 << 16  # whose sets are made on one thread


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
    found = np.zeros((3, len(a)), np.int64)
    with parting(work.folder, work.memory // 6 or 2**62, work.cores) as parts:
        block = _block_of(work, keys, a, b, parts)
        wanted = _Wanted(keys, block, parts.spill)
        held = [one for one in parts.in_order(wanted.of_chunk, places) if one]
        comparison = _Comparison(
            held, len(keys), work.config.sketch, test, parts.spill, parts.cores
        )
        every = [*_by_blocks(block[ends])]
        works = (_Together(*one, ends, block) for one in every)
        shared = parts.one_by_one(comparison.shared, works)
        for (*_, rows), counted in zip(every, shared, strict=True):
            found[:, rows] = counted
    if np.any(found[0] == COLLISION):
        raise collision(work.config.sketch.seed)
    return found[0], found[1], found[2]


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
class _ChunkWords:
    """The words of the wanted documents of one chunk, block by block, put aside.

    Attributes:
        documents: place of each document among all, (documents,).
        blocks: its block, ascending, (documents,).
        offsets: into the words, (documents + 1,).
        spelled: hash of each word.
    """

    documents: Int64
    blocks: Int64
    offsets: Int64
    spelled: Ref


@dataclass(frozen=True)
class _Wanted:
    """Finds the words of some documents, chunk by chunk.

    Attributes:
        keys: row_key of the documents, ascending.
        block: of each document.
        spill: where words are put aside.
    """

    keys: Uint64  # (documents,)
    block: Int64  # (documents,)
    spill: Spill

    def of_chunk(self, place: ChunkPlace) -> _ChunkWords | None:
        """Put aside the words of the wanted documents of a chunk; None where it has none."""
        taken = np.flatnonzero(among(chunk_keys(place), self.keys))
        if not taken.size:
            return None
        chunk = read_documents_of(place, taken)
        numbers = np.searchsorted(self.keys, chunk.keys)
        order = np.argsort(self.block[numbers], kind="stable")
        words = text.take(chunk.words, order)
        documents = numbers[order]
        spelled = self.spill.put(words.hashes)
        return _ChunkWords(documents, self.block[documents], words.offsets, spelled)


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
        chunks: list[_ChunkWords],
        documents: int,
        sketch: SketchConfig,
        test: Criterion,
        spill: Spill,
        cores: int,
    ) -> None:
        self._chunks = chunks
        self._documents = documents
        self._sketch = sketch
        self._test = test
        self._spill = spill
        self._cores = cores
        self._loaded: dict[int, tuple[Int64, Sets]] = {}

    def shared(self, together: _Together) -> Int64:
        """Return the shared shingles of each pair, 0 where the test fails, and both sizes.

        They are of (3, pairs).
        """
        first, second = together.blocks
        place_a, left = self._load(first, keep=together.blocks)
        place_b, right = self._load(second, keep=together.blocks)
        pairs, turned = together.pairs, together.turned
        local = np.stack([place_a[pairs[:, 0]], place_b[pairs[:, 1]]], axis=1)
        ratio = np.array(at_least(self._test.threshold), np.int64)
        inter = np.zeros(len(pairs), np.int64)
        size = self._sketch.shingle_words

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
        sizes = np.diff(left.sets)[local[:, 0]], np.diff(right.sets)[local[:, 1]]
        return np.stack([inter, *(np.where(turned, *way) for way in (sizes[::-1], sizes))])

    def _load(self, block: int, keep: tuple[int, int]) -> tuple[Int64, Sets]:
        """Return where each document stands in a block, and the sets of the block."""
        self._loaded = {held: sets for held, sets in self._loaded.items() if held in keep}
        if block not in self._loaded:
            documents, words = self._words(block)
            place = np.zeros(self._documents, np.int64)
            place[documents] = np.arange(len(documents))
            self._loaded[block] = place, self._sets(words)
        return self._loaded[block]

    def _words(self, block: int) -> tuple[Int64, Words]:
        """Return the documents of a block and their words."""
        documents, lengths, spelled = [], [np.zeros(1, np.int64)], []
        for chunk in self._chunks:
            low, high = np.searchsorted(chunk.blocks, [block, block + 1])
            if low < high:
                documents.append(chunk.documents[low:high])
                lengths.append(np.diff(chunk.offsets[low : high + 1]))
                span = int(chunk.offsets[low]), int(chunk.offsets[high])
                spelled.append(self._spill.get(chunk.spelled, *span))
        none = np.zeros(0, np.uint32)
        offsets = np.cumsum(np.concatenate(lengths))
        return np.concatenate(documents), Words(offsets, np.concatenate(spelled), none, none)

    def _sets(self, words: Words) -> Sets:
        """Return the shingle sets of some documents, made run by run on threads."""
        count, total = len(words.offsets) - 1, int(words.offsets[-1])
        runs = np.searchsorted(words.offsets, np.arange(0, total, WORDS_AT_ONCE))
        bounds = np.unique(np.concatenate([[0], runs, [count]]))
        ends = np.zeros(count + 1, np.int64)
        hashes, places = np.empty(total, np.uint64), np.empty(total, np.uint32)

        def made(span: tuple[int, int]) -> Sets:
            return shingle_sets(text.take(words, np.arange(*span)), self._sketch)

        with ThreadPoolExecutor(self._cores) as threads:
            spans = [*pairwise(bounds.tolist())]
            every = in_order(threads, self._cores, made, spans)
            for (low, high), own in zip(spans, every, strict=True):
                first, last = ends[low], ends[low] + own.sets[-1]
                ends[low + 1 : high + 1] = first + own.sets[1:]
                hashes[first:last], places[first:last] = own.hashes, own.places
        return Sets(ends, hashes[: ends[-1]], places[: ends[-1]], words.offsets, words.hashes)
