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

ANCHOR_BYTES = 5  # of each that is kept
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
        kept = self.anchors.astype("<u8").view(np.uint8).reshape(-1, 8)[:, :ANCHOR_BYTES]
        cells = [[self.unit], [self.counts.tobytes()], [kept.tobytes()]]
        return pa.table(cells, schema=ANCHORS)


def read_anchors(path: Path) -> Iterator[ChunkAnchors]:
    """Yield the chunks of a file of `anchors`, in order.

    Raises:
        IntegrityError: When a chunk has not as many anchors as its documents.
    """
    for batch in read_batches(path, rows=1):
        held = [batch.column(name)[0].as_buffer() for name in ("counts", "anchors")]
        if len(held[0]) % 4 or len(held[1]) % ANCHOR_BYTES:
            raise damaged_file(path, "anchors that are no whole numbers")
        counts = np.frombuffer(held[0], np.uint32)
        kept = np.frombuffer(held[1], np.uint8).reshape(-1, ANCHOR_BYTES)
        if counts.sum() != len(kept):
            raise damaged_file(path, f"{len(kept)} anchors of documents that have others")
        anchors = np.zeros((len(kept), 8), np.uint8)
        anchors[:, :ANCHOR_BYTES] = kept
        yield ChunkAnchors(batch.column("unit")[0].as_py(), counts, anchors.view("<u8").ravel())


class AnchorSet:
    """A set of anchors that tells quickly which of many others are in it."""

    def __init__(self, parts: Iterable[Uint64]) -> None:
        self._known = np.unique(np.concatenate([np.zeros(0, np.uint64), *parts]))
        whole = 8 * ANCHOR_BYTES
        self._shift = whole - min(whole, max(3, len(self._known).bit_length() + SPREAD))
        bits = whole - self._shift
        self._bitmap: Uint8 = np.zeros(2**bits // 8, np.uint8)
        window_kernels.fill(self._known, self._shift, self._bitmap)

    def __len__(self) -> int:
        """Return how many different anchors it has."""
        return len(self._known)

    def holds(self, anchors: Uint64) -> Flags:
        """Return for each anchor whether it is in the set, (anchors,)."""
        return np.asarray(window_kernels.are_among(anchors, self._known, self._shift, self._bitmap))
