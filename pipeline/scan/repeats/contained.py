"""The table `contained`: documents that lie, to a good part, in a longer one.

Bands never propose such excerpts. A document and a longer one become candidates when they share a
repeated window: of each document up to CHOSEN windows are looked up, those of smallest hash among
the ones that a longer text holds and that at most `window.link_documents` different texts hold. So
a document is found when any `window.words` consecutive words of it stand unchanged in the longer
one, unless it has more than CHOSEN repeated windows and the longer text few of them: with a share f
of them, it is missed with probability (1 - f)^CHOSEN. Each candidate is then proved
(`pipeline.scan.shingle_sets`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa

from pipeline.config.sections import CONTAINMENT_FLOOR
from pipeline.engine.parts import parting
from pipeline.engine.progress import current
from pipeline.engine.query import limits, stream
from pipeline.engine.stage import Receipt, Work
from pipeline.engine.tables import (
    ROW_GROUP,
    TableWriter,
    evenly,
    read_batches,
    read_table,
    write_table,
)
from pipeline.scan.repeats import contained_kernels
from pipeline.scan.repeats.contained_kernels import FILLED
from pipeline.scan.repeats.runs import runs_of
from pipeline.scan.shingle_sets import ROWS_AT_ONCE, Criterion, shared_shingles, slabs
from pipeline.scan.vocabulary import hold_words
from pipeline.scan.words import ChunkPlace, chunk_places, read_chunk
from pipeline.text import segmentation as text
from pipeline.text.arrays import Int64, Uint8, Uint32, Uint64
from pipeline.text.sorting import among, order_of
from schemas.scan.contained import CONTAINED
from schemas.scan.copies import COPIES
from schemas.scan.spans import REPEATS

VERSION = 2
CHOSEN = 16
MET = pa.schema([("document", pa.uint64()), ("container", pa.uint64())])
CODES_AT_ONCE = 1 << 20
OCCURRENCE_BYTES = 64  # of a window: hash and document, twice while joined, and the order


def contained(work: Work) -> Receipt:
    """Write the table `contained`: texts that are proved to lie in longer ones.

    A *reduce* stage. The table is empty unless `near.containment` is set.
    """
    with write_table(work.folder, "contained", work.key, CONTAINED) as out:
        facts = _fill(work, out) if work.config.near.containment else {}
    return Receipt((out.record,), facts.get("candidates", 0), out.rows, facts)


def _fill(work: Work, out: TableWriter) -> dict[str, int]:
    """Write the rows of `contained`; return the facts of the stage."""
    seed, places = work.config.sketch.seed, chunk_places(work.paths("words"))
    texts = _texts(work)
    tried = 0

    def found() -> Iterator[pa.RecordBatch]:
        nonlocal tried
        met = pa.RecordBatchReader.from_batches(MET, _met(work, places, texts))
        listed = stream("scan/contained", {"met": met}, limits=limits(work))
        for document, container in slabs(work, listed):
            for table in _verified(work, places, document, container):
                yield from table.to_batches()
            tried += len(document)
            current().advance(tried, 0, "excerpts verified")

    for batch in evenly(found(), ROW_GROUP):
        out.write(batch)
    vocabulary = 0
    if out.rows:
        with parting(work.folder, work.memory // 3 or 2**62, work.cores) as parts:
            vocabulary = hold_words(places, seed, parts)
    return {
        "texts": len(texts.keys),
        "candidates": tried,
        "contained": out.rows,
        "vocabulary": vocabulary,
    }


@dataclass(frozen=True)
class _WindowHolders:
    """The different texts that hold a repeated window.

    Attributes:
        keys: row_key of the representative, ascending.
        words: words of the text.
    """

    keys: Uint64  # (texts,)
    words: Int64  # (texts,)


def _texts(work: Work) -> _WindowHolders:
    """Return the representatives that hold a repeated window."""
    copies = read_table(work.paths("copies"), COPIES, ["row_key", "representative"])
    repeated = read_table(work.paths("repeats"), REPEATS, ["row_key"])["row_key"].to_numpy()
    first = copies["row_key"].to_numpy() == copies["representative"].to_numpy()
    held: list[Uint64] = [np.zeros(0, np.uint64)]
    lengths: list[Int64] = [np.zeros(0, np.int64)]
    at = 0
    for path in work.paths("signatures"):
        for batch in read_batches(path, ["row_key", "words"]):
            keys = batch["row_key"].to_numpy()
            rows = first[at : at + len(keys)] & among(keys, repeated)
            at += len(keys)
            held.append(keys[rows])
            lengths.append(batch["words"].to_numpy()[rows])
    return _WindowHolders(np.concatenate(held), np.concatenate(lengths))


def _met(work: Work, places: list[ChunkPlace], texts: _WindowHolders) -> Iterator[pa.RecordBatch]:
    """Yield documents with longer ones that hold a chosen window; a pair may come more than once.

    The hashes are gone through range by range, from the smallest up, so that memory follows the
    budget and the windows chosen do not depend on it.
    """
    chosen = np.zeros(len(texts.keys), np.uint8)
    skip = _ranges(work)
    for number in range(1 << skip):
        range_ = np.array([skip, number], np.int64)
        hashes, holders = _occurrences(work, places, texts, range_)
        order = order_of(hashes, skip)
        for codes in _codes(work, (hashes[order], holders[order]), texts, chosen):
            ends = codes >> np.uint64(32), codes & np.uint64(0xFFFFFFFF)
            sides = [pa.array(texts.keys[side.astype(np.int64)]) for side in ends]
            yield pa.record_batch(sides, schema=MET)


def _ranges(work: Work) -> int:
    """Return how many top bits cut the hashes into ranges whose windows fit the budget."""
    total = 0
    for path in work.paths("windows"):
        for batch in read_batches(path, ["windows"]):
            total += int(batch["windows"].to_numpy().sum())
    room = work.memory // 6 or 2**62
    return int(np.ceil(np.log2(max(1.0, total * OCCURRENCE_BYTES / room))))


def _codes(
    work: Work, windows: tuple[Uint64, Uint32], texts: _WindowHolders, chosen: Uint8
) -> Iterator[Uint64]:
    """Yield the different pairs document << 32 | longer document, as places among the texts."""
    most = min(work.config.window.link_documents, max(1, len(texts.keys)))
    numbers = np.array([most, CHOSEN], np.int64)
    state, codes = np.zeros(3, np.int64), np.empty(most + CODES_AT_ONCE, np.uint64)
    more = True
    while more:
        more = contained_kernels.meet(*windows, texts.words, numbers, chosen, state, codes)
        yield np.unique(codes[: state[FILLED]])


def _occurrences(
    work: Work, places: list[ChunkPlace], texts: _WindowHolders, range_: Int64
) -> tuple[Uint64, Uint32]:
    """Return hash and document of the windows of a range that several documents hold."""
    find = partial(_find, work, texts, range_)
    hashes: list[Uint64] = [np.zeros(0, np.uint64)]
    holders: list[Uint32] = [np.zeros(0, np.uint32)]
    with parting(work.folder, 0, work.cores) as parts:
        for found, documents in parts.in_order(find, places):
            hashes.append(found)
            holders.append(documents)
            current().advance(len(hashes) - 1, len(places), "chunks of words")
    return np.concatenate(hashes), np.concatenate(holders)


def _find(
    work: Work, texts: _WindowHolders, range_: Int64, place: ChunkPlace
) -> tuple[Uint64, Uint32]:
    """Return hash and text of the windows of a range in one chunk that several documents hold."""
    chunk = read_chunk(place)
    rows = np.flatnonzero(among(chunk.keys, texts.keys))
    words = text.take(chunk.words, rows)
    offsets, hashes = text.runs(words, work.config.window.words, work.config.sketch.seed)
    repeated = runs_of(work.paths("windows"), chunk.keys[rows])
    shared = repeated[repeated[:, 4] > 1]
    found, holders = contained_kernels.occurrences(offsets, hashes, range_, shared)
    first = np.searchsorted(texts.keys, chunk.keys[rows]).astype(np.uint32)
    return found, first[holders]


def _verified(
    work: Work, places: list[ChunkPlace], document: Uint64, container: Uint64
) -> Iterator[pa.Table]:
    """Yield the rows of `contained` for some candidates, in their order."""
    test = Criterion(CONTAINMENT_FLOOR, of_first=True)
    inter, size, container_size = shared_shingles(work, places, document, container, test)
    found = np.flatnonzero(inter)
    for low in range(0, len(found), ROWS_AT_ONCE):
        rows = found[low : low + ROWS_AT_ONCE]
        yield pa.table(
            {
                "document": document[rows],
                "container": container[rows],
                "inter": inter[rows].astype(np.uint32),
                "size": size[rows].astype(np.uint32),
                "container_size": container_size[rows].astype(np.uint32),
                "containment": inter[rows] / size[rows],
            }
        )
