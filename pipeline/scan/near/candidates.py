"""The table `candidates`: pairs of documents that are worth verifying.

Exact copies are represented by one document. Representatives are put into buckets by the keys of
their bands, and those of a bucket meet. A document in a bucket above the cap is crowded: of other
crowded ones it meets the nearest and the best only (`pipeline.scan.near.crowd`), so that its pairs
are bounded. What that leaves out is estimated from a sample, and what the bands find is measured on
planted copies (`pipeline.scan.near.audit`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from pipeline.engine.parts import in_order
from pipeline.engine.progress import current
from pipeline.engine.query import limits, stream
from pipeline.engine.spill import Spill, spilling
from pipeline.engine.stage import Receipt, Work
from pipeline.engine.tables import TableWriter, read_batches, read_table, write_table
from pipeline.scan.near import band_kernels
from pipeline.scan.near import crowd as crowds
from pipeline.scan.near.audit import PlantedCopies, plant
from pipeline.scan.near.band_kernels import Bands
from pipeline.scan.near.crowd_kernels import Crowd, gather
from pipeline.scan.signatures import short_hashes
from pipeline.text import minhash
from pipeline.text.arrays import Flags, Float64, Int64, Uint32, Uint64
from pipeline.text.segmentation import are_compiled
from pipeline.text.sorting import among
from schemas.scan.audit import AUDIT
from schemas.scan.buckets import BUCKETS
from schemas.scan.candidates import CANDIDATES
from schemas.scan.copies import COPIES

VERSION = 6
MET = pa.schema([("a", pa.uint64()), ("b", pa.uint64())])
CURVE_AT = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
MISSED_AT = (crowds.LISTED_AT, crowds.LIKELY_AT)
BAND_BYTES = 24  # of a document in a band: key, member, rank, and the order while it is sorted
MET_AT_ONCE = 1 << 20  # pairs
Buckets: TypeAlias = tuple[
    Uint32, Int64
]  # the members of all buckets of a band, and where each ends


def candidates(work: Work) -> Receipt:
    """Write `candidates`, `buckets` and `audit`: pairs that share a bucket of a band.

    A *reduce* stage. Large buckets are capped and counted.
    """
    sketch = work.config.sketch
    signed, short = _documents(work)
    planted = plant(work.paths("words"), signed.keys, signed.low, signed.words, sketch)
    with (
        write_table(work.folder, "buckets", work.key, BUCKETS) as buckets,
        write_table(work.folder, "candidates", work.key, CANDIDATES) as out,
        write_table(work.folder, "audit", work.key, AUDIT) as audit,
    ):
        job = _Search(work, buckets)
        met = pa.RecordBatchReader.from_batches(MET, job.met(signed, short, planted))
        for batch in stream("scan/candidates", {"met": met}, limits=limits(work)):
            out.write(batch)
        audit.write(planted.table())
    curve = {str(s): round(minhash.s_curve(s, sketch.bands, sketch.rows), 6) for s in CURVE_AT}
    return Receipt(
        (buckets.record, out.record, audit.record),
        buckets.rows,
        out.rows,
        {
            "candidates": out.rows,
            "s_curve": curve,
            "bands": sketch.bands,
            "rows": sketch.rows,
            **job.facts(),
            "planted": planted.bins(),
        },
    )


@dataclass(frozen=True)
class _Documents:
    """Representatives of exact copies, all with a signature or all too short for one.

    Attributes:
        signed: whether they have a signature.
        keys: row_key, ascending.
        low: 64 bits of the text hash.
        words: words of the text.
    """

    signed: bool
    keys: Uint64  # (documents,)
    low: Uint64  # (documents,)
    words: Int64  # (documents,)


def _documents(work: Work) -> tuple[_Documents, _Documents]:
    """Return the representatives that have a signature, and those too short for one."""
    groups = read_table(work.paths("copies"), COPIES, ["row_key", "representative"])
    alone = groups["row_key"].to_numpy() == groups["representative"].to_numpy()
    held: tuple[list[Any], list[Any]] = ([], [])
    place, size = 0, work.config.sketch.shingle_words
    for path in work.paths("signatures"):
        for batch in read_batches(path, ["row_key", "text_hash", "words"]):
            kept = alone[place : place + batch.num_rows]
            place += batch.num_rows
            words = batch["words"].to_numpy()
            halves = np.frombuffer(batch["text_hash"].buffers()[1], np.uint64).reshape(-1, 2)
            low = halves[batch["text_hash"].offset :][: batch.num_rows, 0]
            for kind, rows in zip(
                held, (kept & (words >= size), kept & (words > 0) & (words < size)), strict=True
            ):
                columns = (batch["row_key"].to_numpy(), low, words)
                kind.append([column[rows] for column in columns])
    return _gathered(held[0], signed=True), _gathered(held[1], signed=False)


def _gathered(parts: list[Any], *, signed: bool) -> _Documents:
    """Return the columns of several batches as one."""
    kinds = (np.uint64, np.uint64, np.int64)
    return _Documents(
        signed,
        *(
            np.concatenate([np.zeros(0, kind), *(part[k] for part in parts)])
            for k, kind in enumerate(kinds)
        ),
    )


def _keys_of(work: Work, documents: Uint64) -> Iterator[Uint64]:
    """Yield the keys of all bands of documents that have a signature, (documents, bands)."""
    sketch = work.config.sketch
    for values in crowds.signatures_of(work, documents):
        yield minhash.band_keys(values, sketch.bands, sketch.rows)


class _KeysAside:
    """The keys of all bands, put aside band by band, so that signatures are read once."""

    def __init__(self, work: Work, documents: Uint64, spill: Spill) -> None:
        self._spill = spill
        self._count = len(documents)
        self._held = [(spill.put(keys.T.ravel()), len(keys)) for keys in _keys_of(work, documents)]

    def of(self, numbers: Int64) -> Uint64:
        """Return the keys of bands that follow one another, (bands, documents)."""
        found, at = np.empty((len(numbers), self._count), np.uint64), 0
        first, last = int(numbers[0]), int(numbers[-1]) + 1
        for ref, size in self._held:
            held = self._spill.get(ref, first * size, last * size)
            found[:, at : at + size] = held.reshape(len(numbers), size)
            at += size
        return found


@dataclass
class _Search:
    """The search for pairs over all bands, which writes `buckets`.

    It goes over the bands twice: which documents are crowded must be known before any two meet.

    Attributes:
        work: the unit of work.
        buckets: the writer of the table.
        capped_buckets: buckets above the cap.
        capped_documents: documents in one of these.
        largest: members of the largest bucket.
        missed: about how many pairs that share a bucket did not meet: all, those at MISSED_AT.
    """

    work: Work
    buckets: TableWriter
    capped_buckets: int = 0
    capped_documents: int = 0
    largest: int = 0
    missed: Float64 = field(default_factory=lambda: np.zeros(1 + len(MISSED_AT)))

    def met(
        self, signed: _Documents, short: _Documents, planted: PlantedCopies
    ) -> Iterator[pa.RecordBatch]:
        """Yield the pairs that meet in a band; a pair may come more than once."""
        bands = self.work.config.sketch.bands
        room = (self.work.memory // 4 or 2**62) // (BAND_BYTES * max(1, len(signed.keys)))
        at_once = int(np.clip(room, 1, bands))
        passes = [
            np.arange(first, min(first + at_once, bands)) for first in range(0, bands, at_once)
        ]
        if len(signed.keys):
            with spilling(self.work.folder, 0) as spill:
                aside = _KeysAside(self.work, signed.keys, spill) if len(passes) > 1 else None
                yield from self._over(signed, passes, planted, aside)
        if len(short.keys):
            yield from self._over(short, [np.array([bands])], None)

    def facts(self) -> dict[str, Any]:
        """Return what the manifest tells of caps."""
        left_out, *missed = (round(count) for count in self.missed.tolist())
        return {
            "capped_buckets": self.capped_buckets,
            "estimated_missed": {
                str(at): count for at, count in zip(MISSED_AT, missed, strict=True)
            },
            "capped_documents": self.capped_documents,
            "largest_bucket": self.largest,
            "pairs_left_out": left_out,
        }

    def _over(
        self,
        documents: _Documents,
        passes: Sequence[Int64],
        planted: PlantedCopies | None,
        aside: _KeysAside | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Yield the pairs of some documents, in passes over the bands."""
        make = partial(self._pass, documents, aside)
        only = make(passes[0]) if len(passes) == 1 else None
        largest, of_band = np.zeros((2, len(documents.keys)), np.int64)
        for numbers in passes:
            self._note(only or make(numbers), largest, of_band)
        crowded = largest > self.work.config.near.bucket_cap
        of_band[~crowded] = -1
        self.largest = max(self.largest, int(largest.max(initial=0)))
        self.capped_documents += int(crowded.sum())
        del largest
        if crowded.any() and not are_compiled(gather):
            current().message("compiling loops for large buckets: ten seconds, once")
        crowd = _Crowding(self.work, documents, np.flatnonzero(crowded)) if crowded.any() else None
        for numbers in passes:
            bands, buckets = only or make(numbers)
            for b, own in enumerate(buckets):
                self._write(documents, bands, b, own, of_band)
                gathered = crowd.gather(int(numbers[b]), own) if crowd else None
                if planted:
                    planted.meet(bands, b, own, crowd.crowd if crowd else None, gathered)
            yield from self._pairs(documents, bands, buckets, crowded)
        if crowd:
            yield from crowd.pairs()
            self.missed += crowd.missed()
            if planted:
                planted.meet_crowd(crowd.crowd)

    def _pass(
        self, documents: _Documents, aside: _KeysAside | None, numbers: Int64
    ) -> tuple[Bands, list[Buckets]]:
        """Return the keys of some bands and the buckets of each."""
        keys = aside.of(numbers) if aside else self._band_keys(documents, numbers)
        bands = Bands(numbers, keys, documents.low)
        with ThreadPoolExecutor(self.work.cores) as threads:
            found = threads.map(partial(band_kernels.buckets, bands), range(len(numbers)))
            return bands, list(found)

    def _note(self, made: tuple[Bands, list[Buckets]], largest: Int64, of_band: Int64) -> None:
        """Note the sizes of the buckets of some bands."""
        bands, buckets = made
        for number, (members, ends) in zip(bands.numbers.tolist(), buckets, strict=True):
            band_kernels.note_largest(members, ends, number, largest, of_band)
            self.capped_buckets += int((np.diff(ends) > self.work.config.near.bucket_cap).sum())

    def _band_keys(self, documents: _Documents, numbers: Int64) -> Uint64:
        """Return the keys of some bands, (bands, documents)."""
        if not documents.signed:
            return self._short_keys(documents)
        found, at = np.empty((len(numbers), len(documents.keys)), np.uint64), 0
        for keys in _keys_of(self.work, documents.keys):
            found[:, at : at + len(keys)] = keys[:, numbers].T
            at += len(keys)
        return found

    def _short_keys(self, documents: _Documents) -> Uint64:
        """Return the one key of documents too short for a signature, (1, documents)."""
        parts = []
        for path in self.work.paths("signatures"):
            for batch in read_batches(path, ["row_key", "signature"], 8192):
                rows = np.flatnonzero(among(batch["row_key"].to_numpy(), documents.keys))
                parts.append(short_hashes(batch["signature"].take(pa.array(rows)))[1])
        return np.concatenate(parts)[None, :]

    def _pairs(
        self, documents: _Documents, bands: Bands, buckets: list[Buckets], crowded: Flags
    ) -> Iterator[pa.RecordBatch]:
        """Yield the pairs of the buckets of some bands, but those of two crowded documents."""

        def meet(part: tuple[int, slice, int]) -> Uint64:
            b, wanted, room = part
            members, ends = buckets[b]
            own = ends[wanted.start : wanted.stop + 1]
            return np.asarray(band_kernels.met(bands, crowded, b, members, own, room))

        parts = (part for b, own in enumerate(buckets) for part in _parts(b, own, crowded))
        with ThreadPoolExecutor(self.work.cores) as threads:
            for codes in in_order(threads, self.work.cores, meet, parts):
                sides = codes >> np.uint64(32), codes & np.uint64(0xFFFFFFFF)
                columns = [pa.array(documents.keys[side.astype(np.int64)]) for side in sides]
                yield pa.record_batch(columns, schema=MET)

    def _write(
        self, documents: _Documents, bands: Bands, b: int, buckets: Buckets, of_band: Int64
    ) -> None:
        """Write the rows of `buckets` of one band; of a crowded document that of one band only."""
        members, ends = buckets
        sizes = np.diff(ends)
        rows = np.flatnonzero((of_band[members] < 0) | (of_band[members] == bands.numbers[b]))
        written = members[rows]
        self.buckets.write(
            pa.table(
                {
                    "band": np.full(len(rows), bands.numbers[b], np.int32),
                    "bucket": bands.keys[b][written],
                    "rank": (np.arange(len(members)) - np.repeat(ends[:-1], sizes) + 1)[rows],
                    "row_key": documents.keys[written],
                    "members": np.repeat(sizes, sizes)[rows],
                }
            )
        )


