"""What the last output of `windows` still says of a corpus that has changed since.

Documents are looked at *again* when they are new, hold an anchor of one that is new or gone, or
hang together with such a one by a repeated window. Windows that have an anchor of a new or gone
document are then found in the documents looked at again and nowhere else, so they are counted
there; of their other windows the numbers hold that the last table `windows` has of the same places,
and of all other documents its rows and the last spans and links. Where much has changed that is not
worth it, and everything is made anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from pipeline.engine.files import damaged_file
from pipeline.engine.former import FormerRows
from pipeline.engine.spill import Ref, Spill
from pipeline.engine.stage import Work
from pipeline.engine.tables import read_table
from pipeline.scan.repeats.anchors import AnchorSet, ChunkAnchors
from pipeline.scan.repeats.runs import placed
from pipeline.text.arrays import Flags, Int64, Uint32, Uint64
from pipeline.text.sorting import among
from schemas.scan.links import LINKS
from schemas.scan.windows import WINDOWS

MOST = 4  # one part in so many of the corpus is looked at again at most
ROOM = 6  # one part in so many of the memory is for the anchors of what is new or gone
ROOM_OF_ANCHOR = 32  # bytes of one of these: as it comes, sorted, and in the set


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
        unit: that group.
        parts: what `ChunkAnchors` has: counts, tops, more, covers.
    """

    same: bool
    unit: str
    parts: tuple[Ref, Ref, Ref, Ref]

    @classmethod
    def put(cls, chunk: ChunkAnchors, spill: Spill, *, same: bool) -> Self:
        """Put the anchors of a chunk aside."""
        held = [spill.put(part) for part in (chunk.counts, chunk.tops, chunk.more, chunk.covers)]
        return cls(same, chunk.unit, (held[0], held[1], held[2], held[3]))

    def get(self, spill: Spill) -> ChunkAnchors:
        """Return them."""
        return ChunkAnchors(self.unit, *(spill.get(part) for part in self.parts))

    @property
    def tops(self) -> Ref:
        """The top 32 bits of each."""
        return self.parts[1]

    @property
    def documents(self) -> int:
        """How many the chunk has."""
        return self.parts[0].size

    @property
    def anchors(self) -> int:
        """How many they have."""
        return self.parts[1].size


@dataclass(frozen=True)
class Again:
    """The documents of a chunk that are looked at again, and the last numbers of their windows.

    Attributes:
        documents: how many the chunk has.
        rows: places of these documents in it.
        runs: runs of repeated windows, put aside: place among these documents, first word, windows,
            occurrences, documents that hold them, (runs, 5), flat; none of documents that are new.
    """

    documents: int
    rows: Int64  # (documents again,)
    runs: Ref


@dataclass(frozen=True)
class Known:
    """What the last output still says, and what must be looked at again.

    Attributes:
        again: the documents that are looked at again.
        anchors: of documents that are new or gone: the windows of these are counted again.
        links: places of the first document of a component and of another, of those not looked at.
    """

    again: Flags  # (documents,)
    anchors: AnchorSet
    links: tuple[Int64, Int64]

    @classmethod
    def of(
        cls,
        work: Work,
        documents: Documents,
        chunks: Sequence[HeldAnchors],
        gone: Sequence[HeldAnchors],
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
        changed = [*gone, *(chunk for chunk in chunks if not chunk.same)]
        size = sum(chunk.anchors for chunk in changed)
        total = sum(chunk.anchors for chunk in chunks)
        if MOST * size > total or size > (work.memory // ROOM or 2**62) // ROOM_OF_ANCHOR:
            return None
        counted = AnchorSet(chunk.get(spill).anchors for chunk in changed)
        again = ~documents.same
        first = 0
        for chunk in chunks:
            if chunk.same and len(counted):
                of = chunk.get(spill)
                owner = np.repeat(np.arange(chunk.documents), of.counts)
                again[first + owner[counted.holds(of.anchors)]] = True
            first += chunk.documents
        links = _closed(work.former_path("links"), documents, again)
        if MOST * documents.words[again].sum() > documents.words.sum():
            return None
        return cls(again, counted, links)

    def by_chunk(
        self, work: Work, documents: Documents, chunks: Sequence[HeldAnchors], spill: Spill
    ) -> Iterator[Again]:
        """Yield what is looked at again of each chunk, in their order.

        Args:
            work: the unit of work.
            documents: those of the corpus.
            chunks: all of them.
            spill: for their last runs.

        Raises:
            IntegrityError: The last windows are not those of the documents.
        """
        path = work.former_path("windows")
        last, size, first = FormerRows(path, WINDOWS), work.config.window.words, 0
        for chunk in chunks:
            own = slice(first, first + chunk.documents)
            first = own.stop
            rows = np.flatnonzero(self.again[own])
            keys, same = documents.keys[own][rows], documents.same[own][rows]
            runs = _runs(last, keys, same)
            ends = runs[:, 1].astype(np.int64) + runs[:, 2] + size - 1
            if (ends > documents.words[own][rows][runs[:, 0]]).any():
                raise damaged_file(path, "windows that are not in their documents")
            yield Again(chunk.documents, rows, spill.put(runs.ravel()))


def _runs(last: FormerRows, keys: Uint64, same: Flags) -> Uint32:
    """Return the last runs of windows of some documents, (runs, 5), by their places.

    Args:
        last: rows of `windows`.
        keys: row_key of each document, ascending.
        same: those that were there: the keys of others can have been of other ones.
    """
    if not same.any():
        return np.zeros((0, 5), np.uint32)
    runs = placed(last.between(int(keys[0]), int(keys[-1])), keys)
    return runs[same[runs[:, 0]]].astype(np.uint32)


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
