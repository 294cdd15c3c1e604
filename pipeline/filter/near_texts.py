"""Find every document that is a near copy of named ones: all are compared, none is left to chance.

A scan pairs what shares a band of its signatures, and large buckets not in full. That is enough to
choose keepers; it is not enough to forget a text.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from pipeline.config.sections import Config, SketchConfig
from pipeline.engine.parts import in_order
from pipeline.scan import pair_kernels
from pipeline.scan.pair_kernels import COLLISION, Sets
from pipeline.scan.shingle_sets import at_least, shingle_sets
from pipeline.scan.words import ChunkPlace, chunk_keys, chunk_places, collision, read_chunk
from pipeline.text import segmentation as text
from pipeline.text.arrays import Int64, Uint64
from pipeline.text.segmentation import Words
from pipeline.text.sorting import among

PAIRS_AT_ONCE = 1 << 16


def near_documents(
    words: Sequence[Path], named: Uint64, config: Config, threads: int = 1
) -> Uint64:
    """Return the keys of the documents whose exact Jaccard with a named one reaches the threshold.

    One pass over the words of the corpus. Documents that share too few shingles with all named ones
    together are left aside first, so that time follows what is near. Sorted; the named are among
    them.

    Args:
        words: the files of the table `words`.
        named: keys of the named documents, sorted.
        config: the threshold of near copies and how shingles are made.
        threads: chunks of words that are searched side by side.

    Raises:
        IntegrityError: When two different shingles have the same hash.
    """
    places = chunk_places(words)
    own = _sets_of(places, named, config.sketch)
    if own is None:
        return named
    search = partial(_near_of_chunk, own, np.unique(own.hashes), config)
    with ThreadPoolExecutor(threads) as pool:
        found = list(in_order(pool, threads, search, places))
    return np.unique(np.concatenate([named, *found]))


def _sets_of(places: Sequence[ChunkPlace], named: Uint64, sketch: SketchConfig) -> Sets | None:
    """Return the shingle sets of the named documents that have words; None without any."""
    parts = []
    for place in places:
        if among(chunk_keys(place), named).any():
            chunk = read_chunk(place)
            parts.append(text.take(chunk.words, np.flatnonzero(among(chunk.keys, named))))
    if not parts:
        return None
    ends = [part.offsets[1:] for part in parts]
    before = np.cumsum([0, *(part.hashes.size for part in parts[:-1])])
    offsets = np.concatenate([[0], *(end + low for end, low in zip(ends, before, strict=True))])
    none = np.zeros(0, np.uint32)
    joined = Words(offsets, np.concatenate([part.hashes for part in parts]), none, none)
    sets = shingle_sets(joined, sketch)
    return sets if sets.hashes.size else None


def _near_of_chunk(own: Sets, shingles: Uint64, config: Config, place: ChunkPlace) -> Uint64:
    """Return the keys of the documents of one chunk that are near one of the named ones.

    Args:
        own: the shingle sets of the named documents.
        shingles: their distinct shingles, sorted.
        config: the threshold, and how shingles are made.
        place: the chunk.
    """
    chunk = read_chunk(place)
    sets = shingle_sets(chunk.words, config.sketch)
    ratio = np.array(at_least(config.near.threshold), np.int64)
    sizes = np.diff(own.sets)
    least = -(-ratio[0] * int(sizes[sizes > 0].min()) // ratio[1])  # shared by a pair that is near
    hits = np.concatenate([[0], np.cumsum(among(sets.hashes, shingles))])
    shared = hits[sets.sets[1:]] - hits[sets.sets[:-1]]
    likely = np.flatnonzero(shared >= max(1, least))
    return chunk.keys[likely[_reaching(own, sets, likely, ratio, config.sketch)]]


def _reaching(own: Sets, sets: Sets, likely: Int64, ratio: Int64, sketch: SketchConfig) -> Int64:
    """Return which of the likely documents reach the ratio with at least one of the named ones."""
    near = np.zeros(likely.size, np.bool_)
    each = max(1, PAIRS_AT_ONCE // (own.sets.size - 1))
    for low in range(0, likely.size, each):
        part = likely[low : low + each]
        first = np.repeat(np.arange(own.sets.size - 1), part.size)
        pairs = np.stack([first, np.tile(part, own.sets.size - 1)], axis=1)
        inter = np.zeros(len(pairs), np.int64)
        pair_kernels.intersections(pairs, own, sets, sketch.shingle_words, ratio, inter)
        if np.any(inter == COLLISION):
            raise collision(sketch.seed)
        near[low : low + each] = (inter.reshape(-1, part.size) > 0).any(axis=0)
    return np.flatnonzero(near)
