"""The documents of capped buckets: whom they meet, and an estimate of what they do not meet.

A document in a bucket above the cap is crowded. Pairs of two crowded documents are not all
verified: each keeps the nearest that it has met and the best of those, the hubs
(`pipeline.scan.near.crowd_kernels`). So the pairs of a document are bounded, however many are like
it, and of many mutual near copies each is compared with the one that stays. Which one that is
depends on settings that may change after a scan: hubs are the best by length and by place, and the
best of each source.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config.sections import SketchConfig
from pipeline.engine.shards import row_of, shard_of
from pipeline.engine.stage import Work
from pipeline.engine.tables import read_batches, read_table
from pipeline.scan.near import crowd_kernels as kernels
from pipeline.scan.near.crowd_kernels import ALONE, CODES, NONE, Crowd
from pipeline.scan.ranking import KEEPS, best_first
from pipeline.scan.shingle_sets import Criterion, shared_shingles
from pipeline.scan.signatures import signature_matrix
from pipeline.scan.words import chunk_places
from pipeline.text import minhash
from pipeline.text.arrays import Float64, Int32, Int64, Uint32, Uint64
from pipeline.text.sorting import among
from schemas.scan.copies import COPIES

LISTED_AT, LIKELY_AT = 0.5, 0.8  # of interest at all; a near copy, as the settings are by default
RANKED_BY = ("row_key", "priority", "priority_rest", "text_bytes", "source")
MARGIN = 1.5  # standard deviations by which an estimate may fall short of these
LARGE_BANDS = 14  # in so many bands or a few more the members of large buckets meet
SAMPLE = 1_024  # pairs that are verified for the estimate of what is missed
TOLD_AT_ONCE = 16_384  # documents whose pairs are given at once
MOST_SOURCES = 1 << 16  # beyond so many source values, the others are one class


def most_apart(values: int, jaccard: float) -> int:
    """Return how many of so many codes may differ of two texts that may be as near as that.

    A code is equal with the probability 1/4 + 3/4 J.
    """
    differ = 0.75 * (1 - jaccard)
    return int(values * differ + MARGIN * (values * differ * (1 - differ)) ** 0.5)


def make_crowd(work: Work, keys: Uint64, low: Uint64, crowded: Int64, *, signed: bool) -> Crowd:
    """Return the crowd of a corpus with empty lists.

    Args:
        work: the unit of work.
        keys: row_key of the documents that may meet, ascending.
        low: 64 bits of their text hashes.
        crowded: places of the crowded ones among these.
        signed: whether they have signatures; if not, those of a bucket have the same words.
    """
    place = np.full(len(keys), -1, np.int64)
    place[crowded] = np.arange(len(crowded))
    count, near = len(crowded), work.config.near
    begins, classes, row_ranks = _rows(work, keys[crowded])
    kinds = kernels.CLASSES if len(classes) and classes.max() != ALONE else 0
    sketch = work.config.sketch
    values = min(CODES, sketch.bands * sketch.rows) if signed else 0
    ranks = [np.minimum.reduceat(own, begins[:-1]) for own in row_ranks]
    return Crowd(
        place,
        _codes(work, keys[crowded]) if signed else np.zeros((count, kernels.WORDS), np.uint64),
        low[crowded],
        np.array(ranks, np.uint32),
        begins,
        classes,
        row_ranks,
        np.array([most_apart(values, at) for at in (LISTED_AT, LIKELY_AT)], np.int64),
        np.full((count, near.neighbours), NONE, np.uint32),
        np.full((count, near.neighbours), 255, np.uint8),
        np.full((count, kernels.ORDERS * kernels.PER_ORDER), NONE, np.uint32),
        np.full((count, kinds), ALONE, np.int32),
        np.full((count, kinds, kernels.ORDERS), NONE, np.uint32),
    )


def _codes(work: Work, keys: Uint64) -> Uint64:
    """Return the codes of the documents `keys`, (documents, WORDS)."""
    codes, at = np.zeros((len(keys), kernels.WORDS), np.uint64), 0
    for values in signatures_of(work, keys):
        kernels.codes_of(values, codes[at : at + len(values)])
        at += len(values)
    return codes


def signatures_of(work: Work, keys: Uint64) -> Iterator[Uint32]:
    """Yield the signatures of the documents `keys`, all of which have one, in their order."""
    sketch = work.config.sketch
    for path in work.paths("signatures"):
        for batch in read_batches(path, ["row_key", "signature"], 8192):
            rows = np.flatnonzero(among(batch["row_key"].to_numpy(), keys))
            if len(rows):
                column = batch["signature"].take(pa.array(rows))
                yield signature_matrix(column, sketch.bands * sketch.rows)[1]


def _rows(work: Work, keys: Uint64) -> tuple[Int64, Int32, Uint32]:
    """Return which rows have the texts of some representatives, their classes and their ranks.

    Rows are in the order of the texts: text i has those from begins[i] to begins[i + 1].
    """
    groups = read_table(work.paths("copies"), COPIES, ["representative"])["representative"]
    representative, at = groups.to_numpy(), 0
    classes = _Classes(work)
    parts: list[tuple[Any, ...]] = []
    for path in work.paths("signatures"):
        for batch in read_batches(path, RANKED_BY):
            own = representative[at : at + batch.num_rows]
            at += batch.num_rows
            taken = np.flatnonzero(among(own, keys))
            rows = batch.take(pa.array(taken))
            row_keys = rows["row_key"].to_numpy()
            parts.append(
                (
                    np.searchsorted(keys, own[taken]),
                    pc.cast(rows["priority"], pa.float64()).to_numpy(zero_copy_only=False),
                    rows["priority_rest"].to_numpy(),
                    rows["text_bytes"].to_numpy(),
                    classes.paths[shard_of(row_keys).astype(np.int64)],
                    row_of(row_keys).astype(np.int64),
                    classes.of(rows["source"], row_keys),
                )
            )
    text, nearest, rest, text_bytes, path_place, row, kinds = (
        np.concatenate(part) for part in zip(*parts, strict=True)
    )
    order = np.argsort(text, kind="stable")
    priority = (nearest, rest)
    ranks = [best_first(priority, text_bytes, path_place, row, keep, None)[order] for keep in KEEPS]
    kinds = kinds.astype(np.int32)
    begins = np.searchsorted(text[order], np.arange(len(keys) + 1))
    if len(kinds) and kinds.min() == kinds.max():
        kinds = np.full(len(kinds), ALONE, np.int32)
    return begins, kinds[order], np.array(ranks, np.uint32)


class _Classes:
    """The classes of rows: a source value and the folder of the shard.

    Attributes:
        paths: place of each shard's path among all paths, by shard number.
    """

    def __init__(self, work: Work) -> None:
        names = sorted(shard.name for shard in work.shards)
        folders = sorted({str(PurePosixPath(name).parent) for name in names})
        most = max((shard.number for shard in work.shards), default=0) + 1
        self.paths = np.zeros(most, np.int64)
        self._folders = np.zeros(most, np.int64)
        for shard in work.shards:
            self.paths[shard.number] = names.index(shard.name)
            self._folders[shard.number] = folders.index(str(PurePosixPath(shard.name).parent))
        self._sources: dict[str | None, int] = {}
        self._width = len(folders)

    def of(self, sources: pa.Array, row_keys: Uint64) -> Int64:
        """Return the class of each row."""
        coded = sources.dictionary_encode("encode")
        numbers = np.zeros(len(coded.dictionary), np.int64)
        for k, name in enumerate(coded.dictionary.to_pylist()):
            if len(self._sources) < MOST_SOURCES:
                self._sources.setdefault(name, len(self._sources) + 1)
            numbers[k] = self._sources.get(name, 0)
        own = numbers[coded.indices.to_numpy()] if len(coded) else np.zeros(0, np.int64)
        folders = self._folders[shard_of(row_keys).astype(np.int64)]
        return np.asarray(own * self._width + folders)


def pairs_of(crowd: Crowd, keys: Uint64) -> Iterator[tuple[Uint64, Uint64]]:
    """Yield the pairs that the lists of the crowd hold, as two columns of keys.

    Args:
        crowd: the crowd, after all bands.
        keys: row_key of each of its documents.
    """
    for first in range(0, len(keys), TOLD_AT_ONCE):
        codes = kernels.listed_pairs(crowd, first, min(first + TOLD_AT_ONCE, len(keys)))
        yield keys[codes >> np.uint64(32)], keys[codes & np.uint64(0xFFFFFFFF)]


@dataclass
class Missed:
    """A sample of the pairs of crowded documents that share a bucket, band by band.

    Attributes:
        pairs: two places in the crowd.
        weights: how many pairs of its band each stands for.
    """

    pairs: list[Int64]  # of (pairs, 2)
    weights: list[Float64]  # of (pairs,)

    def add(self, band: int, share: int, texts: Uint32, bounds: Int64) -> None:
        """Draw a band's share of the sample; all of its pairs where they are no more.

        Args:
            band: its number.
            share: pairs to draw.
            texts: the crowd of each bucket.
            bounds: cuts the texts into buckets.
        """
        sizes = np.diff(bounds)
        large = np.flatnonzero(sizes > 1)
        sizes, first = sizes[large], bounds[:-1][large]
        counts = sizes * (sizes - 1) // 2
        total = int(counts.sum())
        if total == 0:
            return
        if total <= share:
            own = [
                low + np.stack(np.triu_indices(size, 1), axis=1)
                for low, size in zip(first.tolist(), sizes.tolist(), strict=True)
            ]
            places = np.concatenate(own)
        else:
            draw = np.random.default_rng([1, band])
            chosen = np.searchsorted(np.cumsum(counts), draw.integers(0, total, share), "right")
            one = draw.integers(0, sizes[chosen])
            other = (one + draw.integers(1, sizes[chosen])) % sizes[chosen]
            places = first[chosen][:, None] + np.stack([one, other], axis=1)
        self.pairs.append(texts[places].astype(np.int64))
        self.weights.append(np.full(len(places), total / len(places)))

    def estimates(self, work: Work, crowd: Crowd, keys: Uint64, *, signed: bool) -> Float64:
        """Return about how many pairs are missed: all, and those as near as LISTED_AT, LIKELY_AT.

        A sampled pair that no list holds is verified; one that several buckets hold counts once.
        """
        if not self.pairs:
            return np.zeros(3)
        pairs, weights = np.concatenate(self.pairs), np.concatenate(self.weights)
        out = np.array([
            not (kernels.listed(crowd, x, y) or kernels.listed(crowd, y, x))
            for x, y in pairs.tolist()
        ])  # fmt: skip
        pairs, weights = np.sort(pairs[out], axis=1), weights[out]
        alike = np.ones(len(pairs))
        if signed and len(pairs):
            weights = weights / np.maximum(1, _together(work, keys, pairs))
            alike = _verified(work, keys[pairs])
        return np.array([weights[alike >= at].sum() for at in (0, LISTED_AT, LIKELY_AT)])


def _together(work: Work, keys: Uint64, pairs: Int64) -> Int64:
    """Return how many bands hold both documents of each pair."""
    sketch = work.config.sketch
    texts, ends = np.unique(pairs, return_inverse=True)
    ends = ends.reshape(pairs.shape)
    bands = np.concatenate([
        minhash.band_keys(values, sketch.bands, sketch.rows)
        for values in signatures_of(work, keys[texts])
    ])  # fmt: skip
    return np.asarray((bands[ends[:, 0]] == bands[ends[:, 1]]).sum(axis=1))


def _verified(work: Work, pairs: Uint64) -> Float64:
    """Return the Jaccard of each pair of documents, 0 below LISTED_AT."""
    a, b = pairs.T.copy()
    places = chunk_places(work.paths("words"))
    inter, size_a, size_b = shared_shingles(work, places, a, b, Criterion(LISTED_AT))
    return np.asarray(inter / (size_a + size_b - inter))


def first_code(band: int, sketch: SketchConfig) -> int:
    """Return the code after those of a band, with which the order of its buckets begins."""
    return (band + 1) * sketch.rows % min(CODES, sketch.bands * sketch.rows)
