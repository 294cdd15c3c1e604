"""The table `candidates`: pairs of documents that are worth verifying.

Exact copies are represented by one document. Representatives are put into buckets by the keys of
their bands. A bucket is paired in full up to a cap; above it each member meets its neighbours in an
order that differs from band to band, and the hubs: the members of highest priority, the longest and
the earliest. What a cap leaves out is estimated from a sample, and what the bands find is measured
on planted copies (`pipeline.scan.near.audit`).
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.engine.query import limits, run, stream
from pipeline.engine.stage import Receipt, Work
from pipeline.engine.tables import TableWriter, read_batches, read_table, write_table
from pipeline.scan.near import band_kernels
from pipeline.scan.near.audit import PlantedCopies, plant
from pipeline.scan.near.band_kernels import Bands
from pipeline.scan.signatures import short_hashes, signature_matrix
from pipeline.text import minhash
from pipeline.text.arrays import Int64, Uint32, Uint64
from pipeline.text.sorting import among
from schemas.scan.audit import AUDIT
from schemas.scan.buckets import BUCKETS
from schemas.scan.candidates import CANDIDATES
from schemas.scan.copies import COPIES

VERSION = 3
MET = pa.schema([("a", pa.uint64()), ("b", pa.uint64())])
CURVE_AT = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
MISSED_AT = (0.5, 0.8)
SAMPLE = 4_096  # pairs of capped buckets that are looked at
BAND_BYTES = 24  # of a document in a band: key, member, rank, and the order while it is sorted


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
        job = _BandPass(work, buckets, planted)
        met = pa.RecordBatchReader.from_batches(MET, job.met(signed, short))
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
            **_left_out(work, [buckets.place]),
            "capped_documents": job.capped_documents,
            "largest_bucket": job.largest,
            "pairs_left_out": job.left_out,
            "planted": planted.bins(),
        },
    )


@dataclass(frozen=True)
class _Documents:
    """Representatives of exact copies, all with a signature or all too short for one.

    Attributes:
        keys: row_key, ascending.
        low: 64 bits of the text hash.
        text_bytes: length of the text.
        words: words of the text.
        priority: of the user, -inf where there is none.
    """

    keys: Uint64  # (documents,)
    low: Uint64  # (documents,)
    text_bytes: Int64  # (documents,)
    words: Int64  # (documents,)
    priority: np.ndarray  # (documents,)


def _documents(work: Work) -> tuple[_Documents, _Documents]:
    """Return the representatives that have a signature, and those too short for one."""
    groups = read_table(work.paths("copies"), COPIES, ["row_key", "representative"])
    alone = groups["row_key"].to_numpy() == groups["representative"].to_numpy()
    held: tuple[list[Any], list[Any]] = ([], [])
    names = ["row_key", "text_hash", "text_bytes", "words", "priority"]
    place, size = 0, work.config.sketch.shingle_words
    for path in work.paths("signatures"):
        for batch in read_batches(path, names):
            kept = alone[place : place + batch.num_rows]
            place += batch.num_rows
            words = batch["words"].to_numpy()
            halves = np.frombuffer(batch["text_hash"].buffers()[1], np.uint64).reshape(-1, 2)
            low = halves[batch["text_hash"].offset :][: batch.num_rows, 0]
            for kind, rows in zip(
                held, (kept & (words >= size), kept & (words > 0) & (words < size)), strict=True
            ):
                priority = pc.fill_null(batch["priority"], -np.inf).to_numpy()
                columns = (
                    batch["row_key"].to_numpy(),
                    low,
                    batch["text_bytes"].to_numpy(),
                    words,
                    priority,
                )
                kind.append([column[rows] for column in columns])
    return _gathered(held[0]), _gathered(held[1])


def _gathered(parts: list[Any]) -> _Documents:
    """Return the columns of several batches as one."""
    kinds = (np.uint64, np.uint64, np.int64, np.int64, np.float64)
    return _Documents(
        *(
            np.concatenate([np.zeros(0, kind), *(part[k] for part in parts)])
            for k, kind in enumerate(kinds)
        )
    )


@dataclass
class _BandPass:
    """One run over all bands, which writes `buckets`.

    Attributes:
        work: the unit of work.
        buckets: the writer of the table.
        planted: the copies that are looked for besides.
        capped_documents: documents in a bucket that was not paired in full.
        largest: members of the largest bucket.
        left_out: pairs that the caps left out.
    """

    work: Work
    buckets: TableWriter
    planted: PlantedCopies
    capped_documents: int = 0
    largest: int = 0
    left_out: int = 0

    def met(self, signed: _Documents, short: _Documents) -> Iterator[pa.RecordBatch]:
        """Yield the pairs that meet in a band; a pair may come more than once."""
        sketch, capped = self.work.config.sketch, np.zeros(len(signed.keys), np.bool_)
        room = (self.work.memory // 4 or 2**62) // (BAND_BYTES * max(1, len(signed.keys)))
        at_once = int(np.clip(room, 1, sketch.bands))
        for first in range(0, sketch.bands if len(signed.keys) else 0, at_once):
            numbers = np.arange(first, min(first + at_once, sketch.bands))
            keys = self._band_keys(signed, numbers)
            yield from self._paired(signed, numbers, keys, capped, self.planted)
        few = np.zeros(len(short.keys), np.bool_)
        if len(short.keys):
            number = np.array([sketch.bands])
            yield from self._paired(short, number, self._short_keys(short), few, None)
        self.capped_documents = int(capped.sum() + few.sum())

    def _band_keys(self, documents: _Documents, numbers: Int64) -> Uint64:
        """Return the keys of some bands, (bands, documents)."""
        sketch, found = (
            self.work.config.sketch,
            np.empty((len(numbers), len(documents.keys)), np.uint64),
        )
        at = 0
        for count, column in self._signatures(documents.keys):
            _, values = signature_matrix(column, sketch.bands * sketch.rows)
            keys = minhash.band_keys(values, sketch.bands, sketch.rows)
            found[:, at : at + count] = keys[:, numbers].T
            at += count
        return found

    def _short_keys(self, documents: _Documents) -> Uint64:
        """Return the one key of documents too short for a signature, (1, documents)."""
        parts = [short_hashes(column)[1] for _, column in self._signatures(documents.keys)]
        return np.concatenate(parts)[None, :]

    def _signatures(self, keys: Uint64) -> Iterator[tuple[int, pa.Array]]:
        """Yield the signatures of the documents `keys`, batch by batch, and how many they are."""
        for path in self.work.paths("signatures"):
            for batch in read_batches(path, ["row_key", "signature"], 8192):
                rows = np.flatnonzero(among(batch["row_key"].to_numpy(), keys))
                if len(rows):
                    yield len(rows), batch["signature"].take(pa.array(rows))

    def _paired(
        self,
        documents: _Documents,
        numbers: Int64,
        keys: Uint64,
        capped: np.ndarray,
        planted: PlantedCopies | None,
    ) -> Iterator[pa.RecordBatch]:
        """Yield the pairs that meet in some bands, and write the buckets of these."""
        near = self.work.config.near
        limits = np.array([near.bucket_cap, near.neighbours], np.int64)
        bands = Bands(
            numbers, keys, documents.low, documents.text_bytes, documents.priority, limits
        )
        flags = np.zeros(keys.shape, np.uint8)
        count = range(len(numbers))
        with ThreadPoolExecutor(self.work.cores) as threads:
            buckets = list(threads.map(partial(band_kernels.buckets, bands), count))
            for b, (members, ends) in enumerate(buckets):
                band_kernels.mark_capped(members, ends, near.bucket_cap, flags[b])
                self.left_out += int(band_kernels.left_out(bands, members, ends))
                self._write(documents, bands, b, members, ends)
                if planted:
                    planted.meet(bands, b, flags[b], members, ends)
            capped |= flags.any(axis=0)

            def pair(b: int) -> Uint64:
                return np.asarray(band_kernels.met(bands, flags, b, *buckets[b]))

            for codes in threads.map(pair, count):
                first, second = codes >> np.uint64(32), codes & np.uint64(0xFFFFFFFF)
                sides = [
                    pa.array(documents.keys[side.astype(np.int64)]) for side in (first, second)
                ]
                yield pa.record_batch(sides, schema=MET)

    def _write(
        self, documents: _Documents, bands: Bands, b: int, members: Uint32, ends: Int64
    ) -> None:
        """Write the rows of `buckets` of one band."""
        sizes = np.diff(ends)
        self.largest = max(self.largest, int(sizes.max(initial=0)))
        self.buckets.write(
            pa.table(
                {
                    "band": np.full(len(members), bands.numbers[b], np.int32),
                    "bucket": bands.keys[b][members],
                    "rank": np.arange(len(members)) - np.repeat(ends[:-1], sizes) + 1,
                    "row_key": documents.keys[members],
                    "members": np.repeat(sizes, sizes),
                }
            )
        )


def _left_out(work: Work, buckets: list[Path]) -> dict[str, Any]:
    """Return how many buckets are capped, and the near pairs that this misses, from a sample.

    A pair's similarity is estimated by its equal bands; one that several capped buckets hold counts
    once. Taken from the finished table, so that passes over the bands change nothing.
    """
    sketch, near = work.config.sketch, work.config.near
    large = run("scan/capped", {"buckets": buckets}, {"cap": near.bucket_cap}, limits=limits(work))
    sizes = large["members"].to_numpy()
    pairs = sizes * (sizes - 1) // 2
    missed = np.zeros(len(MISSED_AT))
    if len(pairs):
        draw = np.random.default_rng(1)
        chosen = np.searchsorted(np.cumsum(pairs), draw.integers(0, pairs.sum(), SAMPLE), "right")
        low = draw.integers(0, sizes[chosen])
        high = (low + draw.integers(1, sizes[chosen])) % sizes[chosen]
        sample = large.select(["band", "bucket"]).take(pa.array(chosen))
        for name, values in (("pair", np.arange(SAMPLE)), ("low", low + 1), ("high", high + 1)):
            sample = sample.append_column(name, pa.array(values))
        params = {"cap": near.bucket_cap, "neighbours": near.neighbours}
        found = run(
            "scan/left_out", {"buckets": buckets, "sample": sample}, params, limits=limits(work)
        )
        out = ~found["found"].to_numpy()
        short = sample["band"].to_numpy() == sketch.bands  # all of their words are equal
        alike = np.where(short, 1.0, found["equal"].to_numpy() / sketch.bands)
        weight = out / found["together"].to_numpy() * float(pairs.sum()) / SAMPLE
        missed = np.array([weight[alike >= at**sketch.rows].sum() for at in MISSED_AT])
    estimates = zip(MISSED_AT, missed.tolist(), strict=True)
    return {
        "capped_buckets": large.num_rows,
        "estimated_missed": {str(at): round(count) for at, count in estimates},
    }
