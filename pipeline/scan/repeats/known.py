"""What the last output of `windows` still says of a corpus that has changed since.

Documents are looked at *again* when they are new, hold an anchor of one that is new or gone, or
hang together with such a one by a repeated window. Windows that have an anchor of a new or gone
document are then found in the documents looked at again and nowhere else, so they are counted
there; of all other windows the last numbers hold, and of all other documents the last spans and
links. Where much has changed that is not worth it, and everything is made anew.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa

from pipeline.engine.former import FormerRows
from pipeline.engine.spill import Ref, Spill
from pipeline.engine.stage import Work
from pipeline.engine.tables import read_batches, read_table
from pipeline.scan.repeats.anchors import AnchorSet
from pipeline.text.arrays import Flags, Int64, Uint32, Uint64
from pipeline.text.sorting import among
from schemas.scan.links import LINKS
from schemas.scan.spans import REPEATS, SPANS

MOST = 4  # one part in so many of the corpus is looked at again at most
ROOM = 6  # one part in so many of the memory is for the anchors of what is new or gone
ANCHOR_BYTES = 16  # of one of these: as it comes, sorted, and in the set


@dataclass(frozen=True)
class Documents:
    """The documents of the corpus, in order.

    Attributes:
        keys: row_key, ascending.
        words: how many each has.
        same: those of groups of shards that are what they were.
    """

    keys: Uint64  # (documents,)
    words: Int64  # (documents,)
    same: Flags  # (documents,)

    def windows(self, size: int, chosen: Flags | slice = slice(None)) -> int:
        """Return how many windows of `size` words the chosen ones have."""
        return int(np.maximum(0, self.words[chosen] - size + 1).sum())


@dataclass(frozen=True)
class HeldAnchors:
    """The anchors of one chunk, put aside.

    Attributes:
        same: whether its group of shards is what it was.
        counts: anchors of each document.
        anchors: of all of them.
    """

    same: bool
    counts: Ref
    anchors: Ref


@dataclass(frozen=True)
class Windows:
    """Some repeated windows, by hash.

    Attributes:
        hashes: of each.
        anchors: of each.
        occurrences: times that it occurs.
        documents: documents that hold it.
    """

    hashes: Uint64  # (windows,)
    anchors: Uint32  # (windows,)
    occurrences: Uint32  # (windows,)
    documents: Uint32  # (windows,)

    def batch(self) -> pa.RecordBatch:
        """Return them as rows of the table `windows`."""
        return pa.record_batch(
            {
                "hash": self.hashes,
                "anchor": self.anchors,
                "occurrences": self.occurrences,
                "documents": self.documents,
            }
        )

    def of(self, chosen: Flags) -> Windows:
        """Return the chosen ones."""
        return Windows(
            self.hashes[chosen],
            self.anchors[chosen],
            self.occurrences[chosen],
            self.documents[chosen],
        )

    @classmethod
    def joined(cls, parts: Sequence[Windows]) -> Windows:
        """Return those of several parts, one after another."""
        return cls(
            np.concatenate([np.zeros(0, np.uint64), *(part.hashes for part in parts)]),
            *(
                np.concatenate([np.zeros(0, np.uint32), *(getattr(part, name) for part in parts)])
                for name in ("anchors", "occurrences", "documents")
            ),
        )

    def merged(self, other: Windows) -> Windows:
        """Return these and others, none of which is among these, by hash."""
        places = np.searchsorted(self.hashes, other.hashes)
        return Windows(
            np.insert(self.hashes, places, other.hashes),
            np.insert(self.anchors, places, other.anchors),
            np.insert(self.occurrences, places, other.occurrences),
            np.insert(self.documents, places, other.documents),
        )


class KnownWindows:
    """The repeated windows whose last numbers hold, put aside in parts by hash."""

    def __init__(self, path: Path, counted: AnchorSet, spill: Spill) -> None:
        self._spill = spill
        self._firsts: list[int] = []
        self._parts: list[tuple[Ref, Ref, Ref, Ref]] = []
        self.rows = 0
        for batch in read_batches(path):
            kept = Windows(
                batch.column("hash").to_numpy(),
                batch.column("anchor").to_numpy(),
                *(
                    batch.column(c).to_numpy().astype(np.uint32)
                    for c in ("occurrences", "documents")
                ),
            )
            kept = kept.of(~counted.holds(kept.anchors))
            if not len(kept.hashes):
                continue
            self.rows += len(kept.hashes)
            self._firsts.append(int(kept.hashes[0]))
            put = spill.put
            self._parts.append(
                (put(kept.hashes), put(kept.anchors), put(kept.occurrences), put(kept.documents))
            )

    def part(self, number: int, bits: int) -> Windows:
        """Return those whose hash has a given number in its top bits."""
        low, high = (n << (64 - bits) for n in (number, number + 1))
        first = max(0, bisect_left(self._firsts, low) - 1)
        found = [
            self._within(part, low, high)
            for part in self._parts[first : bisect_left(self._firsts, high)]
        ]
        narrow = [np.zeros(0, np.uint32)]
        return Windows(
            np.concatenate([np.zeros(0, np.uint64), *(part[0] for part in found)]),
            np.concatenate([*narrow, *(part[1] for part in found)]),
            np.concatenate([*narrow, *(part[2] for part in found)]),
            np.concatenate([*narrow, *(part[3] for part in found)]),
        )

    def _within(self, part: tuple[Ref, Ref, Ref, Ref], low: int, high: int) -> list[np.ndarray]:
        """Return the columns of one part from the hash `low` up to `high`."""
        hashes = self._spill.get(part[0])
        first = int(np.searchsorted(hashes, np.uint64(low)))
        last = len(hashes) if high >> 64 else int(np.searchsorted(hashes, np.uint64(high)))
        return [self._spill.get(ref, first, last) for ref in part]


@dataclass(frozen=True)
class KnownCounts:
    """The windows of which the last numbers hold.

    Attributes:
        anchors: of documents that are new or gone: the windows of these are counted again.
        windows: all other repeated windows.
    """

    anchors: AnchorSet
    windows: KnownWindows


@dataclass(frozen=True)
class Known:
    """What the last output still says, and what must be looked at again.

    Attributes:
        again: the documents that are looked at again.
        counts: the windows that are not counted again.
        spans: rows of the last table.
        repeats: rows of the last table.
        links: places of the first document of a component and of another, of those not looked at.
    """

    again: Flags  # (documents,)
    counts: KnownCounts
    spans: FormerRows
    repeats: FormerRows
    links: tuple[Int64, Int64]

    @classmethod
    def of(
        cls,
        work: Work,
        documents: Documents,
        chunks: Sequence[HeldAnchors],
        gone: Sequence[Ref],
        spill: Spill,
    ) -> Self | None:
        """Return what is known; None where too much has changed for it to be of use, or to fit.

        Args:
            work: the unit of work, which has a `former`.
            documents: those of the corpus.
            chunks: their anchors.
            gone: anchors of chunks that are no longer there.
            spill: for what is put aside.
        """
        changed = [*gone, *(chunk.anchors for chunk in chunks if not chunk.same)]
        size = sum(part.size for part in changed)
        total = sum(chunk.anchors.size for chunk in chunks)
        if MOST * size > total or size > (work.memory // ROOM or 2**62) // ANCHOR_BYTES:
            return None
        counted = AnchorSet(spill.get(part) for part in changed)
        again = ~documents.same
        first = 0
        for chunk in chunks:
            if chunk.same and len(counted):
                counts, anchors = spill.get(chunk.counts), spill.get(chunk.anchors)
                touched = np.repeat(np.arange(len(counts)), counts)[counted.holds(anchors)]
                again[first + touched] = True
            first += chunk.counts.size
        links = _closed(work.former_path("links"), documents, again)
        if MOST * documents.words[again].sum() > documents.words.sum():
            return None
        return cls(
            again,
            KnownCounts(counted, KnownWindows(work.former_path("windows"), counted, spill)),
            FormerRows(work.former_path("spans"), SPANS),
            FormerRows(work.former_path("repeats"), REPEATS),
            links,
        )


def _closed(path: Path, documents: Documents, again: Flags) -> tuple[Int64, Int64]:
    """Add to `again` whatever hangs together with one of them or with one that is gone.

    Return the links of all others, as places of documents.
    """
    links = read_table([path], LINKS)
    ends = [links[side].to_numpy() for side in ("a", "b")]
    places = [np.minimum(np.searchsorted(documents.keys, end), len(again) - 1) for end in ends]
    gone = [
        (documents.keys[place] != end) | ~documents.same[place]
        for place, end in zip(places, ends, strict=True)
    ]
    touched = [lost | again[place] for place, lost in zip(places, gone, strict=True)]
    changed = among(ends[0], np.unique(ends[0][touched[0] | touched[1]]))
    for place, lost in zip(places, gone, strict=True):
        again[place[changed & ~lost]] = True
    return places[0][~changed], places[1][~changed]
