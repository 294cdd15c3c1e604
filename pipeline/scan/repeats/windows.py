"""The tables `windows`, `spans`, `repeats` and `links`: runs of words that occur more than once.

Two passes over the table `words`, whatever the memory, choose the windows that may repeat and put
them aside in parts by hash (`pipeline.scan.repeats.chosen`). A part is read once and counted
exactly, in groups that fit a cache, and the counts are carried back to text order. There they are
kept, as runs of windows that occur equally often, and spans are cut.

What the choice goes by is kept in the table `anchors`. When few documents have come or gone since,
only those that they touch are looked at again (`pipeline.scan.repeats.known`); the bytes are the
same as if all of them were.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain

import numpy as np
import pyarrow as pa

from pipeline.config.sections import WindowConfig
from pipeline.engine.former import FormerRows, is_same
from pipeline.engine.parts import parting
from pipeline.engine.spill import Ref, Spill
from pipeline.engine.stage import Receipt, Work
from pipeline.engine.tables import read_batches, write_table
from pipeline.scan.repeats import window_kernels
from pipeline.scan.repeats.chosen import Chosen, ChosenOfChunk, WindowChoice, bits_for
from pipeline.scan.repeats.known import Documents, Known
from pipeline.scan.repeats.spans import cut_spans
from pipeline.scan.words import chunk_places, read_positions
from pipeline.text.arrays import Int64, Uint32, Uint64
from pipeline.text.sorting import among
from schemas.scan.anchors import ANCHORS
from schemas.scan.links import LINKS
from schemas.scan.spans import REPEATS, SPANS
from schemas.scan.windows import WINDOWS

VERSION = 5
PART = 1 << 15  # windows counted at once: they and their table fit a cache
MOST_GROUP_BITS = 16
NOTHING = tuple(schema.empty_table() for schema in (WINDOWS, SPANS, REPEATS))


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
        size = sum(block.windows for block in chosen)
        job = _WindowPass(work.config.window, parts.spill, chosen, bits_for(size, PART))
        parents = np.arange(len(documents.keys), dtype=np.uint32)
        if known:
            parents[known.links[1]] = known.links[0]
        counted = []
        for edges, counts in parts.in_order(job.counted, range(job.parts)):
            window_kernels.link(edges, parents)
            counted.append(counts)
        merged = _Merged(work, documents, known)
        for chunk, made in chain.from_iterable(
            parts.in_order(partial(job.cut, counted), range(len(chosen)))
        ):
            for table, rows in zip((out, spans, repeats), merged.next(chunk, made), strict=True):
                table.write(rows)
        links.write(_links(documents.keys, parents))
    return Receipt(
        (out.record, spans.record, repeats.record, links.record, anchors.record),
        total,
        merged.repeated,
        {
            "windows": total,
            "repeated": merged.repeated,
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


class _Merged:
    """The rows of `windows`, `spans` and `repeats` of one chunk after another."""

    def __init__(self, work: Work, documents: Documents, known: Known | None) -> None:
        self._documents, self._known, self._first = documents, known, 0
        self._last = [
            FormerRows(work.former_path(table), schema)
            for table, schema in (("windows", WINDOWS), ("spans", SPANS), ("repeats", REPEATS))
            if known
        ]
        self._places = Counter[int]()

    def next(self, chunk: ChosenOfChunk, made: Sequence[pa.Table]) -> Sequence[pa.Table]:
        """Return the rows of the next chunk: the last ones of documents not looked at, the others.

        Args:
            chunk: the chunk.
            made: the rows of its documents that were looked at.
        """
        own = slice(self._first, self._first + chunk.documents)
        self._first = own.stop
        if self._known:
            staying = self._documents.keys[own][~self._known.again[own]]
            pairs = zip(self._last, made, strict=True)
            made = [_joined(last, staying, rows) for last, rows in pairs]
        self._add(made[0])
        return made

    def _add(self, windows: pa.Table) -> None:
        """Add up at how many places there are windows that occur so often."""
        often, which = np.unique(windows["occurrences"].to_numpy(), return_inverse=True)
        places = np.zeros(len(often), np.int64)
        np.add.at(places, which, windows["windows"].to_numpy())
        self._places.update(dict(zip(often.tolist(), places.tolist(), strict=True)))

    @property
    def repeated(self) -> int:
        """How many different windows there are in these rows."""
        return sum(places // often for often, places in self._places.items())


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


@dataclass(frozen=True)
class _WindowPass:
    """The steps that count the chosen windows, part by part, and cut spans, block by block.

    Attributes:
        window: the settings.
        spill: where what one step tells the next is put aside.
        chosen: the windows.
        bits: so many that name a group which fits a cache.
    """

    window: WindowConfig
    spill: Spill
    chosen: list[Chosen]
    bits: int

    @property
    def parts(self) -> int:
        """How many parts there are."""
        return len(self.chosen[0].bounds) - 1 if self.chosen else 1

    def counted(self, part: int) -> tuple[Uint32, PartCounts]:
        """Count one part of the windows.

        Return the documents that the repeated ones link, (edges, 2), and the counts by place.
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
        del records
        counts, edges, largest = window_kernels.count_windows(
            made[:4], made[4], part_bits + bits, self.window.link_documents
        )
        put = self.spill.put(counts.astype(np.min_scalar_type(largest), copy=False).ravel())
        return edges, PartCounts(put, ends)

    def cut(
        self, counted: list[PartCounts], number: int
    ) -> list[tuple[ChosenOfChunk, tuple[pa.Table, ...]]]:
        """Return the rows of `windows`, `spans` and `repeats` of each chunk of a block."""
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
            known = get(chunk.known)
            found = window_kernels.collect(stretches, own, filled, counts, records, known)
            if not len(found[0]):
                made.append((chunk, NOTHING))
                continue
            positions = read_positions(chunk.place, found[0])
            made.append((chunk, cut_spans(positions, found, self.window.words)))
        return made
