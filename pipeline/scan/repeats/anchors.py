"""The table `anchors`, and sets of anchors: by these a change finds the documents that it touches.

Equal windows have equal anchors. So the windows whose numbers change when documents come and go are
among those with an anchor of such a document, and all documents that hold one of these hold that
anchor. An anchor is told by the top 40 bits of its hash: two that share them are taken for one,
everywhere, which costs a look at a document and no count. (With 32 bits a hundredth of 1.5 GB had
false ones in 11% of all words.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa

from pipeline.engine.files import damaged_file
from pipeline.engine.tables import read_batches
from pipeline.scan.repeats import window_kernels
from pipeline.text.arrays import Flags, Int64, Uint8, Uint16, Uint32, Uint64
from schemas.scan.anchors import ANCHORS

BITS = 40  # that tell an anchor
MORE = 8  # of these, beyond 32
SPREAD = 5  # 2^5 bits for each anchor of a set tell all but a 32nd of the others


@dataclass(frozen=True)
class ChunkAnchors:
    """The anchors of one chunk of `words`.

    Attributes:
        unit: the group of shards.
        counts: anchors of each document.
        tops: top 32 bits of each anchor of all documents, in text order.
        more: the next 8 bits of each.
        covers: windows in a row that have each.
    """

    unit: str
    counts: Uint32  # (documents,)
    tops: Uint32  # (anchors,)
    more: Uint8  # (anchors,)
    covers: Uint16  # (anchors,)

    @property
    def anchors(self) -> Uint64:
        """All that is known of each anchor, (anchors,)."""
        return self.tops.astype(np.uint64) << np.uint64(MORE) | self.more

    def of(self, rows: Int64) -> Self:
        """Return those of some documents, by their places in ascending order."""
        wanted = np.zeros(len(self.counts), np.bool_)
        wanted[rows] = True
        own = np.repeat(wanted, self.counts)
        return type(self)(
            self.unit, self.counts[rows], self.tops[own], self.more[own], self.covers[own]
        )

    def windows(self) -> Int64:
        """Return how many windows each document has, (documents,)."""
        ends = np.cumsum(self.counts, dtype=np.int64)
        covered = np.concatenate([[0], np.cumsum(self.covers, dtype=np.int64)])
        return np.asarray(covered[ends] - covered[ends - self.counts])

    def row(self) -> pa.Table:
        """Return this as a row of the table `anchors`."""
        parts = self.counts, self.tops, self.more, self.covers
        cells = [[self.unit], *([part.tobytes()] for part in parts)]
        return pa.table(cells, schema=ANCHORS)


def read_anchors(path: Path) -> Iterator[ChunkAnchors]:
    """Yield the chunks of a file of `anchors`, in order.

    Raises:
        IntegrityError: When a chunk has not as many anchors as its documents.
    """
    kinds = {"counts": np.uint32, "anchors": np.uint32, "more": np.uint8, "covers": np.uint16}
    for batch in read_batches(path, rows=1):
        held = {name: batch.column(name)[0].as_buffer() for name in kinds}
        if any(len(held[name]) % np.dtype(kind).itemsize for name, kind in kinds.items()):
            raise damaged_file(path, "anchors that are no whole numbers")
        parts = [np.frombuffer(held[name], kind) for name, kind in kinds.items()]
        if {int(parts[0].sum())} != {len(part) for part in parts[1:]}:
            raise damaged_file(path, f"{len(parts[1])} anchors of documents that have others")
        yield ChunkAnchors(batch.column("unit")[0].as_py(), *parts)


class AnchorSet:
    """A set of anchors that tells quickly which of many others are in it."""

    def __init__(self, parts: Iterable[Uint64]) -> None:
        self._known = np.unique(np.concatenate([np.zeros(0, np.uint64), *parts]))
        bits = min(BITS, max(3, len(self._known).bit_length() + SPREAD))
        self._mask = 2**bits - 1  # the lowest: the least of some hashes has few of the top ones
        self._bitmap: Uint8 = np.zeros(2**bits // 8, np.uint8)
        window_kernels.fill(self._known, self._mask, self._bitmap)

    def __len__(self) -> int:
        """Return how many different anchors it has."""
        return len(self._known)

    def holds(self, anchors: Uint64) -> Flags:
        """Return for each anchor whether it is in the set, (anchors,)."""
        return np.asarray(window_kernels.are_among(anchors, self._known, self._mask, self._bitmap))
