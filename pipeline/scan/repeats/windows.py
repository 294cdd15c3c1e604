"""The tables `windows`, `spans`, `repeats` and `links`: runs of words that occur more than once.

Two passes over the table `words`, whatever the memory. A window's anchor is the least hash of the
runs of 30 words in it (winnowing: Schleimer, Wilkerson and Aiken 2003), so that equal windows have
equal anchors, and there is one anchor for some 11 windows of 50 words. The first pass marks every
anchor in a two-bit table (seen once, seen twice), the second takes the windows whose anchor was
seen twice. Those are grouped by their hash, counted exactly in parts that fit a cache, and the
counts carried back to text order, where spans are cut. When the table is larger than the memory
given, the first pass puts the anchors aside by range of hashes, and the table is filled for one
range at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import pyarrow as pa

from pipeline.engine.progress import current
from pipeline.engine.spill import Ref, Spill, spilling
from pipeline.engine.stage import Receipt, Work
from pipeline.engine.tables import ROW_GROUP, TableWriter, evenly, read_batches, write_table
from pipeline.scan.repeats import window_kernels
from pipeline.scan.repeats.spans import cut_spans
from pipeline.scan.words import ChunkPlace, chunk_places, in_order, read_chunk
from pipeline.text import segmentation as text
from pipeline.text.arrays import Int64, Uint8, Uint32, Uint64
from pipeline.text.sorting import group
from schemas.scan.links import LINKS
from schemas.scan.spans import REPEATS, SPANS
from schemas.scan.windows import WINDOWS

VERSION = 2
CELLS_PER_ANCHOR = 8
CELLS_PER_BYTE = 4
SMALLEST_TABLE_BITS = 16
ROOM = 6  # one part in so many of the memory is for the two-bit table, and at most as much for bits
PART = 1 << 17  # windows counted at once
MOST_PART_BITS = 12
BLOCK_BYTES = 256  # of memory for a window of a block of chunks, whose counts come back at once
SMALLEST_BLOCK = 1 << 18  # windows
BLOCKS = 128  # when there is memory for so few


@dataclass(frozen=True)
class Chosen:
    """The windows of one chunk that may repeat, in text order.

    Attributes:
        place: of the chunk.
        hashes: of each window.
        documents: its document in the chunk.
        words: its first word in the document.
        first: number of the chunk's first document in the corpus.
    """

    place: ChunkPlace
    hashes: Ref
    documents: Ref
    words: Ref
    first: int


@dataclass(frozen=True)
class Grouped:
    """The windows of some chunks that may repeat, grouped by the top bits of their hash.

    Attributes:
        hashes: of each window.
        documents: its document in the corpus.
        bounds: cuts the windows into parts.
    """

    hashes: Ref
    documents: Ref
    bounds: Int64  # (parts + 1,)


@dataclass(frozen=True)
class GroupCounts:
    """The counts of the windows of one part, in the order of `Grouped`.

    Attributes:
        occurrences: times that each window occurs.
        documents: documents that hold it.
        bounds: cuts the windows into blocks of chunks.
    """

    occurrences: Ref
    documents: Ref
    bounds: Int64  # (blocks + 1,)


def windows(work: Work) -> Receipt:
    """Write `windows`, `spans`, `repeats` and `links`: every window that occurs more than once.

    A *reduce* stage. Counts are exact up to collisions of 64-bit hashes.
    """
    keys, total = _documents(work)
    places = chunk_places(work.paths("words"))
    with (
        spilling(work.folder, work.memory // 4) as spill,
        ThreadPoolExecutor(work.cores) as threads,
        write_table(work.folder, "windows", work.key, WINDOWS) as out,
        write_table(work.folder, "spans", work.key, SPANS) as spans,
        write_table(work.folder, "repeats", work.key, REPEATS) as repeats,
        write_table(work.folder, "links", work.key, LINKS) as links,
    ):
        job = _WindowPass(work, places, spill, threads)
        chosen = job.choose(total)
        size = sum(chunk.hashes.size for chunk in chosen)
        bits = min(_bits_for(size, PART), MOST_PART_BITS)
        most = work.memory // (BLOCK_BYTES * work.cores) or size
        blocks = _blocks(chosen, max(SMALLEST_BLOCK, min(size // BLOCKS, most)))
        parents = np.arange(len(keys), dtype=np.uint32)
        counted = job.counted(job.grouped(blocks, bits), bits, parents, out)
        for one, other in job.cut(blocks, counted, bits):
            spans.write(one)
            repeats.write(other)
        links.write(_links(keys, parents))
    return Receipt(
        (out.record, spans.record, repeats.record, links.record),
        total,
        out.rows,
        {
            "windows": total,
            "repeated": out.rows,
            "expected_wrong_counts": float(f"{total**2 / 2.0**65:.3g}"),
        },
    )


def _documents(work: Work) -> tuple[Uint64, int]:
    """Return the row_key of every document, and how many windows all have."""
    keys, total, size = [np.zeros(0, np.uint64)], 0, work.config.window.words
    for path in work.paths("signatures"):
        for batch in read_batches(path, ["row_key", "words"]):
            keys.append(batch["row_key"].to_numpy())
            total += int(np.maximum(0, batch["words"].to_numpy() - size + 1).sum())
    return np.concatenate(keys), total


def _bits_for(count: int, at_once: int) -> int:
    """Return the bits that cut `count` things into parts of at most about `at_once`."""
    return max(0, int(np.ceil(np.log2(max(1, count / at_once)))))


def _blocks(chosen: list[Chosen], size: int) -> list[list[Chosen]]:
    """Return the chunks in blocks of about `size` windows."""
    blocks: list[list[Chosen]] = []
    held = size
    for chunk in chosen:
        if held >= size:
            blocks.append([])
            held = 0
        blocks[-1].append(chunk)
        held += chunk.hashes.size
    return blocks


def _links(keys: Uint64, parents: Uint32) -> pa.Table:
    """Return the rows of `links`: each document with the first one of its component."""
    window_kernels.roots(parents)
    linked = np.flatnonzero(parents != np.arange(len(parents)))
    return pa.table({"a": keys[parents[linked]], "b": keys[linked]})


class _WindowPass:
    """The steps of `windows` over one set of chunks."""

    def __init__(
        self, work: Work, places: list[ChunkPlace], spill: Spill, threads: ThreadPoolExecutor
    ) -> None:
        self._work = work
        self._places = places
        self._spill = spill
        self._threads = threads
        self._ahead = work.cores
        size = work.config.window.words
        self._seed = work.config.sketch.seed
        self._run = (3 * size + 2) // 5  # words of the runs among which a window has its anchor
        self._reach = size - self._run + 1

    def choose(self, total: int) -> list[Chosen]:
        """Return, per chunk, the windows that may repeat."""
        anchors = 2 * total / (self._reach + 1)  # as many as random hashes would give
        bits = max(SMALLEST_TABLE_BITS, _bits_for(int(anchors * CELLS_PER_ANCHOR), 1))
        room = self._work.memory // ROOM or 2**62
        ranges = min(bits - SMALLEST_TABLE_BITS, _bits_for(2**bits // CELLS_PER_BYTE, room))
        kept = min(bits, bits - ranges + 1)
        select = partial(self._select, self._repeated(bits, ranges, kept), kept)
        found = list(in_order(self._threads, self._ahead, select, self._places))
        first = np.cumsum([0, *(count for count, *_ in found)]).tolist()
        return [
            Chosen(place, hashes, documents, words, number)
            for place, (_, hashes, documents, words), number in zip(
                self._places, found, first[:-1], strict=True
            )
        ]

    def _repeated(self, bits: int, ranges: int, kept: int) -> Uint8:
        """Return which anchors occur twice: a bit for each value of the top `kept` bits of a hash.

        The anchors of the corpus are computed once. Where the two-bit table over all of them does
        not fit, they are put aside by range, and the table is filled for one range after another.
        """
        repeated = np.zeros(max(1, 2**kept // 8), np.uint8)
        cells = np.zeros(2 ** (bits - ranges) // CELLS_PER_BYTE, np.uint8)
        held: list[tuple[Ref, Int64]] = []
        works = in_order(self._threads, self._ahead, partial(self._anchors, ranges), self._places)
        for number, (hashes, bounds) in enumerate(works):
            if ranges:
                held.append((self._spill.put(hashes), bounds))
            else:
                window_kernels.mark(hashes, 0, bits, cells)
            current().advance(number + 1, len(self._places), "chunks of words")
        for range_ in range(1 << ranges):
            for ref, bounds in held:
                own = self._spill.get(ref, bounds[range_], bounds[range_ + 1])
                window_kernels.mark(own, ranges, bits, cells)
            window_kernels.keep(cells, range_, bits - kept, repeated)
            cells.fill(0)
        for ref, _ in held:
            self._spill.drop(ref)
        return repeated

    def _anchors(self, ranges: int, place: ChunkPlace) -> tuple[Uint64, Int64]:
        """Return the anchors of one chunk, grouped by range, and the bounds of the groups."""
        offsets, runs = text.runs(read_chunk(place).words, self._run, self._seed)
        hashes = np.asarray(window_kernels.anchors(offsets, runs, self._reach))
        if not ranges:
            return hashes, np.array([0, hashes.size])
        places, bounds = group(hashes, ranges)
        return hashes[places], bounds

    def _select(self, repeated: Uint8, bits: int, place: ChunkPlace) -> tuple[int, Ref, Ref, Ref]:
        """Put aside the windows of one chunk that may repeat; return how many documents it has."""
        words = read_chunk(place).words
        offsets, runs = text.runs(words, self._run, self._seed)
        windows = text.runs(words, self._run + self._reach - 1, self._seed)
        del words  # of a long document it is much
        chosen = window_kernels.select(offsets, runs, self._reach, windows, repeated, bits)
        hashes, documents, words_of = (self._spill.put(part) for part in chosen)
        return len(offsets) - 1, hashes, documents, words_of

    def grouped(self, blocks: list[list[Chosen]], bits: int) -> list[Grouped]:
        """Return the windows of each block of chunks grouped by their hash."""
        return list(self._threads.map(partial(self._group, bits), blocks))

    def _group(self, bits: int, block: list[Chosen]) -> Grouped:
        """Return the windows of one block of chunks grouped by their hash."""
        hashes, places, bounds = self._grouping(bits, block)
        documents = [self._spill.get(chunk.documents) + np.uint32(chunk.first) for chunk in block]
        put = self._spill.put
        return Grouped(put(hashes[places]), put(np.concatenate(documents)[places]), bounds)

    def _grouping(self, bits: int, block: list[Chosen]) -> tuple[Uint64, Int64, Int64]:
        """Return the hashes of a block, and the places and bounds of their groups."""
        hashes = np.concatenate([self._spill.get(chunk.hashes) for chunk in block])
        return (hashes, *group(hashes, bits))

    def counted(
        self, grouped: list[Grouped], bits: int, parents: Uint32, out: TableWriter
    ) -> list[GroupCounts]:
        """Write `windows` and link documents; return what was counted, part by part."""
        lock, results = threading.Lock(), []
        count = partial(self._count, grouped, bits, parents, lock)

        def tables() -> Iterator[pa.RecordBatch]:
            for table, counted in self._threads.map(count, range(1 << bits)):
                results.append(counted)
                yield table

        for batch in evenly(tables(), ROW_GROUP):
            out.write(batch)
        for chunk in grouped:
            self._spill.drop(chunk.hashes)
            self._spill.drop(chunk.documents)
        return results

    def _count(
        self, grouped: list[Grouped], bits: int, parents: Uint32, lock: threading.Lock, part: int
    ) -> tuple[pa.RecordBatch, GroupCounts]:
        """Count one part of the windows; return the rows of `windows` and the counts by place."""
        get, ends = self._spill.get, [chunk.bounds[part : part + 2].tolist() for chunk in grouped]
        spans = list(zip(grouped, ends, strict=True))
        hashes = np.concatenate(
            [np.zeros(0, np.uint64), *(get(chunk.hashes, *span) for chunk, span in spans)]
        )
        documents = np.concatenate(
            [np.zeros(0, np.uint32), *(get(chunk.documents, *span) for chunk, span in spans)]
        )
        window, count, wide, occurrences, holders, order = window_kernels.count_windows(
            hashes, documents, bits
        )
        with lock:
            most = self._work.config.window.link_documents
            window_kernels.link(hashes, documents, holders, order, most, parents)
        batch = pa.record_batch({"hash": window, "occurrences": count, "documents": wide})
        bounds = np.cumsum([0, *(high - low for low, high in ends)])
        return batch, GroupCounts(self._spill.put(occurrences), self._spill.put(holders), bounds)

    def cut(
        self, blocks: list[list[Chosen]], counted: list[GroupCounts], bits: int
    ) -> Iterator[tuple[pa.Table, pa.Table]]:
        """Yield rows of `spans` and `repeats`, chunk by chunk in text order."""
        cut = partial(self._cut, blocks, counted, bits)
        for tables in in_order(self._threads, self._ahead, cut, range(len(blocks))):
            yield from tables

    def _cut(
        self, blocks: list[list[Chosen]], counted: list[GroupCounts], bits: int, number: int
    ) -> list[tuple[pa.Table, pa.Table]]:
        """Return the rows of `spans` and `repeats` of each chunk of a block."""
        get, block = self._spill.get, blocks[number]
        hashes, places, _ = self._grouping(bits, block)
        found = np.empty((2, hashes.size), np.uint32)
        for k in range(2):
            parts = [
                get((part.occurrences, part.documents)[k], *part.bounds[number : number + 2])
                for part in counted
            ]
            found[k, places] = np.concatenate(parts)
        ends = np.cumsum([0, *(chunk.hashes.size for chunk in block)]).tolist()
        made = []
        for chunk, (low, high) in zip(block, pairwise(ends), strict=True):
            repeated = low + np.flatnonzero(found[0, low:high] > 1)
            rows = repeated - low
            columns = get(chunk.documents)[rows], get(chunk.words)[rows], hashes[repeated]
            made.append(
                cut_spans(
                    read_chunk(chunk.place, hashes=False, positions=True),
                    (*columns, *found[:, repeated]),
                    self._work.config.window.words,
                )
            )
        return made
