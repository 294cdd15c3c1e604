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

import numpy as np
import pyarrow as pa

from pipeline.engine.files import damaged_file
from pipeline.engine.tables import read_batches
from pipeline.scan.repeats import window_kernels
from pipeline.text.arrays import Flags, Uint8, Uint32, Uint64
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
        anchors: of all documents, in text order.
    """

    unit: str
    counts: Uint32  # (documents,)
    anchors: Uint64  # (anchors,)

    def row(self) -> pa.Table:
        """Return this as a row of the table `anchors`."""
        top = (self.anchors >> np.uint64(MORE)).astype(np.uint32)
        parts = self.counts, top, self.anchors.astype(np.uint8)
        cells = [[self.unit], *([part.tobytes()] for part in parts)]
        return pa.table(cells, schema=ANCHORS)


def read_anchors(path: Path) -> Iterator[ChunkAnchors]:
    """Yield the chunks of a file of `anchors`, in order.

    Raises:
        IntegrityError: When a chunk has not as many anchors as its documents.
    """
    for batch in read_batches(path, rows=1):
        held = [batch.column(name)[0].as_buffer() for name in ("counts", "anchors", "more")]
        if len(held[0]) % 4 or len(held[1]) != 4 * len(held[2]):
            raise damaged_file(path, "anchors that are no whole numbers")
        counts, top = (np.frombuffer(buffer, np.uint32) for buffer in held[:2])
        if counts.sum() != len(top):
            raise damaged_file(path, f"{len(top)} anchors of documents that have others")
        anchors = top.astype(np.uint64) << np.uint64(MORE) | np.frombuffer(held[2], np.uint8)
        yield ChunkAnchors(batch.column("unit")[0].as_py(), counts, anchors)


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
