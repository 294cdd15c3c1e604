"""Which windows may repeat: those whose anchor occurs twice, or all of some documents.

A window's anchor is the least hash of the runs of 30 words in it (winnowing: Schleimer, Wilkerson
and Aiken 2003), so that equal windows have equal anchors, and there is one anchor for some 11
windows of 50 words. A first pass marks every anchor in a two-bit table (seen once, seen twice), a
second takes the windows whose anchor was seen twice. When the table is larger than the memory
given, the anchors are put aside by range of hashes, and it is filled for one range at a time.

What is chosen is put aside once, in parts by hash that fit in memory, for a block of chunks at a
time: of each window its hash, its document and what is known of it, and in text order the number
of its part alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from pipeline.engine.files import damaged_file
from pipeline.engine.former import is_same
from pipeline.engine.parts import Parts
from pipeline.engine.progress import current
from pipeline.engine.spill import Ref, Spill
from pipeline.engine.stage import Work
from pipeline.engine.tables import TableWriter
from pipeline.scan.repeats import window_kernels
from pipeline.scan.repeats.anchors import BITS, AnchorSet, ChunkAnchors, read_anchors
from pipeline.scan.repeats.known import Again, Documents, HeldAnchors, Known
from pipeline.scan.words import ChunkPlace, chunk_keys, read_chunk, read_documents_of
from pipeline.text import segmentation as text
from pipeline.text.arrays import Int64, Uint8, Uint32, Uint64
from pipeline.text.sorting import group

CELLS_PER_ANCHOR = 8
CELLS_PER_BYTE = 4
SMALLEST_TABLE_BITS = 16
LARGEST_TABLE_BITS = 32
ROOM = 6  # one part in so many of the memory is for the two-bit table, and at most as much for bits
WINDOW_BYTES = 64  # of memory for a window of a part: as it was put aside, by hash, counted
MOST_PART_BITS = 12
PARTS_A_THREAD = 4  # at least, where there is as much
CHUNK_BYTES = 16 << 20  # of memory for what is chosen of a chunk of a block
MOST_CHUNKS = 8  # of a block
# a chunk, its anchors; what of it is looked at again, None for all
Part: TypeAlias = tuple[ChunkPlace, HeldAnchors, Again | None]


@dataclass(frozen=True)
class ChosenOfChunk:
    """Where the windows of one chunk that may repeat are.

    Attributes:
        place: of the chunk.
        documents: how many the chunk has.
        windows: how many are chosen.
        stretches: (stretches, 3), flat: document in the chunk, first word, windows in a row.
        known: occurrences of each window that is not counted again, 0 of others; empty where all
            are counted.
    """

    place: ChunkPlace
    documents: int
    windows: int
    stretches: Ref
    known: Ref


@dataclass(frozen=True)
class Chosen:
    """The windows of a block of chunks that may repeat.

    Attributes:
        chunks: where they are, in text order.
        parts: number of the part of each, in text order.
        records: of each by part, in text order within one: hash, and documents that are known to
            hold it, 0 where it is counted, << 32 | its document in the block; (windows, 2), flat.
        bounds: cuts the records into parts.
        first: number of the block's first document in the corpus.
    """

    chunks: tuple[ChosenOfChunk, ...]
    parts: Ref
    records: Ref
    bounds: Int64  # (parts + 1,)
    first: int

    @property
    def windows(self) -> int:
        """How many are chosen."""
        return int(self.bounds[-1])


def bits_for(count: int, at_once: int) -> int:
    """Return the bits that cut `count` things into parts of at most about `at_once`."""
    return max(0, int(np.ceil(np.log2(max(1, count / at_once)))))


@dataclass(frozen=True)
class _ChunkPass:
    """What is done with each chunk.

    Attributes:
        run: words of the runs among which a window has its anchor.
        size: words of a window.
        seed: of the hashes.
        spill: where windows and anchors are put aside.
    """

    run: int
    size: int
    seed: int
    spill: Spill

    def anchors(self, place: ChunkPlace) -> ChunkAnchors:
        """Return the anchors of one chunk."""
        offsets, runs = text.runs(read_chunk(place).words, self.run, self.seed)
        counts, hashes, covers = window_kernels.anchors(offsets, runs, self.size - self.run + 1)
        tops = (hashes >> np.uint64(32)).astype(np.uint32)
        more = (hashes >> np.uint64(64 - BITS)).astype(np.uint8)
        return ChunkAnchors(place[0].stem, counts, tops, more, covers)

    def by_range(self, ranges: int, held: Ref) -> tuple[Ref, Int64]:
        """Put anchors aside grouped by range; return the bounds of the groups too."""
        anchors = self.spill.get(held)
        places, bounds = group(anchors.astype(np.uint64) << np.uint64(32), ranges)
        return self.spill.put(anchors[places]), bounds

    def select(
        self,
        marks: tuple[Uint8, int],
        part_bits: int,
        counted: AnchorSet | None,
        block: Sequence[Part],
    ) -> Chosen:
        """Put aside the windows of a block of chunks that may repeat, by part.

        Args:
            marks: which anchors occur twice, by their top bits, and how many top bits.
            part_bits: top bits of a hash that name its part.
            counted: the anchors of windows that are counted again; None for all.
            block: the chunks.
        """
        found = [self._of_chunk(marks, counted, part) for part in block]
        windows = np.cumsum([0, *(hashes.size for _, hashes, *_ in found)])
        parts = np.empty(windows[-1], np.uint8 if part_bits <= 8 else np.uint16)
        sizes = np.zeros(1 << part_bits, np.int64)
        spans = [slice(*span) for span in pairwise(windows.tolist())]
        for span, (_, hashes, *_) in zip(spans, found, strict=True):
            window_kernels.parts_of(hashes, part_bits, parts[span], sizes)
        bounds = np.concatenate([[0], np.cumsum(sizes)])
        records, filled = np.empty((windows[-1], 2), np.uint64), bounds[:-1].copy()
        put, chunks, first = self.spill.put, [], 0
        for span, (place, *_), own in zip(spans, block, found, strict=True):
            count, hashes, stretches, known, holders = own
            windows_of = hashes, holders, stretches
            window_kernels.spread(windows_of, first, parts[span], filled, records)
            chunk = ChosenOfChunk(place, count, hashes.size, put(stretches.ravel()), put(known))
            chunks.append(chunk)
            first += count
        return Chosen(tuple(chunks), put(parts), put(records.ravel()), bounds, 0)

    def _of_chunk(
        self, marks: tuple[Uint8, int], counted: AnchorSet | None, part: Part
    ) -> tuple[int, Uint64, Uint32, Uint32, Uint32]:
        """Return how many documents a chunk has, and its chosen windows.

        These are the hashes, the stretches, and the known occurrences and holders of each.
        """
        place, held, again = part
        none = np.zeros(0, np.uint32)
        if again is not None and not again.rows.size:
            return again.documents, np.zeros(0, np.uint64), none.reshape(0, 3), none, none
        chunk = read_chunk(place) if again is None else read_documents_of(place, again.rows)
        anchors = held.get(self.spill)
        anchors = anchors if again is None else anchors.of(again.rows)
        told = anchors.counts, anchors.tops, anchors.covers
        words = chunk.words.offsets, chunk.words.hashes
        hashes, stretches = window_kernels.select(words, told, *marks, self._hashing)
        if again is None or counted is None:
            return held.documents, hashes, stretches, none, np.zeros(len(hashes), np.uint32)
        again_counted = np.repeat(counted.holds(anchors.anchors), anchors.covers)
        bounds = np.concatenate([[0], np.cumsum(anchors.windows())])
        runs = self.spill.get(again.runs).reshape(-1, 5)
        known = window_kernels.recall(bounds, again_counted, runs)
        stretches[:, 0] = again.rows[stretches[:, 0]]
        return held.documents, hashes, stretches, *known

    @property
    def _hashing(self) -> tuple[int, np.uint64, np.uint64]:
        """What `window_kernels.select` hashes windows with."""
        return self.size, text.run_key(self.seed, self.size), text.weight(self.size)


class WindowChoice:
    """The two passes over the chunks of `words` that choose windows."""

    def __init__(self, work: Work, places: list[ChunkPlace], parts: Parts) -> None:
        self._work = work
        self._size = work.config.window.words
        self._places = places
        self._parts = parts
        self._spill = parts.spill
        run = (3 * self._size + 2) // 5
        self._pass = _ChunkPass(run, self._size, work.config.sketch.seed, parts.spill)

    def made(
        self, documents: Documents, total: int, out: TableWriter
    ) -> tuple[list[Chosen], Known | None]:
        """Return what is chosen, in text order, and what is known of the rest; write `anchors`.

        Args:
            documents: those of the corpus.
            total: windows of the corpus.
            out: the writer of the table.
        """
        held, gone = self._held(documents, out)
        known = None
        if self._work.former:
            known = Known.of(self._work, documents, held, gone, self._spill)
        if known:
            return self._choose_again(documents, held, known), known
        return self._choose(total, held), None

    def _held(
        self, documents: Documents, out: TableWriter
    ) -> tuple[list[HeldAnchors], list[HeldAnchors]]:
        """Put the anchors of each chunk aside, read from the last table where nothing changed.

        Return them, and those of chunks that are no longer there; write the table.

        Raises:
            IntegrityError: When the last table has not the chunks and windows of a group that is
                what it was.
        """
        known, gone = self._last()
        new = [place for place in self._places if not self._is_same(place[0].stem)]
        computed = self._parts.in_order(self._pass.anchors, new)
        found: list[HeldAnchors] = []
        first = 0
        for place in self._places:
            if self._is_same(place[0].stem):
                held = self._known_of(place, known)
                chunk = held.get(self._spill)
                own = documents.words[first : first + len(chunk_keys(place))]
                windows = np.maximum(0, own - self._size + 1)
                if not np.array_equal(chunk.windows(), windows):
                    path = self._work.former_path("anchors")
                    raise damaged_file(path, f"other windows than {chunk.unit} has")
            else:
                chunk = next(computed)
                held = HeldAnchors.put(chunk, self._spill, same=False)
            first += held.documents
            found.append(held)
            out.write(chunk.row())
            current().advance(len(found), len(self._places), "chunks of words")
        return found, gone

    def _last(self) -> tuple[dict[str, list[HeldAnchors]], list[HeldAnchors]]:
        """Return the last anchors by groups that are what they were, and those of all others."""
        known: dict[str, list[HeldAnchors]] = {}
        gone: list[HeldAnchors] = []
        if self._work.former:
            for chunk in read_anchors(self._work.former_path("anchors")):
                same = self._is_same(chunk.unit)
                held = HeldAnchors.put(chunk, self._spill, same=same)
                (known.setdefault(chunk.unit, []) if same else gone).append(held)
        return known, gone

    def _known_of(self, place: ChunkPlace, known: dict[str, list[HeldAnchors]]) -> HeldAnchors:
        """Return the last anchors of a chunk."""
        unit, number = place[0].stem, place[1]
        if number >= len(known.get(unit, ())):
            path = self._work.former_path("anchors")
            raise damaged_file(path, f"no anchors of {unit}, chunk {number}")
        return known[unit][number]

    def _is_same(self, unit: str) -> bool:
        return is_same(self._work, f"sketch/{unit}")

    def _choose(self, total: int, held: Sequence[HeldAnchors]) -> list[Chosen]:
        """Return the windows that may repeat.

        Args:
            total: windows of the corpus.
            held: the anchors of each chunk.
        """
        reach = self._size - self._pass.run + 1
        anchors = 2 * total / (reach + 1)  # as many as random hashes would give
        wanted = bits_for(int(anchors * CELLS_PER_ANCHOR), 1)
        bits = min(LARGEST_TABLE_BITS, max(SMALLEST_TABLE_BITS, wanted))
        room = self._work.memory // ROOM or 2**62
        ranges = min(bits - SMALLEST_TABLE_BITS, bits_for(2**bits // CELLS_PER_BYTE, room))
        kept = min(bits, bits - ranges + 1)
        marks = self._repeated(bits, ranges, kept, [chunk.tops for chunk in held]), kept
        select = partial(self._pass.select, marks, self._part_bits(total), None)
        return self._chosen(
            select, [(*part, None) for part in zip(self._places, held, strict=True)]
        )

    def _choose_again(
        self, documents: Documents, held: Sequence[HeldAnchors], known: Known
    ) -> list[Chosen]:
        """Return all windows of the documents that are looked at again."""
        every = np.full(1, 0xFF, np.uint8), 3  # all values of three bits
        again = known.by_chunk(self._work, documents, held, self._spill)
        works = [*zip(self._places, held, again, strict=True)]
        total = documents.windows(self._size, known.again)
        select = partial(self._pass.select, every, self._part_bits(total), known.anchors)
        return self._chosen(select, works)

    def _part_bits(self, total: int) -> int:
        """Return the bits that name a part: so many that one fits, and some for each thread.

        Args:
            total: windows, of which all may be chosen.
        """
        room = (self._work.memory or 2**62) // (2 * self._work.cores * WINDOW_BYTES)
        places = PARTS_A_THREAD * max(self._work.cores, self._parts.sites)
        return min(MOST_PART_BITS, max(bits_for(total, max(1, room)), bits_for(places, 1)))

    def _chosen(
        self, select: Callable[[Sequence[Part]], Chosen], works: Sequence[Part]
    ) -> list[Chosen]:
        """Return what is selected, block by block, with the number of its first document."""
        room = (self._work.memory or 2**62) // (4 * self._work.cores * CHUNK_BYTES)
        each = len(works) // (PARTS_A_THREAD * max(self._work.cores, self._parts.sites))
        each = max(1, min(room, MOST_CHUNKS, each))
        blocks = [works[low : low + each] for low in range(0, len(works), each)]
        found = list(self._parts.in_order(select, blocks))
        documents = [sum(chunk.documents for chunk in block.chunks) for block in found]
        first = np.cumsum([0, *documents]).tolist()
        return [
            replace(block, first=number) for block, number in zip(found, first[:-1], strict=True)
        ]

    def _repeated(self, bits: int, ranges: int, kept: int, tops: Sequence[Ref]) -> Uint8:
        """Return which anchors occur twice: a bit for each value of the top `kept` bits of a hash.

        Where the two-bit table over all of them does not fit, they are put aside by range, and the
        table is filled for one range after another.
        """
        repeated = np.zeros(max(1, 2**kept // 8), np.uint8)
        cells = np.zeros(2 ** (bits - ranges) // CELLS_PER_BYTE, np.uint8)
        held: list[tuple[Ref, Int64]] = []
        if ranges:
            held.extend(self._parts.in_order(partial(self._pass.by_range, ranges), tops))
        else:
            for part in tops:
                window_kernels.mark(self._spill.get(part), 0, bits, cells)
        for range_ in range(1 << ranges):
            for ref, bounds in held:
                own = self._spill.get(ref, bounds[range_], bounds[range_ + 1])
                window_kernels.mark(own, ranges, bits, cells)
            window_kernels.keep(cells, range_, bits - kept, repeated)
            cells.fill(0)
        for ref, _ in held:
            self._spill.drop(ref)
        return repeated
