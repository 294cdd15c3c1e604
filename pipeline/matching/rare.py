"""Find every pair of a text and a document that is near, without comparing all with all.

A pair at or above a threshold shares so many shingles of the text that it has one of its rarest: of
n shingles, of which `need` must be shared, the n - need + 1 rarest are enough to look for. So no
pair is missed, and what many texts have, such as a licence, is looked for in few of them. Each pair
that is proposed is then compared in full, word by word.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.config.sections import SketchConfig
from pipeline.matching import rare_kernels
from pipeline.matching.rare_kernels import Rare
from pipeline.scan import pair_kernels
from pipeline.scan.pair_kernels import COLLISION, Sets
from pipeline.scan.shingle_sets import at_least, shingle_sets
from pipeline.scan.words import collision
from pipeline.text.arrays import Int64
from pipeline.text.segmentation import Words

ROOM = 1 << 14  # proposed pairs, at first
NEVER = (2, 1)  # a share that none reaches


@dataclass(frozen=True)
class Thresholds:
    """When a document proves that a text is there already.

    Attributes:
        jaccard: the exact Jaccard of both.
        containment: the share of the text's shingles in the document; 0: never.
    """

    jaccard: float
    containment: float


@dataclass(frozen=True)
class Prepared:
    """Some texts, prepared for the search.

    Attributes:
        sets: their shingle sets.
        rare: the rarest shingles of each.
        thresholds: what a pair must reach.
    """

    sets: Sets
    rare: Rare
    thresholds: Thresholds


@dataclass(frozen=True)
class Pairs:
    """Pairs of a text and a document that reach a threshold.

    Attributes:
        texts: the text of each.
        documents: its document.
        near: whether it reaches that of Jaccard; else the text is contained.
        shared: distinct shingles in both.
        total: those in either; where the text is contained, those of the text.
    """

    texts: Int64  # (pairs,)
    documents: Int64  # (pairs,)
    near: np.ndarray  # (pairs,)
    shared: Int64  # (pairs,)
    total: Int64  # (pairs,)


def prepared(words: Words, sketch: SketchConfig, thresholds: Thresholds) -> Prepared:
    """Return texts prepared for the search.

    Raises:
        IntegrityError: When two shingles of a text have one hash.
    """
    sets = shingle_sets(words, sketch)
    sizes = np.diff(sets.sets)
    least = min(thresholds.jaccard, thresholds.containment or 1.0)
    top, bottom = at_least(least)
    need = np.maximum(1, -(-top * sizes // bottom))
    owners = np.repeat(np.arange(sizes.size), sizes)
    different, which, counts = np.unique(sets.hashes, return_inverse=True, return_counts=True)
    order = np.lexsort((sets.hashes, counts[which], owners))
    within = np.arange(owners.size) - np.repeat(sets.sets[:-1], sizes)
    rarest = np.sort(order[within < (sizes - need + 1)[owners]])
    by_hash = rarest[np.argsort(which[rarest], kind="stable")]
    kept, starts = np.unique(which[by_hash], return_index=True)
    rare = Rare(
        np.zeros(2 << kept.size.bit_length(), np.int64),
        different[kept],
        np.append(starts, by_hash.size).astype(np.int64),
        owners[by_hash].astype(np.int64),
    )
    rare_kernels.fill(rare)
    return Prepared(sets, rare, thresholds)


def near_pairs(texts: Prepared, documents: Words, sketch: SketchConfig) -> Pairs:
    """Return the pairs of a text and one of some documents that reach a threshold.

    Raises:
        IntegrityError: When one hash stands for two shingles.
    """
    sets = shingle_sets(documents, sketch)
    count = texts.sets.sets.size - 1
    out = np.empty((ROOM, 2), np.int64)
    rows = int(rare_kernels.propose(sets.sets, sets.hashes, texts.rare, count, out))
    if rows > len(out):
        out = np.empty((rows, 2), np.int64)
        rare_kernels.propose(sets.sets, sets.hashes, texts.rare, count, out)
    pairs, size = out[:rows], sketch.shingle_words
    own, other = np.diff(texts.sets.sets)[pairs[:, 0]], np.diff(sets.sets)[pairs[:, 1]]
    jaccard = np.array(at_least(texts.thresholds.jaccard), np.int64)
    share = texts.thresholds.containment
    inside = np.array(at_least(share) if share else NEVER, np.int64)
    shared, held = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
    pair_kernels.intersections(pairs, texts.sets, sets, size, jaccard, shared)
    turned = np.zeros(rows, np.bool_)
    pair_kernels.contained(pairs, turned, texts.sets, sets, size, inside, held)
    if np.any(shared == COLLISION) or np.any(held == COLLISION):
        raise collision(sketch.seed)
    near, found = shared > 0, (shared > 0) | (held > 0)
    both = np.where(near, shared, held)
    total = np.where(near, own + other - shared, own)
    return Pairs(pairs[found, 0], pairs[found, 1], near[found], both[found], total[found])