def _parts(b: int, buckets: Buckets, crowded: Flags) -> Iterator[tuple[int, slice, int]]:
    """Yield runs of the buckets of a band with MET_AT_ONCE pairs or one bucket, and their pairs."""
    counts = band_kernels.pairs_of(*buckets, crowded)
    part = (np.cumsum(counts) - counts) // MET_AT_ONCE
    bounds = np.append(np.flatnonzero(np.diff(part, prepend=-1)), len(counts))
    for first, last in pairwise(bounds):
        room = int(counts[first:last].sum())
        if room:
            yield b, slice(int(first), int(last)), room


class _Crowding:
    """The crowd of some documents while it is gathered, band by band.

    Attributes:
        crowd: the documents and their lists.
    """

    def __init__(self, work: Work, documents: _Documents, crowded: Int64) -> None:
        self._work, self._signed = work, documents.signed
        self._keys = documents.keys[crowded]
        self.crowd: Crowd = crowds.make_crowd(
            work, documents.keys, documents.low, crowded, signed=documents.signed
        )
        self._sample = crowds.Missed([], [])

    def gather(self, band: int, buckets: Buckets) -> tuple[Uint32, Uint64, Int64, Flags]:
        """Let the crowd of each bucket of a band meet; return what `crowd_kernels.gather` does."""
        sketch, cap = self._work.config.sketch, self._work.config.near.bucket_cap
        start = crowds.first_code(band, sketch) if self._signed else 0
        large = band % max(1, sketch.bands // crowds.LARGE_BANDS) == 0
        found = gather(self.crowd, *buckets, start, cap, large or not self._signed)
        share = -(-crowds.SAMPLE // (sketch.bands if self._signed else 1))
        self._sample.add(band, share, found[0], found[2])
        return found

    def pairs(self) -> Iterator[pa.RecordBatch]:
        """Yield the pairs that the crowd's lists hold."""
        for sides in crowds.pairs_of(self.crowd, self._keys):
            yield pa.record_batch([pa.array(side) for side in sides], schema=MET)

    def missed(self) -> Float64:
        """Return about how many pairs were left out: all, and those at MISSED_AT."""
        return self._sample.estimates(self._work, self.crowd, self._keys, signed=self._signed)
