"""The tables `windows`, `spans`, `repeats` and `links`: runs of words that occur more than once.

Two passes over the table `words`, whatever the memory, choose the windows that may repeat
(`pipeline.scan.repeats.chosen`). Those are grouped by their hash, counted exactly in parts that fit
a cache, and the counts carried back to text order, where spans are cut.

What the choice goes by is kept in the table `anchors`. When few documents have come or gone since,
only those that they touch are looked at again (`pipeline.scan.repeats.known`); the bytes are the
same as if all of them were.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain, pairwise

import numpy as np
import pyarrow as pa

from pipeline.config.sections import WindowConfig
from pipeline.engine.former import FormerRows, is_same
from pipeline.engine.parts import parting
from pipeline.engine.spill import Ref, Spill
from pipeline.engine.stage import Receipt, Work
from pipeline.engine.tables import ROW_GROUP, TableWriter, evenly, read_batches, write_table
from pipeline.scan.repeats import window_kernels
from pipeline.scan.repeats.chosen import Chosen, WindowChoice, bits_for
from pipeline.scan.repeats.known import Documents, KnownCounts, Windows
from pipeline.scan.repeats.spans import cut_spans
from pipeline.scan.words import chunk_places, read_positions
from pipeline.text.arrays import Int64, Uint32, Uint64
from pipeline.text.sorting import among
from schemas.scan.anchors import ANCHORS
from schemas.scan.links import LINKS
from schemas.scan.spans import REPEATS, SPANS
from schemas.scan.windows import WINDOWS

VERSION = 3
PART = 1 << 17  # windows counted at once
MOST_PART_BITS = 12
BLOCK_BYTES = 256  # of memory for a window of a block of chunks, whose counts come back at once
SMALLEST_BLOCK = 1 << 18  # windows
BLOCKS = 128  # when there is memory for so few


@dataclass(frozen=True)
class Grouped:
    """The windows of some chunks that may repeat, grouped by the top bits of their hash.

    Attributes:
        hashes: of each window.
        anchors: of each window.
        documents: its document in the corpus.
        bounds: cuts the windows into parts.
    """

    hashes: Ref
    anchors: Ref
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
    """Write `windows`, `spans`, `repeats`, `links`, `anchors`: what occurs more than once.

    A *reduce* stage. Counts are exact up to collisions of 64-bit hashes.
    """
    documents = _documents(work)
    total = int(np.maximum(0, documents.words - work.config.window.words + 1).sum())
    places = chunk_places(work.paths("words"))
    with (
        parting(work.folder, work.memory // 4, work.cores) as parts,
        write_table(work.folder, "windows", work.key, WINDOWS) as out,
        write_table(work.folder, "spans", work.key, SPANS) as spans,
        write_table(work.folder, "repeats", work.key, REPEATS) as repeats,
        write_table(work.folder, "links", work.key, LINKS) as links,
        write_table(work.folder, "anchors", work.key, ANCHORS) as anchors,
    ):
        choice = WindowChoice(work, places, parts)
        chosen, known = choice.made(documents, total, anchors)
        job = _WindowPass(work.config.window, parts.spill)
        counts = known.counts if known else None
        size = sum(chunk.hashes.size for chunk in chosen)
        rows = size + (counts.windows.rows if counts else 0)
        bits = min(bits_for(rows, PART), MOST_PART_BITS)
        most = work.memory // (BLOCK_BYTES * work.cores) or size
        blocks = _blocks(chosen, max(SMALLEST_BLOCK, min(size // BLOCKS, most)))
        parents = np.arange(len(documents.keys), dtype=np.uint32)
        if known:
            parents[known.links[1]] = known.links[0]
        grouped = list(parts.in_order(partial(job.grouped, bits), blocks))
        made = parts.in_order(partial(job.counted, grouped, bits, counts), range(1 << bits))
        counted = _written(made, parents, out)
        job.drop(grouped)
        cut = chain.from_iterable(
            parts.in_order(partial(job.cut, counted, bits), enumerate(blocks))
        )
        ends = [*(chunk.first for chunk in chosen), len(documents.keys)]
        for (first, last), (one, other) in zip(pairwise(ends), cut, strict=True):
            keys = documents.keys[first:last]
            staying = keys[~known.again[first:last]] if known else keys[:0]
            spans.write(_joined(known.spans, staying, one) if known else one)
            repeats.write(_joined(known.repeats, staying, other) if known else other)
        links.write(_links(documents.keys, parents))
    return Receipt(
        (out.record, spans.record, repeats.record, links.record, anchors.record),
        total,
        out.rows,
        {
            "windows": total,
            "repeated": out.rows,
            "expected_wrong_counts": float(f"{total**2 / 2.0**65:.3g}"),
        },
    )


def _documents(work: Work) -> Documents:
    """Return the documents of the corpus, and which are in groups that are what they were."""
    keys, words = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    same = [np.zeros(0, np.bool_)]
    for path in work.paths("signatures"):
        for batch in read_batches(path, ["row_key", "words"]):
            keys.append(batch["row_key"].to_numpy())
            words.append(batch["words"].to_numpy())
            same.append(np.full(batch.num_rows, is_same(work, f"sketch/{path.stem}")))
    return Documents(np.concatenate(keys), np.concatenate(words), np.concatenate(same))


def _joined(known: FormerRows, keys: Uint64, rows: pa.Table) -> pa.Table:
    """Return the last rows of some documents of a chunk and the new ones of its others, by key."""
    if not len(keys):
        return rows
    held = known.between(int(keys[0]), int(keys[-1]))
    own = among(held["row_key"].to_numpy(), keys)
    if not own.any():
        return rows
    held = held if own.all() else held.filter(pa.array(own))
    joined = pa.concat_tables([held, rows.cast(held.schema)])
    order = np.argsort(joined["row_key"].to_numpy(), kind="stable")
    return joined.take(pa.array(order)).combine_chunks()


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


def _written(
    parts: Iterable[tuple[Windows, Uint32, GroupCounts]], parents: Uint32, out: TableWriter
) -> list[GroupCounts]:
    """Write `windows` and link documents; return what was counted, part by part.

    Args:
        parts: what `_WindowPass.counted` makes of each part.
        parents: (documents,), a forest of earlier documents, changed.
        out: the writer of the table.
    """
    counts = []

    def batches() -> Iterator[pa.RecordBatch]:
        for windows_of, edges, counted in parts:
            window_kernels.link(edges, parents)
            counts.append(counted)
            yield windows_of.batch()

    for batch in evenly(batches(), ROW_GROUP):
        out.write(batch)
    return counts


@dataclass(frozen=True)
class _WindowPass:
    """The steps that count the chosen windows and cut spans, part by part.

    Attributes:
        window: the settings.
        spill: where what one step tells the next is put aside.
    """

    window: WindowConfig
    spill: Spill

    def grouped(self, bits: int, block: list[Chosen]) -> Grouped:
        """Return the windows of one block of chunks grouped by their hash."""
        get, put = self.spill.get, self.spill.put
        bounds = self._bounds(bits, block)
        size, filled = int(bounds[-1]), bounds[:-1].copy()
        parts = np.empty(size, np.uint64), np.empty(size, np.uint32), np.empty(size, np.uint32)
        for chunk in block:
            columns = get(chunk.hashes), get(chunk.anchors), get(chunk.documents)
            window_kernels.spread(columns, chunk.first, bits, filled, parts)
        hashes, anchors, documents = (put(part) for part in parts)
        return Grouped(hashes, anchors, documents, bounds)

    def _bounds(self, bits: int, block: list[Chosen]) -> Int64:
        """Return where each part of the windows of a block begins, (parts + 1,)."""
        sizes = np.zeros(1 << bits, np.int64)
        for chunk in block:
            window_kernels.add_sizes(self.spill.get(chunk.hashes), bits, sizes)
        return np.concatenate([[0], np.cumsum(sizes)])

    def drop(self, grouped: list[Grouped]) -> None:
        """Make room: what was grouped is not needed any more."""
        for chunk in grouped:
            for ref in (chunk.hashes, chunk.anchors, chunk.documents):
                self.spill.drop(ref)

    def counted(
        self, grouped: list[Grouped], bits: int, known: KnownCounts | None, part: int
    ) -> tuple[Windows, Uint32, GroupCounts]:
        """Count one part of the windows.

        Return the repeated ones, the documents that each of them links, (edges, 2), and the counts
        by place.
        """
        ends = [chunk.bounds[part : part + 2].tolist() for chunk in grouped]
        hashes, anchors, documents = (
            np.concatenate(
                [
                    np.zeros(0, kind),
                    *(
                        self.spill.get(getattr(chunk, name), *span)
                        for chunk, span in zip(grouped, ends, strict=True)
                    ),
                ]
            )
            for name, kind in (
                ("hashes", np.uint64),
                ("anchors", np.uint32),
                ("documents", np.uint32),
            )
        )
        first, occurrences, holders, order = window_kernels.count_windows(hashes, documents, bits)
        if known:
            again, others = known.anchors.holds(anchors), known.windows.part(part, bits)
            first = first[again[first]]
            numbers = (others.hashes, others.occurrences, others.documents)
            window_kernels.recall(hashes, order, again, numbers, occurrences, holders)
        found = Windows(hashes[first], anchors[first], occurrences[first], holders[first])
        found = others.merged(found) if known else found
        most = self.window.link_documents
        edges = window_kernels.edges(hashes, documents, holders, order, most)
        bounds = np.cumsum([0, *(high - low for low, high in ends)])
        put = self.spill.put
        return found, edges, GroupCounts(put(occurrences), put(holders), bounds)

    def cut(
        self, counted: list[GroupCounts], bits: int, numbered: tuple[int, list[Chosen]]
    ) -> list[tuple[pa.Table, pa.Table]]:
        """Return the rows of `spans` and `repeats` of each chunk of a block."""
        number, block = numbered
        get, filled = self.spill.get, self._bounds(bits, block)[:-1].copy()
        counts = tuple(
            np.concatenate(
                [
                    get((part.occurrences, part.documents)[k], *part.bounds[number : number + 2])
                    for part in counted
                ]
            )
            for k in range(2)
        )
        made = []
        for chunk in block:
            hashes = get(chunk.hashes)
            repeated, numbers = window_kernels.collect(hashes, bits, filled, counts)
            if not len(repeated):
                made.append((SPANS.empty_table(), REPEATS.empty_table()))
                continue
            documents, words = get(chunk.documents)[repeated], get(chunk.words)[repeated]
            made.append(
                cut_spans(
                    read_positions(chunk.place, documents),
                    (documents, words, hashes[repeated], *numbers),
                    self.window.words,
                )
            )
        return made
