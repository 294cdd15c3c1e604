"""The tables `windows`, `spans`, `repeats` and `links`: runs of words that occur more than once.

Two passes over the table `words`, whatever the memory, choose the windows that may repeat and put
them aside in parts by hash (`pipeline.scan.repeats.chosen`). A part is read once and counted
exactly, in groups that fit a cache, and the counts are carried back to text order, where spans are
cut.

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
from pipeline.scan.repeats.chosen import Chosen, ChosenOfChunk, WindowChoice, bits_for
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
PART = 1 << 17  # windows counted at once: they fit a cache
MOST_GROUP_BITS = 16


@dataclass(frozen=True)
class PartCounts:
    """The counts of the windows of one part, block after block, in the order of `Chosen.records`.

    Attributes:
        counts: (windows, 2), flat: times that each occurs, documents that hold it.
        bounds: cuts the windows into blocks.
    """

    counts: Ref
    bounds: Int64  # (blocks + 1,)


def windows(work: Work) -> Receipt:
    """Write `windows`, `spans`, `repeats`, `links`, `anchors`: what occurs more than once.

    A *reduce* stage. Counts are exact up to collisions of 64-bit hashes.
    """
    documents = _documents(work)
    total = documents.windows(work.config.window.words)
    places = chunk_places(work.paths("words"))
    with (
        parting(work.folder, work.memory // 8, work.cores) as parts,
        write_table(work.folder, "windows", work.key, WINDOWS) as out,
        write_table(work.folder, "spans", work.key, SPANS) as spans,
        write_table(work.folder, "repeats", work.key, REPEATS) as repeats,
        write_table(work.folder, "links", work.key, LINKS) as links,
        write_table(work.folder, "anchors", work.key, ANCHORS) as anchors,
    ):
        choice = WindowChoice(work, places, parts)
        chosen, known = choice.made(documents, total, anchors)
        counts = known.counts if known else None
        size = sum(block.windows for block in chosen) + (counts.windows.rows if counts else 0)
        job = _WindowPass(work.config.window, parts.spill, chosen, counts, bits_for(size, PART))
        parents = np.arange(len(documents.keys), dtype=np.uint32)
        if known:
            parents[known.links[1]] = known.links[0]
        counted = _written(parts.in_order(job.counted, range(job.parts)), parents, out)
        first = 0
        for chunk, one, other in chain.from_iterable(
            parts.in_order(partial(job.cut, counted), range(len(chosen)))
        ):
            last = first + chunk.documents
            keys = documents.keys[first:last]
            staying = keys[~known.again[first:last]] if known else keys[:0]
            spans.write(_joined(known.spans, staying, one) if known else one)
            repeats.write(_joined(known.repeats, staying, other) if known else other)
            first = last
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


def _links(keys: Uint64, parents: Uint32) -> pa.Table:
    """Return the rows of `links`: each document with the first one of its component."""
    window_kernels.roots(parents)
    linked = np.flatnonzero(parents != np.arange(len(parents)))
    return pa.table({"a": keys[parents[linked]], "b": keys[linked]})


def _written(
    parts: Iterable[tuple[Windows, Uint32, PartCounts]], parents: Uint32, out: TableWriter
) -> list[PartCounts]:
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
    """The steps that count the chosen windows, part by part, and cut spans, block by block.

    Attributes:
        window: the settings.
        spill: where what one step tells the next is put aside.
        chosen: the windows.
        known: those of which the last numbers hold.
        bits: so many that name a group which fits a cache.
    """

    window: WindowConfig
    spill: Spill
    chosen: list[Chosen]
    known: KnownCounts | None
    bits: int

    @property
    def parts(self) -> int:
        """How many parts there are."""
        return len(self.chosen[0].bounds) - 1 if self.chosen else 1

    def counted(self, part: int) -> tuple[Windows, Uint32, PartCounts]:
        """Count one part of the windows.

        Return the repeated ones, the documents that each of them links, (edges, 2), and the counts
        by place.
        """
        spans = [block.bounds[part : part + 2].tolist() for block in self.chosen]
        ends = np.cumsum([0, *(high - low for low, high in spans)])
        records = np.empty((int(ends[-1]), 2), np.uint64)
        for block, (low, high), end in zip(self.chosen, spans, ends[1:].tolist(), strict=True):
            held = self.spill.get(block.records, 2 * low, 2 * high)
            records[end - (high - low) : end] = held.reshape(-1, 2)
        firsts = np.array([block.first for block in self.chosen], np.int64)
        part_bits = self.parts.bit_length() - 1
        bits = min(MOST_GROUP_BITS, max(0, self.bits - part_bits))
        made = window_kernels.by_hash(records, ends, firsts, part_bits, bits)
        columns, (places, bounds) = made[:3], made[3:]
        del records
        counts = np.empty((places.size, 2), np.uint32)
        found, edges = [], []
        for group, (low, high) in enumerate(pairwise(bounds.tolist())):
            named = (part << bits | group, part_bits + bits)
            own = tuple(column[low:high] for column in columns)
            occurrences, holders, repeated, linked = self._group(own, named)
            counts[places[low:high]] = np.stack([occurrences, holders], axis=1)
            found.append(repeated)
            edges.append(linked)
        kind = np.min_scalar_type(counts.max(initial=0))
        put = self.spill.put(counts.astype(kind).ravel())
        return Windows.joined(found), np.concatenate(edges), PartCounts(put, ends)

    def _group(
        self, columns: tuple[np.ndarray, ...], named: tuple[int, int]
    ) -> tuple[Uint32, Uint32, Windows, Uint32]:
        """Count one group of windows; return the counts by place, repeated windows and edges.

        Args:
            columns: hash, anchor and document of each, in text order.
            named: the number of the group, which is in so many top bits of the hashes.
        """
        hashes, anchors, documents = columns
        bits = named[1]
        first, occurrences, holders, order = window_kernels.count_windows(hashes, documents, bits)
        if self.known:
            again, others = self.known.anchors.holds(anchors), self.known.windows.part(*named)
            first = first[again[first]]
            numbers = (others.hashes, others.occurrences, others.documents)
            window_kernels.recall(hashes, order, again, numbers, occurrences, holders)
        found = Windows(hashes[first], anchors[first], occurrences[first], holders[first])
        found = others.merged(found) if self.known else found
        most = self.window.link_documents
        edges = window_kernels.edges(hashes, documents, holders, order, most)
        return occurrences, holders, found, edges

    def cut(
        self, counted: list[PartCounts], number: int
    ) -> list[tuple[ChosenOfChunk, pa.Table, pa.Table]]:
        """Return the rows of `spans` and `repeats` of each chunk of a block."""
        block, get = self.chosen[number], self.spill.get
        spans = [part.bounds[number : number + 2].tolist() for part in counted]
        counts = np.concatenate(
            [
                get(part.counts, 2 * low, 2 * high)
                for part, (low, high) in zip(counted, spans, strict=True)
            ]
        ).reshape(-1, 2)
        parts, records = get(block.parts), get(block.records).reshape(-1, 2)
        filled, made, low = block.bounds[:-1].copy(), [], 0
        for chunk in block.chunks:
            own = parts[low : low + chunk.windows]
            low += chunk.windows
            stretches = get(chunk.stretches).reshape(-1, 3)
            found = window_kernels.collect(stretches, own, filled, counts, records)
            if not len(found[0]):
                made.append((chunk, SPANS.empty_table(), REPEATS.empty_table()))
                continue
            positions = read_positions(chunk.place, found[0])
            made.append((chunk, *cut_spans(positions, found, self.window.words)))
        return made
